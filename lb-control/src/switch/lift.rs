//! From what a device holds to a switch state.

use std::net::SocketAddr;

use super::{Plan, PlannedService, Shape};
use crate::model::{
    Binding, BindingKey, DEFAULT_CLASS, Mode, Name, Policy, ServiceSpec, Share, SwitchState,
    Weight, retain,
};

/// What a device holds, under the names that are planned: not every device can keep a
/// service's name, and one of the same address, port and protocol is the same.
pub(super) fn named_as(held: Plan, planned: &Plan) -> Plan {
    let at = |service: &PlannedService| (service.address, service.port, service.protocol);
    let known = |service: &PlannedService| {
        planned.services.iter().find(|(_, known)| at(known) == at(service)).map(|(name, _)| name)
    };
    let named = held.services.into_iter().map(|(name, service)| {
        let name = known(&service).cloned().unwrap_or(name);
        (name, service)
    });
    Plan { services: named.collect() }
}

/// What a device that holds `held` is to the core, which knows it as `known`.
///
/// A device has fewer words than a state: where it holds what `known` makes of it,
/// the rest is as `known` has it. What the device cannot have at all is as known
/// too: it is not the device's to lose.
pub(super) fn lift(held: &Plan, known: &SwitchState, shape: &Shape) -> SwitchState {
    let (planned, _) = Plan::of(known, shape);
    let mut state = known.clone();
    for (name, service) in &planned.services {
        match held.services.get(name) {
            Some(there) if there == service => {}
            Some(there) => differs(name, there, service, known, shape, &mut state),
            None => forget(name, &mut state),
        }
    }
    let strange = held.services.iter().filter(|(name, _)| !planned.services.contains_key(*name));
    for (name, service) in strange {
        // One that is known and cannot be on the device: that is some other's.
        if !known.services.contains_key(name) {
            let address = SocketAddr::new(service.address, service.port);
            let spec = ServiceSpec {
                protocol: service.protocol,
                ..ServiceSpec::tcp(name.clone(), address, Mode::Nat)
            };
            state.services.insert(name.clone(), spec);
            servers(name, service, None, known, shape, &mut state);
        }
    }
    state
}

/// A service of which the device holds nothing.
fn forget(name: &Name, state: &mut SwitchState) {
    retain(&mut state.bindings, |key| key.service != *name);
    retain(&mut state.policies, |(service, _)| service != name);
}

fn differs(
    name: &Name,
    there: &PlannedService,
    planned: &PlannedService,
    known: &SwitchState,
    shape: &Shape,
    state: &mut SwitchState,
) {
    retain(&mut state.bindings, |key| {
        key.service != *name || !planned.servers.contains_key(&key.backend)
    });
    servers(name, there, Some(planned), known, shape, state);
    let emulated = |service: &PlannedService| {
        let sink = shape.drop_server(service.address);
        sink.and_then(|sink| service.servers.get(&sink).copied())
    };
    let refuses = |service: &PlannedService| (service.refuse, service.verdict, emulated(service));
    if refuses(there) != refuses(planned) {
        let default = |class: &Name| class.as_str() == DEFAULT_CLASS;
        retain(&mut state.policies, |(service, class)| service != name || !default(class));
        if there.refuse != Share::NONE
            && let Ok(class) = DEFAULT_CLASS.parse()
        {
            let policy =
                Policy { refuse: there.refuse, verdict: there.verdict, ..Policy::default() };
            state.policies.insert((name.clone(), class), policy);
        }
    }
}

/// The servers that the device has; those that are as planned are as known.
fn servers(
    name: &Name,
    there: &PlannedService,
    planned: Option<&PlannedService>,
    known: &SwitchState,
    shape: &Shape,
    state: &mut SwitchState,
) {
    // It is no binding, and goes when the plan has none.
    let sink = shape.drop_server(there.address);
    for (&backend, server) in there.servers.iter().filter(|(backend, _)| Some(**backend) != sink) {
        let key = BindingKey { service: name.clone(), backend };
        let as_planned = planned.and_then(|planned| planned.servers.get(&backend)) == Some(server);
        let binding = known.bindings.get(&key).filter(|_| as_planned).copied();
        let weight = Weight::try_from(server.weight).unwrap_or(Weight::MAX);
        let raw = || Binding::new(weight, server.phase);
        state.bindings.insert(key, binding.unwrap_or_else(raw));
    }
}
