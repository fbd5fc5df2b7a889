//! What rows of a SET do to the box.

use std::net::Ipv4Addr;

use rasn_snmp::v2::Pdu;

use super::{
    mib::Table,
    set::{Fault, Key, Row, Wish, status_column},
};
use crate::serveriron::{Binding, Predictor, Refusal, State};

const BAD: u32 = Pdu::ERROR_STATUS_INCONSISTENT_VALUE;
const NO_ROW: u32 = Pdu::ERROR_STATUS_INCONSISTENT_NAME;

pub(super) fn apply(
    state: &mut State,
    table: Table,
    key: Key,
    wish: Wish,
    row: &Row,
) -> Result<(), Fault> {
    match (table, key) {
        (Table::Bind, Key::Bind(index)) => bind(state, index, wish, row),
        (Table::Real, Key::Server(address)) => real(state, address, wish, row),
        (Table::RealPort, Key::Port(address, port)) => real_port(state, address, port, wish, row),
        (Table::Virtual, Key::Server(address)) => virtual_server(state, address, wish, row),
        (Table::VirtualPort, Key::Port(address, port)) => {
            virtual_port(state, address, port, wish, row)
        }
        _ => Err(row.fault(0, NO_ROW)),
    }
}

fn bind(state: &mut State, index: u32, wish: Wish, row: &Row) -> Result<(), Fault> {
    let status = status_column(Table::Bind);
    let held = state.running.binds.get(&index).map(|bind| bind.binding.clone());
    match (wish, held) {
        (Wish::Create, held) => {
            let columns = (row.text(2), row.port(3), row.text(4), row.port(5));
            let (Some(server), Some(port), Some(real), Some(real_port)) = columns else {
                return Err(row.fault(status, BAD));
            };
            let binding = Binding::new(server, port, real, real_port);
            // What waits for its end may be asked for again, which is a violation.
            let twin = state.running.bind_of(&binding);
            let leaving = twin
                .and_then(|twin| state.running.binds.get(&twin))
                .is_some_and(|bind| bind.life.leaving);
            if !leaving && (twin.is_some() || held.is_some()) {
                return Err(row.fault(status, BAD));
            }
            state.bind_at(index, binding).map_err(|refusal| row.refused(status, &refusal))
        }
        (_, None) => Err(row.fault(status, NO_ROW)),
        // Whether columns of a valid row may change is not in the facts: no.
        (Wish::Change, Some(held)) => {
            let same = row.text(2).is_none_or(|name| name == held.virtual_server)
                && row.port(3).is_none_or(|port| port == held.virtual_port)
                && row.text(4).is_none_or(|name| name == held.real_server)
                && row.port(5).is_none_or(|port| port == held.real_port);
            if same { Ok(()) } else { Err(row.fault(0, BAD)) }
        }
        (Wish::Delete, Some(held)) => {
            state.unbind(&held).map_err(|refusal| row.refused(status, &refusal))
        }
    }
}

fn real(state: &mut State, address: Ipv4Addr, wish: Wish, row: &Row) -> Result<(), Fault> {
    let reals = state.running.reals.iter();
    let held = reals
        .filter(|(_, real)| real.address == address)
        .map(|(name, real)| (name.clone(), real.life.leaving))
        .next();
    let status = status_column(Table::Real);
    let name = named(held, wish, row, status)?;
    let refused = |column| move |refusal: Refusal| row.refused(column, &refusal);
    if wish == Wish::Delete {
        return state.delete_real(&name).map_err(refused(status));
    }
    if wish == Wish::Create {
        state.define_real(&name, address).map_err(refused(status))?;
    }
    if let Some(enabled) = row.flag(3) {
        state.enable_real(&name, enabled).map_err(refused(3))?;
    }
    if let Some(most) = unsigned(row, 4) {
        state.set_max_connections(&name, most).map_err(refused(4))?;
    }
    if let Some(weight) = unsigned(row, 5) {
        state.set_weight(&name, weight).map_err(refused(5))?;
    }
    Ok(())
}

fn virtual_server(
    state: &mut State,
    address: Ipv4Addr,
    wish: Wish,
    row: &Row,
) -> Result<(), Fault> {
    let servers = state.running.virtuals.iter();
    let held = servers
        .filter(|(_, server)| server.address == address)
        .map(|(name, server)| (name.clone(), server.life.leaving))
        .next();
    let status = status_column(Table::Virtual);
    let name = named(held, wish, row, status)?;
    let refused = |column| move |refusal: Refusal| row.refused(column, &refusal);
    if wish == Wish::Delete {
        return state.delete_virtual(&name).map_err(refused(status));
    }
    if wish == Wish::Create {
        state.define_virtual(&name, address).map_err(refused(status))?;
    }
    if let Some(enabled) = row.flag(3) {
        state.enable_virtual(&name, enabled).map_err(refused(3))?;
    }
    if let Some(algorithm) = row.integer(4) {
        let predictor = match algorithm {
            1 => Some(Predictor::LeastConnections),
            2 => Some(Predictor::RoundRobin),
            3 => Some(Predictor::Weighted),
            _ => None,
        };
        state.set_virtual_predictor(&name, predictor).map_err(refused(4))?;
    }
    Ok(())
}

fn real_port(
    state: &mut State,
    address: Ipv4Addr,
    port: u16,
    wish: Wish,
    row: &Row,
) -> Result<(), Fault> {
    let status = status_column(Table::RealPort);
    let mut reals = state.running.reals.iter();
    let Some((name, real)) = reals.find(|(_, real)| real.address == address) else {
        return Err(row.fault(status, NO_ROW));
    };
    let name = name.clone();
    let held = real.ports.get(&port).map(|found| (found.life.enabled, found.life.leaving));
    let enabled = of_port(&name, held, wish, row, (2, 4), status)?;
    let refused = |refusal: Refusal| row.refused(status, &refusal);
    match enabled {
        Some(enabled) => state.set_real_port(&name, port, enabled).map_err(refused),
        None => state.delete_real_port(&name, port).map_err(refused),
    }
}

fn virtual_port(
    state: &mut State,
    address: Ipv4Addr,
    port: u16,
    wish: Wish,
    row: &Row,
) -> Result<(), Fault> {
    let status = status_column(Table::VirtualPort);
    let mut servers = state.running.virtuals.iter();
    let Some((name, server)) = servers.find(|(_, server)| server.address == address) else {
        return Err(row.fault(status, NO_ROW));
    };
    let name = name.clone();
    let held = server.ports.get(&port).map(|found| (found.life.enabled, found.life.leaving));
    let enabled = of_port(&name, held, wish, row, (3, 4), status)?;
    let refused = |refusal: Refusal| row.refused(status, &refusal);
    let Some(enabled) = enabled else {
        return state.delete_virtual_port(&name, port).map_err(refused);
    };
    state.set_virtual_port(&name, port, enabled).map_err(refused)?;
    state.set_virtual_port_flags(&name, port, row.flag(5), row.flag(6)).map_err(refused)
}

/// The name of the server that a row is about. `held` is the name that its
/// address has, and whether that server waits for its end.
fn named(
    held: Option<(String, bool)>,
    wish: Wish,
    row: &Row,
    status: u32,
) -> Result<String, Fault> {
    let given = row.text(2);
    match (wish, held) {
        (Wish::Create, None) => given.map(str::to_owned).ok_or_else(|| row.fault(status, BAD)),
        // Again, while it waits: a violation, which the box will note.
        (Wish::Create, Some((held, true))) if given == Some(&held) => Ok(held),
        (Wish::Create, Some(_)) => Err(row.fault(status, BAD)),
        (_, None) => Err(row.fault(status, NO_ROW)),
        // A server cannot be renamed.
        (_, Some((held, _))) => match given {
            Some(given) if given != held => Err(row.fault(2, BAD)),
            _ => Ok(held),
        },
    }
}

/// Whether a port is to be enabled; `None` deletes it. `held` is whether it is
/// enabled and whether it waits for its end; `columns` are those of the
/// server's name and of AdminStatus.
fn of_port(
    server: &str,
    held: Option<(bool, bool)>,
    wish: Wish,
    row: &Row,
    columns: (u32, u32),
    status: u32,
) -> Result<Option<bool>, Fault> {
    let (name, admin) = columns;
    if row.text(name).is_some_and(|given| given != server) {
        return Err(row.fault(name, BAD));
    }
    match (wish, held) {
        (Wish::Create, None | Some((_, true))) => Ok(Some(row.flag(admin).unwrap_or(true))),
        (Wish::Create, Some((_, false))) => Err(row.fault(status, BAD)),
        (_, None) => Err(row.fault(status, NO_ROW)),
        (Wish::Change, Some((enabled, _))) => Ok(Some(row.flag(admin).unwrap_or(enabled))),
        (Wish::Delete, Some(_)) => Ok(None),
    }
}

fn unsigned(row: &Row, column: u32) -> Option<u32> {
    row.integer(column)?.try_into().ok()
}
