//! From what a device holds to a switch state.

use super::*;
use crate::switch::lift::{lift, named_as};

/// A known state with weights out of range, a drain, and a share that a drop server
/// refuses.
fn known() -> SwitchState {
    let mut known = www(&[("192.0.2.1:80", 5000), ("192.0.2.2:80", 2500)]);
    known.bindings.insert(key("www", "192.0.2.3:80"), Binding::new(77, Phase::Drain));
    refuse(&mut known, "default", 10.0);
    known
}

#[test]
fn a_device_that_holds_what_it_should_holds_all_of_the_state() {
    let known = known();
    let (held, _) = Plan::of(&known, &shape(ABLE));
    assert_eq!(lift(&held, &known, &shape(ABLE)), known);
}

#[test]
fn an_empty_device_holds_services_and_nothing_in_them() {
    let known = known();
    let lifted = lift(&Plan::default(), &known, &shape(ABLE));
    assert_eq!(lifted.services, known.services);
    assert!(lifted.bindings.is_empty() && lifted.policies.is_empty());
    assert_eq!(lifted.diff(&known).len(), 4, "three bindings and a policy are missing");
}

#[test]
fn what_another_hand_changed_is_seen_and_the_rest_is_as_known() {
    let known = known();
    let (mut held, _) = Plan::of(&known, &shape(ABLE));
    let servers = &mut held.services.get_mut(&name("www")).unwrap().servers;
    servers.remove(&address("192.0.2.1:80"));
    servers.get_mut(&address("192.0.2.2:80")).unwrap().weight = 9;
    let stranger = super::super::PlannedServer { weight: 4, phase: Phase::Serve };
    servers.insert(address("192.0.2.7:80"), stranger);
    let lifted = lift(&held, &known, &shape(ABLE));
    let expected = [
        (key("www", "192.0.2.2:80"), Binding::new(9, Phase::Serve)),
        (key("www", "192.0.2.3:80"), Binding::new(77, Phase::Drain)),
        (key("www", "192.0.2.7:80"), Binding::new(4, Phase::Serve)),
    ];
    assert_eq!(lifted.bindings.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(lifted.policies, known.policies, "the drop server is as it should be");
}

#[test]
fn a_drop_server_that_is_gone_is_a_policy_that_is_gone() {
    let known = known();
    let (mut held, _) = Plan::of(&known, &shape(ABLE));
    held.services.get_mut(&name("www")).unwrap().servers.remove(&address(SINK));
    let lifted = lift(&held, &known, &shape(ABLE));
    assert!(lifted.policies.is_empty());
    assert_eq!(lifted.bindings, known.bindings);
}

#[test]
fn a_manager_that_has_just_started_finds_bindings_but_no_drop_server() {
    let (held, _) = Plan::of(&known(), &shape(ABLE));
    let fresh = www(&[]);
    let lifted = lift(&held, &fresh, &shape(ABLE));
    let found: Vec<_> = lifted.bindings.keys().map(|key| key.backend.to_string()).collect();
    assert_eq!(found, ["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"]);
    let unknown = lift(&held, &SwitchState::default(), &shape(ABLE));
    assert_eq!(unknown.services[&name("www")].address, address("203.0.113.10:80").into());
    assert_eq!(unknown.bindings.len(), 3);
}

#[test]
fn what_a_device_cannot_have_is_not_its_to_lose() {
    let mut known = known();
    known.services.insert(name("six"), service("six", "[2001:db8::1]:80"));
    known.bindings.insert(key("six", "[2001:db8::2]:80"), Binding::new(1, Phase::Serve));
    let old = shape(Capabilities { ipv6: false, ..ABLE });
    let lifted = lift(&Plan::default(), &known, &old);
    assert_eq!(lifted.bindings.keys().collect::<Vec<_>>(), [&key("six", "[2001:db8::2]:80")]);
}

#[test]
fn a_service_is_known_by_its_address_whatever_the_device_calls_it() {
    let (planned, _) = Plan::of(&known(), &shape(ABLE));
    let mut held = planned.clone();
    let service = held.services.remove(&name("www")).unwrap();
    let elsewhere = super::super::PlannedService { port: 81, ..service.clone() };
    held.services.insert(name("203.0.113.10-80"), service);
    held.services.insert(name("other"), elsewhere);
    let named = named_as(held, &planned);
    assert_eq!(named.services.keys().collect::<Vec<_>>(), [&name("other"), &name("www")]);
    assert_eq!(named.services[&name("www")], planned.services[&name("www")]);
}
