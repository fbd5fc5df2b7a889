//! Objects of FOUNDRY-SN-SW-L4-SWITCH-GROUP-MIB, and values that are written to them.

use std::net::{Ipv4Addr, SocketAddrV4};

use async_snmp::{Oid, Value};

use super::super::{
    config::{Bind, Config, Real, real_name},
    steps::Step,
};

/// Below `snL4`.
const L4: [u32; 10] = [1, 3, 6, 1, 4, 1, 1991, 1, 1, 4];
/// `sysUpTime.0`, in hundredths of a second.
pub(super) const SYS_UP_TIME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];

/// Rows that the table of bindings has room for.
pub(super) const BINDS: u32 = 2048;

/// `L4RowSts`, which is not `RowStatus` of RFC 2579.
mod row {
    pub(super) const DELETE: i32 = 3;
    pub(super) const CREATE: i32 = 4;
    pub(super) const MODIFY: i32 = 5;
}

/// `snL4VirtualServerCfgSDAType`: the method that obeys weights.
const WEIGHTED: i32 = 3;

/// A column: its table and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column(u32, u32);

/// `snL4Bind…`, by an index that means nothing.
pub(super) const BIND_VIRTUAL: Column = Column(6, 2);
pub(super) const BIND_VIRTUAL_PORT: Column = Column(6, 3);
pub(super) const BIND_REAL: Column = Column(6, 4);
pub(super) const BIND_REAL_PORT: Column = Column(6, 5);
const BIND_ROW: Column = Column(6, 6);
/// `snL4RealServerCfg…`, by address.
pub(super) const REAL_NAME: Column = Column(19, 2);
const REAL_STATUS: Column = Column(19, 3);
pub(super) const REAL_WEIGHT: Column = Column(19, 5);
const REAL_ROW: Column = Column(19, 6);
pub(super) const REAL_DELETE: Column = Column(19, 7);
/// `snL4RealServerPortCfg…`, by address and port.
pub(super) const PORT_STATUS: Column = Column(20, 4);
const PORT_ROW: Column = Column(20, 5);
pub(super) const PORT_DELETE: Column = Column(20, 6);
/// `snL4VirtualServerCfg…`, by address.
pub(super) const VIRTUAL_NAME: Column = Column(21, 2);
const VIRTUAL_STATUS: Column = Column(21, 3);
const VIRTUAL_METHOD: Column = Column(21, 4);
const VIRTUAL_ROW: Column = Column(21, 5);
/// `snL4VirtualServerPortCfg…`, by address and port.
pub(super) const VIRTUAL_PORT_STATUS: Column = Column(22, 4);
const VIRTUAL_PORT_ROW: Column = Column(22, 7);
/// `snL4RealServerStatus…`, by address.
pub(super) const DOING_STATE: Column = Column(23, 8);
/// `snL4RealServerPortStatus…`, by address and port.
pub(super) const DOING_PORT_STATE: Column = Column(24, 5);
pub(super) const DOING_PORT_CURRENT: Column = Column(24, 7);
pub(super) const DOING_PORT_TOTAL: Column = Column(24, 8);

/// States of a port that is unbound or deleted when its connections have ended.
pub(super) const GOING: [i64; 2] = [8, 9];

/// Every column, with the name that its refusal is told by.
const NAMES: [(Column, &str); 15] = [
    (BIND_VIRTUAL, "snL4BindVirtualServerName"),
    (BIND_VIRTUAL_PORT, "snL4BindVirtualPortNumber"),
    (BIND_REAL, "snL4BindRealServerName"),
    (BIND_REAL_PORT, "snL4BindRealPortNumber"),
    (BIND_ROW, "snL4BindRowStatus"),
    (REAL_NAME, "snL4RealServerCfgName"),
    (REAL_STATUS, "snL4RealServerCfgAdminStatus"),
    (REAL_WEIGHT, "snL4RealServerCfgWeight"),
    (REAL_ROW, "snL4RealServerCfgRowStatus"),
    (PORT_STATUS, "snL4RealServerPortCfgAdminStatus"),
    (PORT_ROW, "snL4RealServerPortCfgRowStatus"),
    (VIRTUAL_NAME, "snL4VirtualServerCfgName"),
    (VIRTUAL_ROW, "snL4VirtualServerCfgRowStatus"),
    (VIRTUAL_PORT_STATUS, "snL4VirtualServerPortCfgAdminStatus"),
    (VIRTUAL_PORT_ROW, "snL4VirtualServerPortCfgRowStatus"),
];

impl Column {
    pub fn oid(self) -> Oid {
        Oid::new(L4.into_iter().chain([self.0, 1, 1, self.1]))
    }

    /// The object of a row.
    pub fn at(self, index: impl IntoIterator<Item = u32>) -> Oid {
        Oid::new(L4.into_iter().chain([self.0, 1, 1, self.1]).chain(index))
    }
}

/// What an object is called, for people.
pub(super) fn name(oid: &Oid) -> String {
    let known = NAMES.iter().find(|(column, _)| oid.starts_with(&column.oid()));
    known.map_or_else(|| oid.to_string(), |(_, name)| (*name).to_owned())
}

pub(super) fn by_address(address: Ipv4Addr) -> impl Iterator<Item = u32> {
    address.octets().into_iter().map(u32::from)
}

pub(super) fn by_port(at: SocketAddrV4) -> impl Iterator<Item = u32> {
    by_address(*at.ip()).chain([u32::from(at.port())])
}

/// An address out of the index of a row.
pub(super) fn address(index: &[u32]) -> Option<Ipv4Addr> {
    let [a, b, c, d] = index else { return None };
    let octet = |arc: &u32| u8::try_from(*arc).ok();
    Some(Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?))
}

/// An address and port out of the index of a row.
pub(super) fn address_and_port(index: &[u32]) -> Option<SocketAddrV4> {
    let (port, rest) = index.split_last()?;
    Some(SocketAddrV4::new(address(rest)?, u16::try_from(*port).ok()?))
}

/// What is set at once.
pub(super) type Pdu = Vec<(Oid, Value)>;

fn text(text: &str) -> Value {
    Value::OctetString(text.as_bytes().to_vec().into())
}

/// A step as one SET; None for what this language has no words for, and for bindings,
/// whose rows need an index.
pub(super) fn set(step: &Step, config: &Config, weight: Option<u32>) -> Option<Pdu> {
    let status = |enabled: bool| Value::Integer(i32::from(enabled));
    let row = |column: Column, index: &[u32], value: i32| {
        (column.at(index.iter().copied()), Value::Integer(value))
    };
    let address = |address: &Ipv4Addr| by_address(*address).collect::<Vec<_>>();
    let port = |server: &SocketAddrV4| by_port(*server).collect::<Vec<_>>();
    let weigh = |weight: u32| Value::Integer(i32::try_from(weight).unwrap_or(i32::MAX));
    Some(match step {
        Step::AddReal(real) => {
            let at = address(real);
            vec![
                (REAL_NAME.at(by_address(*real)), text(&real_name(*real))),
                (REAL_STATUS.at(by_address(*real)), status(true)),
                (REAL_WEIGHT.at(by_address(*real)), weigh(weight.unwrap_or(Real::WEIGHT))),
                row(REAL_ROW, &at, row::CREATE),
            ]
        }
        Step::Weigh(real, weight) => vec![
            (REAL_WEIGHT.at(by_address(*real)), weigh(*weight)),
            row(REAL_ROW, &address(real), row::MODIFY),
        ],
        Step::Port(server, enabled) => {
            let there = config.enabled(*server).is_some();
            let how = if there { row::MODIFY } else { row::CREATE };
            let at = port(server);
            vec![(PORT_STATUS.at(by_port(*server)), status(*enabled)), row(PORT_ROW, &at, how)]
        }
        Step::AddVirtual(vip, name) => vec![
            (VIRTUAL_NAME.at(by_address(*vip)), text(name)),
            (VIRTUAL_STATUS.at(by_address(*vip)), status(true)),
            (VIRTUAL_METHOD.at(by_address(*vip)), Value::Integer(WEIGHTED)),
            row(VIRTUAL_ROW, &address(vip), row::CREATE),
        ],
        Step::AddVirtualPort(service) => vec![
            (VIRTUAL_PORT_STATUS.at(by_port(*service)), status(true)),
            row(VIRTUAL_PORT_ROW, &port(service), row::CREATE),
        ],
        Step::RemovePort(server) => vec![row(PORT_ROW, &port(server), row::DELETE)],
        Step::RemoveReal(real) => vec![row(REAL_ROW, &address(real), row::DELETE)],
        Step::RemoveVirtualPort(service) => {
            vec![row(VIRTUAL_PORT_ROW, &port(service), row::DELETE)]
        }
        Step::RemoveVirtual(vip) => vec![row(VIRTUAL_ROW, &address(vip), row::DELETE)],
        Step::Bind(_) | Step::Unbind(_) | Step::Break(_) => return None,
    })
}

/// A binding as a new row: all of its columns in one SET.
pub(super) fn bind(bind: Bind, virtual_name: &str, index: u32) -> Pdu {
    let port = |port: u16| Value::Integer(i32::from(port));
    vec![
        (BIND_VIRTUAL.at([index]), text(virtual_name)),
        (BIND_VIRTUAL_PORT.at([index]), port(bind.service.port())),
        (BIND_REAL.at([index]), text(&real_name(*bind.server.ip()))),
        (BIND_REAL_PORT.at([index]), port(bind.server.port())),
        (BIND_ROW.at([index]), Value::Integer(row::CREATE)),
    ]
}

/// Takes a binding's row out.
pub(super) fn unbind(index: u32) -> Pdu {
    vec![(BIND_ROW.at([index]), Value::Integer(row::DELETE))]
}
