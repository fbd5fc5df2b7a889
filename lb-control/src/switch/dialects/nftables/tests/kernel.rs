//! A kernel that has one table, and connections.

use std::sync::{Arc, Mutex, MutexGuard};

use super::{
    super::{
        attribute::{Garbage, find},
        delta::element,
        link::{Error, Kernel},
        router::Router,
        ruleset::{Data, Edge},
    },
    *,
};

/// What others see and change too.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Host>>);

#[derive(Default)]
pub(super) struct Host {
    pub(super) generation: u32,
    /// Of the last table that was made.
    pub(super) handle: u64,
    pub(super) table: Option<Table>,
    pub(super) connections: Vec<Vec<Attribute>>,
}

impl Shared {
    pub(super) fn host(&self) -> MutexGuard<'_, Host> {
        self.0.lock().unwrap()
    }

    pub(super) fn router(&self, options: &str) -> Router {
        let options = toml::from_str(options).unwrap();
        let mut router = Router::new(options, std::time::Duration::from_secs(1));
        router.link = Some(Box::new(self.clone()));
        router
    }

    /// What it holds, as recognised.
    pub(super) fn seen(&self) -> Seen {
        recognise(NAME, &self.host().table.as_ref().unwrap().dump()).unwrap()
    }
}

impl Host {
    fn answers(&self, message: &Message) -> Option<Vec<Vec<u8>>> {
        if message.kind == GETGEN {
            return Some(vec![written(&[Attribute::u32(GEN_ID, self.generation)])]);
        }
        if message.kind == CT_GET {
            return Some(self.connections.iter().map(|attributes| written(attributes)).collect());
        }
        let dump = self.table.as_ref()?.dump();
        Some(match message.kind {
            GETTABLE => {
                let label = comment(dump.comment.as_deref().unwrap_or_default());
                vec![written(&[
                    Attribute::text(TABLE_NAME, NAME),
                    Attribute::u32(TABLE_FLAGS, 0),
                    Attribute::bytes(TABLE_HANDLE, self.handle.to_be_bytes()),
                    Attribute::bytes(TABLE_USERDATA, label),
                ])]
            }
            GETCHAIN => dump.chains.into_values().collect(),
            GETRULE => dump.rules.into_values().flatten().collect(),
            GETSET => dump.sets.into_values().map(|(set, _)| set).collect(),
            GETSETELEM => {
                let asked = written(&message.attributes);
                let name = text_of(need(&asked, ELEMENTS_SET).unwrap()).unwrap();
                let list: Vec<_> = dump.sets[name].1.iter().map(counted).collect();
                let named = [
                    Attribute::text(ELEMENTS_TABLE, NAME),
                    Attribute::text(ELEMENTS_SET, name),
                    Attribute::nest(ELEMENTS, list),
                ];
                vec![written(&named)]
            }
            other => panic!("question {other}"),
        })
    }

    fn obey(&mut self, steps: &[Message]) {
        for step in steps {
            match step.kind {
                NEWTABLE => {
                    let attributes = written(&step.attributes);
                    let label = read_comment(need(&attributes, TABLE_USERDATA).unwrap()).unwrap();
                    assert!(self.table.replace(Table::labelled(label)).is_none());
                    self.handle += 1;
                }
                DELTABLE => assert!(self.table.take().is_some()),
                _ => self.table.as_mut().unwrap().obey(std::slice::from_ref(step)),
            }
        }
        self.generation += 1;
    }
}

/// An element with a counter, which is looked for only where a set has them.
fn counted((key, data): (&(Vec<u8>, Edge), &Option<Data>)) -> Attribute {
    let bytes = written(&[element(key, data.as_ref())]);
    let counter = Attribute::nest(EXPR_DATA, [Attribute::bytes(COUNTER_PACKETS, [0; 8])]);
    let counter = written(&[Attribute::nest(ELEMENT_EXPR, [counter])]);
    Attribute::bytes(LIST_ELEM, [need(&bytes, LIST_ELEM).unwrap(), &counter].concat())
}

impl Kernel for Shared {
    fn ask(
        &mut self,
        message: &Message,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Garbage>,
    ) -> Result<(), Error> {
        if message.kind == CT_DELETE {
            let asked = written(&message.attributes);
            let tuple = need(&asked, CTA_TUPLE_ORIG).unwrap();
            let other = |connection: &Vec<Attribute>| {
                find(&written(connection), CTA_TUPLE_ORIG).unwrap() != Some(tuple)
            };
            self.host().connections.retain(other);
            return Ok(());
        }
        let missing = || std::io::Error::from_raw_os_error(libc::ENOENT);
        let answers = self.host().answers(message);
        let answers = answers.ok_or_else(|| Error::Refused(missing(), "read".to_owned()))?;
        answers.iter().try_for_each(|bytes| each(bytes)).map_err(Error::from)
    }

    fn commit(&mut self, generation: u32, steps: &[Message]) -> Result<(), Error> {
        let mut host = self.host();
        if host.generation != generation {
            return Err(Error::Changed);
        }
        host.obey(steps);
        Ok(())
    }
}

/// A connection of TCP from 192.0.2.1:40000 to 203.0.113.10:80, that 10.0.0.1:8080 has.
pub(super) fn connection(state: u8) -> Vec<Attribute> {
    let tuple = |kind, from: [u8; 4], to: [u8; 4], ports: (u16, u16)| {
        let ip = [Attribute::bytes(CTA_IP_V4_SRC, from), Attribute::bytes(CTA_IP_V4_DST, to)];
        let proto = [
            Attribute::bytes(CTA_PROTO_NUM, [6]),
            Attribute::bytes(CTA_PROTO_SRC_PORT, ports.0.to_be_bytes()),
            Attribute::bytes(CTA_PROTO_DST_PORT, ports.1.to_be_bytes()),
        ];
        let inner = [Attribute::nest(CTA_TUPLE_IP, ip), Attribute::nest(CTA_TUPLE_PROTO, proto)];
        Attribute::nest(kind, inner)
    };
    let tcp = [Attribute::bytes(CTA_PROTOINFO_TCP_STATE, [state])];
    vec![
        tuple(CTA_TUPLE_ORIG, [192, 0, 2, 1], [203, 0, 113, 10], (40_000, 80)),
        tuple(CTA_TUPLE_REPLY, [10, 0, 0, 1], [192, 0, 2, 1], (8080, 40_000)),
        Attribute::nest(CTA_PROTOINFO, [Attribute::nest(CTA_PROTOINFO_TCP, tcp)]),
        Attribute::u32(CTA_ID, 99),
    ]
}
