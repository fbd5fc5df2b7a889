//! The objects of FOUNDRY-SN-SW-L4-SWITCH-GROUP-MIB that the facts list, and
//! of the system group (RFC 3418) what finds the box and its reboots.

use std::{collections::BTreeMap, net::Ipv4Addr};

use crate::serveriron::{Predictor, State};

/// An object's name.
pub(super) type Name = Vec<u32>;

/// Everything readable, in the order of a walk.
pub(super) type View = BTreeMap<Name, Value>;

/// What an object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Integer(i32),
    Counter(u32),
    /// In hundredths of a second.
    Ticks(u32),
    Text(String),
    Address(Ipv4Addr),
    Name(Name),
}

pub(super) const SYS_UP_TIME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];
pub(super) const ENTERPRISE: [u32; 7] = [1, 3, 6, 1, 4, 1, 1991];
const SYSTEM: [u32; 7] = [1, 3, 6, 1, 2, 1, 1];
/// sysDescr, sysObjectID, sysUpTime, sysName
const SYSTEM_OBJECTS: [u32; 4] = [1, 2, 3, 5];
const L4: [u32; 10] = [1, 3, 6, 1, 4, 1, 1991, 1, 1, 4];

/// L4RowSts, which is not RFC 2579's RowStatus.
pub(super) mod row {
    pub(in super::super) const OTHER: i32 = 1;
    pub(in super::super) const VALID: i32 = 2;
    pub(in super::super) const DELETE: i32 = 3;
    pub(in super::super) const CREATE: i32 = 4;
    pub(in super::super) const MODIFY: i32 = 5;
}

/// DeleteState
const DONE: i32 = 0;
const WAIT_UNBIND: i32 = 1;
const WAIT_DELETE: i32 = 2;

/// The tables, in the order of what they build on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Real,
    RealPort,
    Virtual,
    VirtualPort,
    Bind,
    RealStatus,
    RealPortStatus,
}

impl Table {
    const ALL: [Self; 7] = [
        Self::Real,
        Self::RealPort,
        Self::Virtual,
        Self::VirtualPort,
        Self::Bind,
        Self::RealStatus,
        Self::RealPortStatus,
    ];

    /// Below [`L4`].
    fn number(self) -> u32 {
        match self {
            Self::Bind => 6,
            Self::Real => 19,
            Self::RealPort => 20,
            Self::Virtual => 21,
            Self::VirtualPort => 22,
            Self::RealStatus => 23,
            Self::RealPortStatus => 24,
        }
    }

    pub(super) fn columns(self) -> &'static [u32] {
        match self {
            Self::Bind | Self::RealPort | Self::Virtual => &[1, 2, 3, 4, 5, 6],
            Self::Real => &[1, 2, 3, 4, 5, 6, 7],
            Self::VirtualPort => &[1, 2, 3, 4, 5, 6, 7, 8],
            Self::RealStatus => &[5, 6, 8],
            Self::RealPortStatus => &[5, 7, 8, 9, 10, 11, 12, 13],
        }
    }

    fn name(self, column: u32, index: &[u32]) -> Name {
        [&L4[..], &[self.number(), 1, 1, column], index].concat()
    }
}

/// Where a name is: table, column, index.
pub(super) fn locate(name: &[u32]) -> Option<(Table, u32, &[u32])> {
    match name.strip_prefix(&L4)? {
        [number, 1, 1, column, index @ ..] => {
            let table = Table::ALL.into_iter().find(|table| table.number() == *number)?;
            table.columns().contains(column).then_some((table, *column, index))
        }
        _ => None,
    }
}

/// Whether there is such a kind of object, whatever instances it has.
pub(super) fn is_object(name: &[u32]) -> bool {
    let system = name.strip_prefix(&SYSTEM).and_then(|rest| rest.first());
    locate(name).is_some() || system.is_some_and(|object| SYSTEM_OBJECTS.contains(object))
}

/// Everything but the time, which [`SYS_UP_TIME`] must be set to.
pub(super) fn view(state: &State, box_name: &str) -> View {
    let mut view = View::new();
    let scalar = |object: u32| [&SYSTEM[..], &[object, 0]].concat();
    view.insert(scalar(1), Value::Text("Simulated ServerIron".to_owned()));
    view.insert(scalar(2), Value::Name(ENTERPRISE.to_vec()));
    view.insert(scalar(3), Value::Ticks(0));
    view.insert(scalar(5), Value::Text(box_name.to_owned()));
    binds(state, &mut view);
    reals(state, &mut view);
    virtuals(state, &mut view);
    view
}

/// Index of a server's row.
pub(super) fn server_index(address: Ipv4Addr) -> [u32; 4] {
    address.octets().map(u32::from)
}

/// Index of a port's row.
pub(super) fn port_index(address: Ipv4Addr, port: u16) -> [u32; 5] {
    let [a, b, c, d] = server_index(address);
    [a, b, c, d, port.into()]
}

/// Values of a row, in the order of the table's columns.
fn put<const N: usize>(view: &mut View, table: Table, index: &[u32], values: [Value; N]) {
    for (column, value) in table.columns().iter().zip(values) {
        view.insert(table.name(*column, index), value);
    }
}

fn binds(state: &State, view: &mut View) {
    for (index, bind) in &state.running.binds {
        let binding = &bind.binding;
        put(
            view,
            Table::Bind,
            &[*index],
            [
                number(*index),
                Value::Text(binding.virtual_server.clone()),
                Value::Integer(binding.virtual_port.into()),
                Value::Text(binding.real_server.clone()),
                Value::Integer(binding.real_port.into()),
                Value::Integer(row::VALID),
            ],
        );
    }
}

fn reals(state: &State, view: &mut View) {
    let standings = state.standings();
    for (name, real) in &state.running.reals {
        let index = server_index(real.address);
        put(
            view,
            Table::Real,
            &index,
            [
                Value::Address(real.address),
                Value::Text(name.clone()),
                Value::Integer(real.life.enabled.into()),
                number(real.max_connections),
                number(real.weight),
                Value::Integer(row::VALID),
                delete_state(real.life.leaving, standings.unbinding(name, None)),
            ],
        );
        let mut total = 0;
        for (port, found) in &real.ports {
            let index = port_index(real.address, *port);
            put(
                view,
                Table::RealPort,
                &index,
                [
                    Value::Address(real.address),
                    Value::Text(name.clone()),
                    Value::Integer((*port).into()),
                    Value::Integer(found.life.enabled.into()),
                    Value::Integer(row::VALID),
                    delete_state(found.life.leaving, standings.unbinding(name, Some(*port))),
                ],
            );
            let totals = state.totals(name, *port);
            total += totals.connections;
            let standing = standings.port(name, *port);
            put(
                view,
                Table::RealPortStatus,
                &index,
                [
                    Value::Integer(standing.map_or(0, |standing| standing.number())),
                    number(state.connections_of_port(name, *port)),
                    Value::Counter(totals.connections),
                    // No packet is carried, so none is counted.
                    Value::Counter(0),
                    Value::Counter(0),
                    Value::Counter(0),
                    Value::Counter(0),
                    number(totals.peak),
                ],
            );
        }
        let standing = standings.real(name);
        put(
            view,
            Table::RealStatus,
            &index,
            [
                number(state.connections_of_real(name)),
                Value::Counter(total),
                Value::Integer(standing.map_or(0, |standing| standing.server_number())),
            ],
        );
    }
}

fn virtuals(state: &State, view: &mut View) {
    for (name, server) in &state.running.virtuals {
        put(
            view,
            Table::Virtual,
            &server_index(server.address),
            [
                Value::Address(server.address),
                Value::Text(name.clone()),
                Value::Integer(server.life.enabled.into()),
                Value::Integer(algorithm(server.predictor)),
                Value::Integer(row::VALID),
                delete_state(server.life.leaving, false),
            ],
        );
        for (port, found) in &server.ports {
            put(
                view,
                Table::VirtualPort,
                &port_index(server.address, *port),
                [
                    Value::Address(server.address),
                    Value::Integer((*port).into()),
                    Value::Text(name.clone()),
                    Value::Integer(found.life.enabled.into()),
                    Value::Integer(found.sticky.into()),
                    Value::Integer(found.concurrent.into()),
                    Value::Integer(row::VALID),
                    delete_state(found.life.leaving, false),
                ],
            );
        }
    }
}

/// SDAType
fn algorithm(predictor: Option<Predictor>) -> i32 {
    match predictor {
        None => 0,
        Some(Predictor::LeastConnections) => 1,
        Some(Predictor::RoundRobin) => 2,
        Some(Predictor::Weighted) => 3,
    }
}

fn delete_state(leaving: bool, unbinding: bool) -> Value {
    Value::Integer(match (leaving, unbinding) {
        (true, _) => WAIT_DELETE,
        (false, true) => WAIT_UNBIND,
        (false, false) => DONE,
    })
}

/// An INTEGER that counts something.
fn number(value: u32) -> Value {
    Value::Integer(value.try_into().unwrap_or(i32::MAX))
}
