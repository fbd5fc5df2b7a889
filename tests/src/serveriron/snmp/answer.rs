//! What requests are answered (RFC 3416 section 4.2), whatever they came in.

use std::{
    net::Ipv4Addr,
    ops::Bound::{Excluded, Unbounded},
    sync::{Arc, atomic::Ordering},
};

use rasn::types::{FixedOctetString, Integer, ObjectIdentifier};
use rasn_smi::{
    v1::{Counter, IpAddress, TimeTicks},
    v2::{ApplicationSyntax, ObjectSyntax, SimpleSyntax},
};
use rasn_snmp::v2::{BulkPdu, Pdu, Pdus, VarBind, VarBindValue};

use super::{
    mib::{self, Name, SYS_UP_TIME, Value, View},
    set::{Fault, set},
};
use crate::serveriron::{Hostile, Lost, device::Device};

/// What a response may take, as for an Ethernet frame.
pub(super) const MAX_RESPONSE: usize = 1472;
/// Room for what surrounds the variables, signatures included.
const OVERHEAD: usize = 200;
/// Rows of one GETBULK.
const MAX_REPETITIONS: u32 = 512;
const HUGE: usize = 60_000;
/// How deep below what was asked the endless rows are: a walk that begins at
/// any table or column stays inside of it.
const ENDLESS_DEPTH: usize = 16;

/// What a requester may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// SNMPv3 below the user's level of security.
    None,
    Read,
    Write,
}

/// What goes back.
#[derive(Debug)]
pub(super) enum Answer {
    Response(Pdu),
    /// No SNMP at all.
    Raw(Vec<u8>),
}

/// The objects, read again only when they may have changed.
#[derive(Debug)]
pub(super) struct Objects {
    device: Arc<Device>,
    view: View,
    revision: Option<u64>,
}

impl Objects {
    pub(super) fn new(device: Arc<Device>) -> Self {
        Self { device, view: View::new(), revision: None }
    }

    /// Does a request. `None` for what is never answered, and for answers that
    /// a fault has lost.
    pub(super) async fn answer(&mut self, pdus: Pdus, access: Access) -> Option<Answer> {
        self.device.commands.fetch_add(1, Ordering::Relaxed);
        let (lost, hostile) = {
            let mut faults = self.device.faults();
            (faults.count(), faults.hostile.clone())
        };
        if lost == Some(Lost::Command) {
            return None;
        }
        if let Some(hostile) = hostile {
            return lie(pdus, &hostile);
        }
        let response = match pdus {
            Pdus::GetRequest(request) => self.get(request.0, access),
            Pdus::GetNextRequest(request) => self.get_next(request.0, access),
            Pdus::GetBulkRequest(request) => self.get_bulk(request.0, access),
            Pdus::SetRequest(request) => self.set(request.0, access).await?,
            Pdus::Response(_) | Pdus::InformRequest(_) | Pdus::Trap(_) | Pdus::Report(_) => {
                return None;
            }
        };
        (lost != Some(Lost::Answer)).then_some(Answer::Response(response))
    }

    fn get(&mut self, request: Pdu, access: Access) -> Pdu {
        if access == Access::None {
            return failed(request, Pdu::ERROR_STATUS_AUTHORIZATION_ERROR, 0);
        }
        let view = self.view();
        let variables = request.variable_bindings.iter().map(|variable| {
            let name: &[u32] = &variable.name;
            let value = match view.get(name) {
                Some(value) => VarBindValue::Value(syntax(value)),
                None if mib::is_object(name) => VarBindValue::NoSuchInstance,
                None => VarBindValue::NoSuchObject,
            };
            VarBind { name: variable.name.clone(), value }
        });
        succeeded(variables.collect(), request)
    }

    fn get_next(&mut self, request: Pdu, access: Access) -> Pdu {
        if access == Access::None {
            return failed(request, Pdu::ERROR_STATUS_AUTHORIZATION_ERROR, 0);
        }
        let view = self.view();
        let variables = request.variable_bindings.iter();
        let variables = variables.map(|variable| next(view, &variable.name)).collect();
        succeeded(variables, request)
    }

    fn get_bulk(&mut self, request: BulkPdu, access: Access) -> Pdu {
        let BulkPdu { request_id, non_repeaters, max_repetitions, variable_bindings } = request;
        let asked = Pdu { request_id, error_status: 0, error_index: 0, variable_bindings };
        if access == Access::None {
            return failed(asked, Pdu::ERROR_STATUS_AUTHORIZATION_ERROR, 0);
        }
        let view = self.view();
        let once = usize::try_from(non_repeaters).unwrap_or(usize::MAX);
        let once = once.min(asked.variable_bindings.len());
        let (once, repeated) = asked.variable_bindings.split_at(once);
        let mut variables: Vec<VarBind> =
            once.iter().map(|variable| next(view, &variable.name)).collect();
        let mut names: Vec<ObjectIdentifier> =
            repeated.iter().map(|variable| variable.name.clone()).collect();
        // What does not fit is left away, from the end (section 4.2.3).
        let mut room = (MAX_RESPONSE - OVERHEAD).saturating_sub(size(&variables));
        'full: for _ in 0..max_repetitions.min(MAX_REPETITIONS) {
            let mut ended = true;
            for name in &mut names {
                let found = next(view, name);
                let taken = size(std::slice::from_ref(&found));
                let Some(left) = room.checked_sub(taken) else { break 'full };
                room = left;
                ended &= found.value == VarBindValue::EndOfMibView;
                name.clone_from(&found.name);
                variables.push(found);
            }
            if ended {
                break;
            }
        }
        Pdu { variable_bindings: variables, ..asked }
    }

    /// None where a fault has lost the answer.
    async fn set(&mut self, request: Pdu, access: Access) -> Option<Pdu> {
        match access {
            Access::None => return Some(failed(request, Pdu::ERROR_STATUS_AUTHORIZATION_ERROR, 0)),
            Access::Read => return Some(failed(request, Pdu::ERROR_STATUS_NO_ACCESS, 0)),
            Access::Write => {}
        }
        if let Some(status) = self.device.faults().refuse_sets {
            return Some(failed(request, status, 0));
        }
        let mut variables = Vec::new();
        for (at, variable) in request.variable_bindings.iter().enumerate() {
            match value(&variable.value) {
                Some(value) => variables.push((variable.name.to_vec(), value)),
                None => return Some(failed(request, Pdu::ERROR_STATUS_WRONG_TYPE, at)),
            }
        }
        let device = &self.device;
        let done = device.process(|| {
            let done = device.change(|state| set(state, &variables));
            (done.unwrap_or(0), done)
        });
        Some(match done.await? {
            Ok(_) => Pdu { error_status: 0, error_index: 0, ..request },
            Err(Fault { status, at }) => failed(request, status, at),
        })
    }

    fn view(&mut self) -> &View {
        let device = &self.device;
        let (stale, uptime) = device.read(|state| {
            let stale = (self.revision != Some(state.revision()))
                .then(|| (state.revision(), mib::view(state, &device.options.name)));
            (stale, state.uptime())
        });
        if let Some((revision, view)) = stale {
            self.revision = Some(revision);
            self.view = view;
        }
        // It turns over after 497 days, as the object does.
        let ticks = uptime.as_millis() / 10 % (1 << 32);
        let ticks = u32::try_from(ticks).unwrap_or(0);
        self.view.insert(SYS_UP_TIME.to_vec(), Value::Ticks(ticks));
        &self.view
    }
}

/// The first object after a name.
fn next(view: &View, name: &ObjectIdentifier) -> VarBind {
    let after: &[u32] = name;
    match view.range::<[u32], _>((Excluded(after), Unbounded)).next() {
        Some((name, value)) => {
            VarBind { name: identifier(name), value: VarBindValue::Value(syntax(value)) }
        }
        None => VarBind { name: name.clone(), value: VarBindValue::EndOfMibView },
    }
}

fn succeeded(variables: Vec<VarBind>, request: Pdu) -> Pdu {
    if size(&variables) > MAX_RESPONSE - OVERHEAD {
        let status = Pdu::ERROR_STATUS_TOO_BIG;
        return Pdu {
            error_status: status,
            error_index: 0,
            variable_bindings: Vec::new(),
            ..request
        };
    }
    Pdu { variable_bindings: variables, error_status: 0, error_index: 0, ..request }
}

/// `at` counts from 0, the protocol from 1.
pub(super) fn failed(request: Pdu, status: u32, at: usize) -> Pdu {
    let index = u32::try_from(at + 1).unwrap_or(u32::MAX);
    Pdu { error_status: status, error_index: index, ..request }
}

/// What variables take, in bytes.
fn size(variables: &[VarBind]) -> usize {
    let sizes = variables.iter().map(|variable| {
        // An encoding that fails will fail again where it matters.
        rasn::ber::encode(variable).map_or(0, |bytes| bytes.len())
    });
    sizes.sum()
}

pub(super) fn identifier(name: &[u32]) -> ObjectIdentifier {
    ObjectIdentifier::new_unchecked(name.to_vec().into())
}

fn syntax(value: &Value) -> ObjectSyntax {
    let simple = ObjectSyntax::Simple;
    let wide = ObjectSyntax::ApplicationWide;
    match value {
        Value::Integer(value) => simple(SimpleSyntax::Integer(Integer::from(*value))),
        Value::Text(text) => simple(SimpleSyntax::String(text.as_bytes().into())),
        Value::Name(name) => simple(SimpleSyntax::ObjectId(identifier(name))),
        Value::Counter(count) => wide(ApplicationSyntax::Counter(Counter(*count))),
        Value::Ticks(ticks) => wide(ApplicationSyntax::Ticks(TimeTicks(*ticks))),
        Value::Address(address) => {
            wide(ApplicationSyntax::Address(IpAddress(FixedOctetString::new(address.octets()))))
        }
    }
}

/// A value to be set; `None` for what no object of the box takes.
fn value(value: &VarBindValue) -> Option<Value> {
    let VarBindValue::Value(syntax) = value else { return None };
    Some(match syntax {
        ObjectSyntax::Simple(SimpleSyntax::Integer(value)) => {
            Value::Integer(i32::try_from(value).ok()?)
        }
        ObjectSyntax::Simple(SimpleSyntax::String(text)) => {
            Value::Text(String::from_utf8_lossy(text).into_owned())
        }
        ObjectSyntax::Simple(SimpleSyntax::ObjectId(name)) => Value::Name(name.to_vec()),
        ObjectSyntax::ApplicationWide(ApplicationSyntax::Address(IpAddress(octets))) => {
            let octets: [u8; 4] = octets.as_ref().try_into().ok()?;
            Value::Address(Ipv4Addr::from(octets))
        }
        ObjectSyntax::ApplicationWide(ApplicationSyntax::Ticks(TimeTicks(ticks))) => {
            Value::Ticks(*ticks)
        }
        ObjectSyntax::ApplicationWide(_) => return None,
    })
}

fn lie(pdus: Pdus, hostile: &Hostile) -> Option<Answer> {
    let request = match pdus {
        Pdus::GetRequest(request) => request.0,
        Pdus::GetNextRequest(request) => request.0,
        Pdus::SetRequest(request) => request.0,
        Pdus::GetBulkRequest(request) => {
            let BulkPdu { request_id, variable_bindings, .. } = request.0;
            Pdu { request_id, error_status: 0, error_index: 0, variable_bindings }
        }
        Pdus::Response(_) | Pdus::InformRequest(_) | Pdus::Trap(_) | Pdus::Report(_) => {
            return None;
        }
    };
    let with = |value: ObjectSyntax, successor: bool| {
        let variables = request.variable_bindings.iter().map(|variable| {
            let mut name: Name = variable.name.to_vec();
            let depth = name.len();
            match name.last_mut() {
                Some(last) if successor && depth >= ENDLESS_DEPTH => *last = last.wrapping_add(1),
                _ if successor => name.push(1),
                _ => {}
            }
            VarBind { name: identifier(&name), value: VarBindValue::Value(value.clone()) }
        });
        let variable_bindings = variables.collect();
        Answer::Response(Pdu { variable_bindings, ..request.clone() })
    };
    Some(match hostile {
        Hostile::Huge(length) => {
            let text = "x".repeat((*length).min(HUGE));
            with(syntax(&Value::Text(text)), false)
        }
        // There is always one more row.
        Hostile::Endless => with(syntax(&Value::Integer(1)), true),
        Hostile::Binary => Answer::Raw((0..=255).cycle().take(1024).collect()),
        Hostile::Bytes(bytes) => Answer::Raw(bytes.clone()),
    })
}
