use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;
use crate::model::{Phase, Share};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn spec(service: &str, address: &str, mode: Mode) -> ServiceSpec {
    let address: Vip = address.parse().unwrap();
    ServiceSpec { ring_size: 101, ..ServiceSpec::tcp(name(service), address, mode) }
}

fn put_service(service: &str, address: &str, mode: Mode) -> Change {
    Change::PutService(spec(service, address, mode))
}

fn key(service: &str, backend: &str) -> BindingKey {
    BindingKey { service: name(service), backend: backend.parse().unwrap() }
}

fn put_binding(service: &str, backend: &str) -> Change {
    Change::PutBinding(key(service, backend), Binding::new(1, Phase::Serve))
}

fn put_quic(service: &str, server_id_bytes: u8) -> Change {
    Change::PutService(ServiceSpec {
        protocol: Protocol::Udp,
        udp: crate::model::Udp::Quic,
        server_id_bytes,
        ..spec(service, "203.0.113.9:443", Mode::L2)
    })
}

fn put_named(service: &str, backend: &str, id: &str) -> Change {
    let server_id = Some(id.parse().unwrap());
    let binding = Binding { server_id, ..Binding::new(1, Phase::Serve) };
    Change::PutBinding(key(service, backend), binding)
}

fn put_policy(service: &str, class: &str, ppm: u32) -> Change {
    let policy = Policy { refuse: Share::from_ppm(ppm).unwrap(), ..Policy::default() };
    Change::PutPolicy { service: name(service), class: name(class), policy }
}

fn class(class: &str) -> ClassSpec {
    ClassSpec { name: name(class), sources: Vec::new(), dscp: Vec::new() }
}

fn state(changes: &[Change]) -> SwitchState {
    let mut state = SwitchState::default();
    for change in changes {
        state.apply(change).unwrap_or_else(|error| panic!("{change:?}: {error}"));
    }
    state
}

/// One l2 and one nat service with a backend each, and a class with a policy.
fn base() -> SwitchState {
    state(&[
        Change::PutClasses(vec![class("bots")]),
        put_service("www", "203.0.113.10:80", Mode::L2),
        put_service("api", "203.0.113.20:443", Mode::Nat),
        put_binding("www", "192.0.2.1:80"),
        put_binding("api", "192.0.2.1:8443"),
        put_policy("www", "bots", 5),
        put_policy("www", DEFAULT_CLASS, 6),
        put_quic("h3", 1),
        put_named("h3", "192.0.2.1:443", "01"),
    ])
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let table = [
        (put_service("web", "203.0.113.10:80", Mode::L2), "already the address of service `www`"),
        (put_service("web", "203.0.113.0/24:80", Mode::Nat), "is a prefix"),
        (put_service("web", "127.0.0.1:80", Mode::L2), "cannot be the address"),
        (put_service("web", "0.0.0.0:80", Mode::L2), "cannot be the address"),
        (put_service("web", "224.0.0.1:80", Mode::L2), "cannot be the address"),
        (put_service("web", "255.255.255.255:80", Mode::L2), "cannot be the address"),
        (put_service("web", "[::ffff:192.0.2.1]:80", Mode::L2), "cannot be the address"),
        (
            Change::PutService(ServiceSpec {
                ring_size: 0,
                ..spec("web", "203.0.113.30:80", Mode::L2)
            }),
            "a ring has 1 to 1048576 slots, not 0",
        ),
        (
            Change::PutService(ServiceSpec {
                server_id_bytes: 1,
                protocol: Protocol::Udp,
                ..spec("web", "203.0.113.30:80", Mode::L2)
            }),
            "`server_id_bytes` is 0 to 8, and more than 0 only with `udp = \"quic\"`",
        ),
        (put_quic("web", 9), "`server_id_bytes` is 0 to 8"),
        (put_quic("h3", 2), "takes server ids of 2 byte(s), and 192.0.2.1:443 has 01"),
        (put_named("h3", "192.0.2.2:443", "0101"), "takes server ids of 1 byte(s)"),
        (put_named("www", "192.0.2.1:80", "01"), "takes server ids of 0 byte(s)"),
        (
            put_named("h3", "192.0.2.2:443", "01"),
            "server id 01 of 192.0.2.2:443 is already that of h3/192.0.2.1:443",
        ),
        (put_service("www", "203.0.113.10:8080", Mode::L2), "must listen on port 8080"),
        (put_service("www", "[2001:db8::1]:80", Mode::L2), "different IP families"),
        (put_binding("nix", "192.0.2.1:80"), "there is no service `nix`"),
        (put_binding("www", "192.0.2.1:81"), "mode l2 does not rewrite ports"),
        (put_binding("www", "[2001:db8::1]:80"), "different IP families"),
        (put_binding("api", "[2001:db8::1]:80"), "mode nat does not translate"),
        (put_binding("api", "203.0.113.20:99"), "packets to it would come back to the edge"),
        (put_binding("api", "203.0.113.10:99"), "packets to it would come back to the edge"),
        (put_binding("api", "192.0.2.9:0"), "cannot be the address"),
        (Change::DeleteBinding(key("nix", "192.0.2.1:80")), "there is no service `nix`"),
        (Change::DeleteService(name("nix")), "there is no service `nix`"),
        (put_policy("nix", "bots", 1), "there is no service `nix`"),
        (put_policy("www", "nix", 1), "there is no class `nix`"),
        (Change::PutClasses(vec![class("a"), class("a")]), "class `a` is given twice"),
        (Change::PutClasses(vec![class(DEFAULT_CLASS)]), "which every site has"),
        (
            Change::PutClasses(vec![ClassSpec { dscp: vec![1, 64], ..class("a") }]),
            "class `a`: DSCP is 0 to 63, not 64",
        ),
        (
            Change::PutClasses((0..64).map(|i| class(&format!("c{i}"))).collect()),
            "there can be 63 classes, not more",
        ),
    ];
    for (change, part) in table {
        let mut state = base();
        let error = state.apply(&change).expect_err("it does not fit").to_string();
        assert!(error.contains(part), "{change:?}: {error}");
        assert_eq!(state, base(), "{change:?}");
    }
}

#[test]
fn a_real_server_belongs_to_one_nat_service() {
    let mut state = base();
    state.apply(&put_service("two", "203.0.113.30:443", Mode::Nat)).unwrap();
    let error = state.apply(&put_binding("two", "192.0.2.1:8443")).unwrap_err();
    assert_eq!(
        error,
        StateError::RealTaken { backend: "192.0.2.1:8443".parse().unwrap(), holder: name("api") }
    );
    state.apply(&put_binding("two", "192.0.2.1:8444")).unwrap();
}

#[test]
fn a_service_takes_its_bindings_and_policies_with_it() {
    let mut state = base();
    state.apply(&Change::DeleteService(name("www"))).unwrap();
    let left: Vec<_> = state.bindings.keys().map(|key| key.service.as_str()).collect();
    assert_eq!(left, ["api", "h3"]);
    assert!(state.policies.is_empty());
}

#[test]
fn replacing_classes_forgets_the_policies_of_those_that_are_gone() {
    let mut state = base();
    state.apply(&Change::PutClasses(vec![class("others")])).unwrap();
    let left: Vec<_> = state.policies.keys().map(|(_, class)| class.as_str()).collect();
    assert_eq!(left, [DEFAULT_CLASS]);
}

#[test]
fn a_policy_that_refuses_nothing_is_forgotten() {
    let mut state = base();
    state.apply(&put_policy("www", "bots", 0)).unwrap();
    assert_eq!(state.policies.len(), 1);
}

#[test]
fn a_full_table_takes_changes_but_no_more_bindings() {
    let mut state = base();
    let held = Binding::new(1, Phase::Serve);
    for number in state.bindings.len()..SwitchState::MAX_BINDINGS {
        let backend = SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 80));
        state.bindings.insert(BindingKey { service: name("www"), backend }, held);
    }
    let error = state.apply(&put_binding("www", "192.0.2.2:80")).unwrap_err().to_string();
    assert_eq!(error, "there can be 16384 bindings, not more");
    state.apply(&put_binding("www", "192.0.2.1:80")).unwrap();
}

#[test]
fn an_address_that_becomes_free_is_taken_in_the_same_delta() {
    let before = base();
    let after = state(&[
        put_service("new", "203.0.113.10:80", Mode::Nat),
        put_binding("new", "192.0.2.1:8443"),
    ]);
    assert_leads(&before, &after);
    assert_leads(&after, &before);
}

#[test]
fn server_ids_change_hands_and_length_in_one_delta() {
    let with = |len, first: &str, second: &str| {
        let (one, two) = ("192.0.2.1:443", "192.0.2.2:443");
        state(&[put_quic("h3", len), put_named("h3", one, first), put_named("h3", two, second)])
    };
    let (before, swapped, longer) =
        (with(1, "01", "02"), with(1, "02", "01"), with(2, "0101", "0202"));
    for (from, to) in [(&before, &swapped), (&before, &longer), (&longer, &swapped)] {
        assert_leads(from, to);
        let remade =
            |change: &Change| matches!(change, Change::DeleteService(_) | Change::DeleteBinding(_));
        assert!(!from.diff(to).iter().any(remade), "connections stay");
    }
}

/// With so many bindings that copies have something to share.
fn crowded(count: u16) -> SwitchState {
    let mut state = state(&[put_service("www", "203.0.113.10:80", Mode::Ipip)]);
    for number in 0..count {
        state.apply(&numbered(number, 1)).unwrap();
    }
    state
}

fn numbered(number: u16, weight: u16) -> Change {
    let [high, low] = number.to_be_bytes();
    let key = key("www", &format!("192.0.{high}.{low}:80"));
    Change::PutBinding(key, Binding::new(weight, Phase::Serve))
}

#[test]
fn copies_are_told_apart_at_the_cost_of_what_differs() {
    let before = crowded(8000);
    let mut after = before.clone();
    after.apply(&numbered(4000, 7)).unwrap();
    assert_eq!(before.diff(&after), [numbered(4000, 7)]);
    let unrelated = crowded(8000);
    let quickest = |from: &SwitchState| -> Duration {
        let time = |_| {
            let begun = Instant::now();
            assert_eq!(from.diff(&after).len(), 1);
            begun.elapsed()
        };
        (0..20).map(time).min().unwrap()
    };
    let (of_copies, of_others) = (quickest(&before), quickest(&unrelated));
    assert!(of_copies * 10 < of_others, "{of_copies:?}, where nothing is shared {of_others:?}");
}

fn assert_leads(from: &SwitchState, to: &SwitchState) {
    let mut state = from.clone();
    for change in from.diff(to) {
        state.apply(&change).unwrap_or_else(|error| panic!("{change:?}: {error}"));
    }
    assert_eq!(state, *to);
    assert_eq!(state.diff(to), [], "no step is left");
}

/// Any change of a small world, fitting or not.
fn change() -> impl Strategy<Value = Change> {
    let service = prop_oneof![Just("a"), Just("b"), Just("c")];
    let mode = prop_oneof![Just(Mode::L2), Just(Mode::Nat)];
    let classes = prop_oneof![Just("x"), Just("y"), Just(DEFAULT_CLASS)];
    prop_oneof![
        (service.clone(), 1_u8..4, mode).prop_map(|(s, host, mode)| put_service(
            s,
            &format!("203.0.113.{host}:80"),
            mode
        )),
        service.clone().prop_map(|s| Change::DeleteService(name(s))),
        (0_u8..3).prop_map(|len| put_quic("q", len)),
        (1_u8..4, 1_u8..4, 1_usize..3).prop_map(|(host, id, len)| {
            let id = format!("{id:02x}").repeat(len);
            put_named("q", &format!("192.0.2.{host}:443"), &id)
        }),
        (1_u8..4).prop_map(|host| put_binding("q", &format!("192.0.2.{host}:443"))),
        (service.clone(), 1_u8..4, prop_oneof![Just(80), Just(81)])
            .prop_map(|(s, host, port)| put_binding(s, &format!("192.0.2.{host}:{port}"))),
        (service.clone(), 1_u8..4)
            .prop_map(|(s, host)| Change::DeleteBinding(key(s, &format!("192.0.2.{host}:80")))),
        (service, classes, 0_u32..3).prop_map(|(s, class, ppm)| put_policy(s, class, ppm)),
        proptest::sample::subsequence(vec!["x", "y"], 0..=2)
            .prop_map(|names| Change::PutClasses(names.into_iter().map(class).collect())),
    ]
}

fn any_state() -> impl Strategy<Value = SwitchState> {
    proptest::collection::vec(change(), 0..40).prop_map(|changes| {
        let mut state = SwitchState::default();
        for change in changes {
            // What does not fit is left out.
            let _ = state.apply(&change);
        }
        state
    })
}

proptest! {
    #[test]
    fn a_diff_leads_from_a_copy_to_what_became_of_another(
        ours in proptest::collection::vec((0_u16..400, 0_u16..3), 0..40),
        theirs in proptest::collection::vec((0_u16..400, 0_u16..3), 0..40),
    ) {
        let common = crowded(300);
        let become_of = |changes: Vec<(u16, u16)>| {
            let mut state = common.clone();
            for (number, weight) in changes {
                let change = match numbered(number, weight) {
                    Change::PutBinding(key, _) if weight == 0 => Change::DeleteBinding(key),
                    change => change,
                };
                state.apply(&change).unwrap();
            }
            state
        };
        assert_leads(&become_of(ours), &become_of(theirs));
    }

    #[test]
    fn a_diff_leads_from_any_state_to_any_other(from in any_state(), to in any_state()) {
        assert_leads(&from, &to);
    }
}
