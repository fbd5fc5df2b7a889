//! `[[service]]` and `[[class]]`: what a switch would refuse, found by making
//! the state that switches will be given.

use std::collections::HashSet;

use super::{Faults, Place};
use crate::{
    config::{ProbeKind, ServiceSettings, Settings},
    model::{Change, Name, Protocol, StateError, SwitchState},
};

pub(super) fn check(settings: &Settings, faults: &mut Faults) {
    let mut state = SwitchState::default();
    classes(settings, &mut state, faults);
    let mut names = HashSet::new();
    let mut placed = Vec::new();
    for (index, service) in settings.services.iter().enumerate() {
        let place = Place::default().element("service", index);
        if !names.insert(&service.name) {
            faults.push(place.key("name"), format!("service `{}` is given twice", service.name));
            continue;
        }
        health(service, &place, faults);
        slow_start(service, &place, faults);
        match state.apply(&Change::PutService(service.spec())) {
            Ok(()) => placed.push((service, place)),
            Err(error) => {
                let key = match error {
                    StateError::Ring { .. } => "ring_size",
                    StateError::NoUdp { .. } => "udp",
                    StateError::UdpIdle { .. } => "udp_idle",
                    StateError::NatPrefix { .. } => "mode",
                    StateError::ServerIdBytes { .. } => "server_id_bytes",
                    _ => "address",
                };
                faults.push(place.key(key), error);
            }
        }
    }
    // After all services, since a backend may be another service's address.
    for (service, place) in placed {
        backends(service, &place, &mut state, faults);
        policies(service, &place, &mut state, faults);
    }
}

fn slow_start(service: &ServiceSettings, place: &Place, faults: &mut Faults) {
    let place = place.key("slow_start");
    let slow = &service.slow_start;
    if slow.from_percent > 100 {
        faults.push(place.key("from_percent"), "`from_percent` is a share of the weight, 0 to 100");
    }
    // Each is a delta to every edge.
    if !(1..=1000).contains(&slow.steps) {
        faults.push(place.key("steps"), "`steps` is 1 to 1000");
    }
}

fn classes(settings: &Settings, state: &mut SwitchState, faults: &mut Faults) {
    let mut good = Vec::new();
    for (index, class) in settings.classes.iter().enumerate() {
        good.push(class.spec());
        if let Err(error) = state.apply(&Change::PutClasses(good.clone())) {
            good.pop();
            let place = Place::default().element("class", index);
            let key = match error {
                StateError::Dscp { .. } => "dscp",
                _ => "name",
            };
            faults.push(place.key(key), error);
        }
    }
}

fn health(service: &ServiceSettings, place: &Place, faults: &mut Faults) {
    let health = &service.health;
    let at = place.key("health");
    faults.periods(&at, &[("interval", health.interval), ("timeout", health.timeout)]);
    faults.counts(&at, &[("rise", health.rise), ("fall", health.fall)]);
    if health.port == Some(0) {
        faults.push(at.key("port"), format!("service `{}`: a port is 1 to 65535", service.name));
    }
    let probed = health.kind() != ProbeKind::None;
    if probed && health.port.is_none() && service.protocol == Protocol::Udp {
        faults.push(
            at.key("probe"),
            format!(
                "service `{}` takes no TCP, by which backends are probed: set `port` to one where \
                 they answer TCP, or `probe = \"none\"` and bind them by agents",
                service.name
            ),
        );
    }
    if !probed && !service.backends.is_empty() {
        faults.push(
            at.key("probe"),
            format!(
                "service `{}` has backends without an agent, which only a probe can vouch for: \
                 set `probe = \"path\"`, or bind them by agents",
                service.name
            ),
        );
    }
}

fn backends(
    service: &ServiceSettings,
    place: &Place,
    state: &mut SwitchState,
    faults: &mut Faults,
) {
    for (index, backend) in service.backends.iter().enumerate() {
        let entry = place.element("backend", index);
        let place = entry.key("address");
        let (key, binding) = service.binding(backend);
        if state.bindings.contains_key(&key) {
            faults.push(
                place,
                format!("service `{}` has backend {} twice", service.name, backend.address),
            );
        } else if let Err(error) = state.apply(&Change::PutBinding(key, binding)) {
            let of_id = matches!(
                error,
                StateError::ServerIdLength { .. } | StateError::ServerIdTaken { .. }
            );
            faults.push(if of_id { entry.key("server_id") } else { place }, error);
        }
    }
}

fn policies(
    service: &ServiceSettings,
    place: &Place,
    state: &mut SwitchState,
    faults: &mut Faults,
) {
    let mut seen: HashSet<&Name> = HashSet::new();
    for (index, settings) in service.policies.iter().enumerate() {
        let place = place.element("policy", index);
        let (name, class) = (&service.name, &settings.class);
        if !seen.insert(class) {
            faults.push(
                place.key("class"),
                format!("service `{name}` has a policy for class `{class}` twice"),
            );
        }
        let Some(policy) = settings.policy() else {
            faults.push(
                place.key("refuse_percent"),
                format!("service `{name}`: `refuse_percent` is 0 to 100"),
            );
            continue;
        };
        let change = Change::PutPolicy { service: name.clone(), class: class.clone(), policy };
        if let Err(error) = state.apply(&change) {
            faults.push(
                place.key("class"),
                format!("service `{name}`: {error}: add a [[class]], or use `default`"),
            );
        }
    }
}
