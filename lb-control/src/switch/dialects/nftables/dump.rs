//! What the kernel shows of our table, and what it counts there.

use std::collections::BTreeMap;

use super::{
    attribute::{Attribute, Garbage, all, find, need, text_of, u32_of, u64_of},
    delta::read_comment,
    expression::Verdict,
    key::{Family, Path},
    link::{Error, Kernel, Message},
    ruleset::{Data, Edge, Elements},
    uapi::*,
};

/// A table as the kernel shows it: attributes are left as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dump {
    pub(super) handle: u64,
    pub(super) dormant: bool,
    pub(super) comment: Option<String>,
    pub(super) chains: BTreeMap<String, Vec<u8>>,
    /// In order, by chain.
    pub(super) rules: BTreeMap<String, Vec<Vec<u8>>>,
    pub(super) sets: BTreeMap<String, (Vec<u8>, Elements)>,
}

/// How often the ruleset is read anew because others change it meanwhile.
const TRIES: usize = 8;

impl Dump {
    /// The table of that name, and the generation of the ruleset, all of one moment.
    pub(super) fn read(link: &mut dyn Kernel, table: &str) -> Result<(u32, Option<Self>), Error> {
        for _ in 0..TRIES {
            let before = generation(link)?;
            let dump = match Self::read_once(link, table) {
                Ok(dump) => Some(dump),
                Err(error) if error.is_missing() => None,
                Err(Error::Changed) => continue,
                Err(error) => return Err(error),
            };
            if generation(link)? == before {
                return Ok((before, dump));
            }
        }
        Err(Error::Changed)
    }

    fn read_once(link: &mut dyn Kernel, table: &str) -> Result<Self, Error> {
        let mut dump = Self::default();
        let name = [Attribute::text(TABLE_NAME, table)];
        let get = Message::get(GETTABLE, NFPROTO_INET, name);
        link.ask(&get, &mut |bytes| dump.take(GETTABLE, table, bytes))?;
        // All of these have the table's name in the same place.
        for kind in [GETCHAIN, GETRULE, GETSET] {
            let name = [Attribute::text(CHAIN_TABLE, table)];
            let all = Message::dump(kind, NFPROTO_INET, name);
            link.ask(&all, &mut |bytes| dump.take(kind, table, bytes))?;
        }
        let sets: Vec<_> = dump.sets.keys().cloned().collect();
        for set in sets {
            link.ask(&all_of(table, &set), &mut |bytes| dump.take(GETSETELEM, table, bytes))?;
        }
        Ok(dump)
    }

    /// One answer to a request of that kind. Older kernels filter only some of them by
    /// table.
    pub(super) fn take(&mut self, kind: u16, table: &str, bytes: &[u8]) -> Result<(), Garbage> {
        if text_of(need(bytes, CHAIN_TABLE)?)? != table {
            return Ok(());
        }
        let name = |kind| Ok(text_of(need(bytes, kind)?)?.to_owned());
        match kind {
            GETTABLE => {
                self.handle = u64_of(need(bytes, TABLE_HANDLE)?)?;
                self.dormant = u32_of(need(bytes, TABLE_FLAGS)?)? != 0;
                let comment = find(bytes, TABLE_USERDATA)?.and_then(read_comment);
                self.comment = comment.map(str::to_owned);
            }
            GETCHAIN => {
                self.chains.insert(name(CHAIN_NAME)?, bytes.to_vec());
            }
            GETRULE => {
                self.rules.entry(name(RULE_CHAIN)?).or_default().push(bytes.to_vec());
            }
            GETSET => {
                self.sets.insert(name(SET_NAME)?, (bytes.to_vec(), Elements::new()));
            }
            _ => {
                let (_, elements) = self.sets.get_mut(&name(ELEMENTS_SET)?).ok_or(Garbage)?;
                for element in elements_of(bytes)? {
                    let (key, data) = read_element(element)?;
                    elements.insert(key, data);
                }
            }
        }
        Ok(())
    }
}

/// Of the whole ruleset of the namespace: grows with each change by anybody.
pub(super) fn generation(link: &mut dyn Kernel) -> Result<u32, Error> {
    let mut generation = None;
    link.ask(&Message::get(GETGEN, NFPROTO_UNSPEC, []), &mut |bytes| {
        generation = Some(u32_of(need(bytes, GEN_ID)?)?);
        Ok(())
    })?;
    generation.ok_or(Error::Garbage(Garbage))
}

/// What tells a table from another one of the same name; None: there is none.
pub(super) fn handle(link: &mut dyn Kernel, table: &str) -> Result<Option<u64>, Error> {
    let mut handle = None;
    let name = [Attribute::text(TABLE_NAME, table)];
    let outcome = link.ask(&Message::get(GETTABLE, NFPROTO_INET, name), &mut |bytes| {
        handle = Some(u64_of(need(bytes, TABLE_HANDLE)?)?);
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(handle),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Connections that each binding has had.
pub(super) fn totals(link: &mut dyn Kernel, table: &str) -> Result<Vec<(Path, u64)>, Error> {
    let mut totals = Vec::new();
    for family in Family::ALL {
        link.ask(&all_of(table, &family.set("bindings")), &mut |bytes| {
            for element in elements_of(bytes)? {
                let ((key, _), _) = read_element(element)?;
                totals.push((Path::read(family, &key).ok_or(Garbage)?, counter(element)?));
            }
            Ok(())
        })?;
    }
    Ok(totals)
}

fn all_of(table: &str, set: &str) -> Message {
    let set = [Attribute::text(ELEMENTS_TABLE, table), Attribute::text(ELEMENTS_SET, set)];
    Message::dump(GETSETELEM, NFPROTO_INET, set)
}

fn elements_of(bytes: &[u8]) -> Result<Vec<&[u8]>, Garbage> {
    let list = find(bytes, ELEMENTS)?.unwrap_or_default();
    Ok(all(list)?.into_iter().map(|(_, element)| element).collect())
}

/// Key and data.
#[expect(clippy::type_complexity, reason = "an entry of `Elements`")]
pub(super) fn read_element(element: &[u8]) -> Result<((Vec<u8>, Edge), Option<Data>), Garbage> {
    let key = need(need(element, ELEMENT_KEY)?, DATA_VALUE)?.to_vec();
    let flags = find(element, ELEMENT_FLAGS)?.map(u32_of).transpose()?.unwrap_or(0);
    let data = match find(element, ELEMENT_DATA)? {
        None => None,
        Some(data) => Some(match find(data, DATA_VERDICT)? {
            Some(verdict) => Data::Verdict(read_verdict(verdict)?),
            None => Data::Value(need(data, DATA_VALUE)?.to_vec()),
        }),
    };
    let edge = if flags & ELEMENT_INTERVAL_END == 0 { Edge::Start } else { Edge::End };
    Ok(((key, edge), data))
}

fn read_verdict(verdict: &[u8]) -> Result<Verdict, Garbage> {
    let code = u32_of(need(verdict, VERDICT_CODE)?)?.cast_signed();
    let chain = || Ok(text_of(need(verdict, VERDICT_CHAIN)?)?.to_owned());
    match code {
        NF_DROP => Ok(Verdict::Drop),
        NFT_RETURN => Ok(Verdict::Return),
        NFT_JUMP => Ok(Verdict::Jump(chain()?)),
        // Whatever else it may be, ours it is not.
        _ => Ok(Verdict::Goto(chain().unwrap_or_default())),
    }
}

/// Packets that an element has counted.
pub(super) fn counter(element: &[u8]) -> Result<u64, Garbage> {
    let expression = match find(element, ELEMENT_EXPR)? {
        Some(expression) => expression,
        None => need(need(element, ELEMENT_EXPRESSIONS)?, LIST_ELEM)?,
    };
    u64_of(need(need(expression, EXPR_DATA)?, COUNTER_PACKETS)?)
}
