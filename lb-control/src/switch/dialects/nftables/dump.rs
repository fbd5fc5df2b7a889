//! What the kernel shows of our table, and what it counts there.

use std::collections::BTreeMap;

use super::{
    attribute::{Attribute, Garbage, all, find, need, text_of, u32_of, u64_of},
    delta::read_comment,
    expression::Verdict,
    key::{Family, Path},
    link::{Error, Link, Message},
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
    pub(super) fn read(link: &mut Link, table: &str) -> Result<(u32, Option<Self>), Error> {
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

    fn read_once(link: &mut Link, table: &str) -> Result<Self, Error> {
        let mut dump = Self::default();
        let name = [Attribute::text(TABLE_NAME, table)];
        link.ask(&Message::get(GETTABLE, NFPROTO_INET, name), |bytes| dump.table(bytes))?;
        // Older kernels filter only some of these by table.
        let of_ours = |bytes: &[u8], kind| Ok(text_of(need(bytes, kind)?)? == table);
        let chains = Message::dump(GETCHAIN, NFPROTO_INET, [Attribute::text(CHAIN_TABLE, table)]);
        link.ask(&chains, |bytes| {
            if of_ours(bytes, CHAIN_TABLE)? {
                let name = text_of(need(bytes, CHAIN_NAME)?)?.to_owned();
                dump.chains.insert(name, bytes.to_vec());
            }
            Ok(())
        })?;
        let rules = Message::dump(GETRULE, NFPROTO_INET, [Attribute::text(RULE_TABLE, table)]);
        link.ask(&rules, |bytes| {
            if of_ours(bytes, RULE_TABLE)? {
                let chain = text_of(need(bytes, RULE_CHAIN)?)?.to_owned();
                dump.rules.entry(chain).or_default().push(bytes.to_vec());
            }
            Ok(())
        })?;
        let sets = Message::dump(GETSET, NFPROTO_INET, [Attribute::text(SET_TABLE, table)]);
        link.ask(&sets, |bytes| {
            if of_ours(bytes, SET_TABLE)? {
                let name = text_of(need(bytes, SET_NAME)?)?.to_owned();
                dump.sets.insert(name, (bytes.to_vec(), Elements::new()));
            }
            Ok(())
        })?;
        for (name, (_, elements)) in &mut dump.sets {
            each_element(link, table, name, |element| {
                let (key, data) = read_element(element)?;
                elements.insert(key, data);
                Ok(())
            })?;
        }
        Ok(dump)
    }

    fn table(&mut self, bytes: &[u8]) -> Result<(), Garbage> {
        self.handle = u64_of(need(bytes, TABLE_HANDLE)?)?;
        self.dormant = u32_of(need(bytes, TABLE_FLAGS)?)? != 0;
        let comment = find(bytes, TABLE_USERDATA)?.and_then(read_comment);
        self.comment = comment.map(str::to_owned);
        Ok(())
    }
}

/// Of the whole ruleset of the namespace: grows with each change by anybody.
pub(super) fn generation(link: &mut Link) -> Result<u32, Error> {
    let mut generation = None;
    link.ask(&Message::get(GETGEN, NFPROTO_UNSPEC, []), |bytes| {
        generation = Some(u32_of(need(bytes, GEN_ID)?)?);
        Ok(())
    })?;
    generation.ok_or(Error::Garbage(Garbage))
}

/// What tells a table from another one of the same name; None: there is none.
pub(super) fn handle(link: &mut Link, table: &str) -> Result<Option<u64>, Error> {
    let mut handle = None;
    let name = [Attribute::text(TABLE_NAME, table)];
    let outcome = link.ask(&Message::get(GETTABLE, NFPROTO_INET, name), |bytes| {
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
pub(super) fn totals(link: &mut Link, table: &str) -> Result<Vec<(Path, u64)>, Error> {
    let mut totals = Vec::new();
    for family in Family::ALL {
        each_element(link, table, &family.set("bindings"), |element| {
            let ((key, _), _) = read_element(element)?;
            let path = Path::read(family, &key).ok_or(Garbage)?;
            totals.push((path, counter(element)?));
            Ok(())
        })?;
    }
    Ok(totals)
}

fn each_element(
    link: &mut Link,
    table: &str,
    set: &str,
    mut each: impl FnMut(&[u8]) -> Result<(), Garbage>,
) -> Result<(), Error> {
    let of = [Attribute::text(ELEMENTS_TABLE, table), Attribute::text(ELEMENTS_SET, set)];
    link.ask(&Message::dump(GETSETELEM, NFPROTO_INET, of), |bytes| {
        let Some(list) = find(bytes, ELEMENTS)? else { return Ok(()) };
        all(list)?.into_iter().try_for_each(|(_, element)| each(element))
    })
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
fn counter(element: &[u8]) -> Result<u64, Garbage> {
    let expression = match find(element, ELEMENT_EXPR)? {
        Some(expression) => expression,
        None => need(need(element, ELEMENT_EXPRESSIONS)?, LIST_ELEM)?,
    };
    u64_of(need(need(expression, EXPR_DATA)?, COUNTER_PACKETS)?)
}
