//! SET requests: all of a request is done, or nothing of it (RFC 3416
//! section 4.2.5).

use std::{collections::BTreeMap, net::Ipv4Addr};

use rasn_snmp::v2::Pdu;

use super::{
    mib::{self, Name, Table, Value, row},
    rows,
};
use crate::serveriron::{Bind, Config, Real, Refusal, State, Virtual};

/// Why a SET is refused: an error-status, and which variable it is about,
/// counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: u32,
    pub(super) at: usize,
}

/// What a SET says of one row.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Its first variable.
    first: usize,
    columns: BTreeMap<u32, (usize, Value)>,
}

impl Row {
    /// The value of a column, if it was set.
    pub(super) fn get(&self, column: u32) -> Option<&Value> {
        self.columns.get(&column).map(|(_, value)| value)
    }

    pub(super) fn text(&self, column: u32) -> Option<&str> {
        match self.get(column)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn integer(&self, column: u32) -> Option<i32> {
        match self.get(column)? {
            Value::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// L4Status or TruthValue-like columns: 0 or 1.
    pub(super) fn flag(&self, column: u32) -> Option<bool> {
        self.integer(column).map(|value| value != 0)
    }

    pub(super) fn port(&self, column: u32) -> Option<u16> {
        self.integer(column)?.try_into().ok()
    }

    /// A fault of one column, or of the row.
    pub(super) fn fault(&self, column: u32, status: u32) -> Fault {
        Fault { status, at: self.columns.get(&column).map_or(self.first, |(at, _)| *at) }
    }

    /// The same for what the box refused.
    pub(super) fn refused(&self, column: u32, refusal: &Refusal) -> Fault {
        let status = match refusal {
            Refusal::Full(_) => Pdu::ERROR_STATUS_RESOURCE_UNAVAILABLE,
            Refusal::Value { .. } => Pdu::ERROR_STATUS_WRONG_VALUE,
            Refusal::Unknown { .. } | Refusal::Taken { .. } | Refusal::NotBound(_) => {
                Pdu::ERROR_STATUS_INCONSISTENT_VALUE
            }
        };
        self.fault(column, status)
    }
}

/// The row that an index names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Bind(u32),
    Server(Ipv4Addr),
    Port(Ipv4Addr, u16),
}

/// What a row is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    Create,
    Change,
    Delete,
}

/// Does a SET, and says how many rows it changed.
///
/// Rows are made and changed before others go, and made in the order of what
/// they build on; a request's variables may come in any order.
pub(super) fn set(state: &mut State, variables: &[(Name, Value)]) -> Result<usize, Fault> {
    let rows = sort(variables)?;
    let mut work = Vec::new();
    for ((table, key), found) in &rows {
        work.push((wish(*table, found)?, *table, *key, found));
    }
    let before = Before::of(state, &work);
    let making = work.iter().filter(|(wish, ..)| *wish != Wish::Delete);
    let deleting = work.iter().rev().filter(|(wish, ..)| *wish == Wish::Delete);
    for (wish, table, key, found) in making.chain(deleting) {
        if let Err(fault) = rows::apply(state, *table, *key, *wish, found) {
            before.restore(state);
            return Err(fault);
        }
    }
    Ok(rows.len())
}

/// What is put back where a request is refused: of one row, what it is about, so that
/// a full box is not copied for each of many.
enum Before {
    Bind(u32, Option<Bind>),
    Real(Ipv4Addr, Option<(String, Real)>),
    Virtual(Ipv4Addr, Option<(String, Virtual)>),
    All(Box<Config>),
    /// A row that goes has no columns of which one could be refused after another.
    Nothing,
}

impl Before {
    fn of(state: &State, work: &[(Wish, Table, Key, &Row)]) -> Self {
        let config = &state.running;
        match *work {
            [(Wish::Create | Wish::Change, table, key, _)] => match (table, key) {
                (_, Key::Bind(index)) => Self::Bind(index, config.binds.get(&index).cloned()),
                (Table::Real | Table::RealPort, Key::Server(at) | Key::Port(at, _)) => {
                    let mut all = config.reals.iter();
                    let found = all.find(|(_, real)| real.address == at);
                    Self::Real(at, found.map(|(name, real)| (name.clone(), real.clone())))
                }
                (_, Key::Server(at) | Key::Port(at, _)) => {
                    let mut all = config.virtuals.iter();
                    let found = all.find(|(_, server)| server.address == at);
                    Self::Virtual(at, found.map(|(name, server)| (name.clone(), server.clone())))
                }
            },
            [(Wish::Delete, ..)] | [] => Self::Nothing,
            _ => Self::All(Box::new(config.clone())),
        }
    }

    fn restore(self, state: &mut State) {
        let config = &mut state.running;
        match self {
            Self::Bind(index, before) => {
                config.binds.remove(&index);
                config.binds.extend(before.map(|bind| (index, bind)));
            }
            Self::Real(at, before) => {
                config.reals.retain(|_, real| real.address != at);
                config.reals.extend(before);
            }
            Self::Virtual(at, before) => {
                config.virtuals.retain(|_, server| server.address != at);
                config.virtuals.extend(before);
            }
            Self::All(before) => *config = *before,
            Self::Nothing => {}
        }
    }
}

/// Column RowStatus.
pub(super) fn status_column(table: Table) -> u32 {
    match table {
        Table::VirtualPort => 7,
        Table::RealPort | Table::Virtual => 5,
        Table::Bind | Table::Real | Table::RealStatus | Table::RealPortStatus => 6,
    }
}

/// Checks each variable by itself, and sorts them by row.
fn sort(variables: &[(Name, Value)]) -> Result<BTreeMap<(Table, Key), Row>, Fault> {
    let mut rows: BTreeMap<(Table, Key), Row> = BTreeMap::new();
    for (at, (name, value)) in variables.iter().enumerate() {
        let fault = |status| Fault { status, at };
        let (table, column, index) =
            mib::locate(name).ok_or(fault(Pdu::ERROR_STATUS_NOT_WRITABLE))?;
        let kind = kind(table, column).ok_or(fault(Pdu::ERROR_STATUS_NOT_WRITABLE))?;
        check(kind, value).map_err(fault)?;
        let key = key(table, index).ok_or(fault(Pdu::ERROR_STATUS_NO_CREATION))?;
        let row = rows.entry((table, key)).or_insert(Row { first: at, ..Row::default() });
        row.columns.insert(column, (at, value.clone()));
    }
    Ok(rows)
}

fn key(table: Table, index: &[u32]) -> Option<Key> {
    let octet = |part: u32| u8::try_from(part).ok();
    match (table, index) {
        (Table::Bind, [index @ 1..=2048]) => Some(Key::Bind(*index)),
        (Table::Real | Table::Virtual, &[a, b, c, d]) => {
            Some(Key::Server(Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?)))
        }
        (Table::RealPort | Table::VirtualPort, &[a, b, c, d, port]) => {
            let address = Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?);
            Some(Key::Port(address, port.try_into().ok()?))
        }
        _ => None,
    }
}

/// What a column takes.
#[derive(Clone, Copy)]
enum Kind {
    /// 1..32 characters.
    Name,
    /// Within these bounds.
    Integer(i32, i32),
}

/// `None` for what cannot be written. Indexes and DeleteState cannot.
fn kind(table: Table, column: u32) -> Option<Kind> {
    const FLAG: Kind = Kind::Integer(0, 1);
    const PORT: Kind = Kind::Integer(0, 65_535);
    let status = Kind::Integer(row::OTHER, row::MODIFY);
    Some(match (table, column) {
        (Table::Bind, 2 | 4) | (Table::Real | Table::RealPort | Table::Virtual, 2) => Kind::Name,
        (Table::Bind, 3 | 5) => PORT,
        // It knows no `modify`.
        (Table::Bind, 6) => Kind::Integer(row::OTHER, row::CREATE),
        (Table::Real | Table::Virtual, 3) | (Table::RealPort, 4) => FLAG,
        (Table::Real, 4) => Kind::Integer(1, i32::MAX),
        (Table::Real, 5) => Kind::Integer(0, i32::MAX),
        (Table::Virtual, 4) => Kind::Integer(0, 3),
        (Table::VirtualPort, 3) => Kind::Name,
        (Table::VirtualPort, 4..=6) => FLAG,
        (Table::Real, 6) | (Table::RealPort | Table::Virtual, 5) | (Table::VirtualPort, 7) => {
            status
        }
        _ => return None,
    })
}

fn check(kind: Kind, value: &Value) -> Result<(), u32> {
    match (kind, value) {
        (Kind::Name, Value::Text(text)) if (1..=32).contains(&text.len()) => Ok(()),
        (Kind::Name, Value::Text(_)) => Err(Pdu::ERROR_STATUS_WRONG_LENGTH),
        (Kind::Integer(least, most), Value::Integer(value)) if (least..=most).contains(value) => {
            Ok(())
        }
        (Kind::Integer(..), Value::Integer(_)) => Err(Pdu::ERROR_STATUS_WRONG_VALUE),
        _ => Err(Pdu::ERROR_STATUS_WRONG_TYPE),
    }
}

fn wish(table: Table, found: &Row) -> Result<Wish, Fault> {
    let column = status_column(table);
    match found.integer(column) {
        None | Some(row::VALID | row::MODIFY) => Ok(Wish::Change),
        Some(row::CREATE) => Ok(Wish::Create),
        Some(row::DELETE) => Ok(Wish::Delete),
        Some(_) => Err(found.fault(column, Pdu::ERROR_STATUS_WRONG_VALUE)),
    }
}
