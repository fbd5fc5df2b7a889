//! From a switch state to a plan.

use proptest::prelude::*;

use super::*;
use crate::switch::weights::fit;

fn plan(state: &SwitchState, shape: &Shape) -> (Vec<(String, u32)>, Vec<String>) {
    let (plan, lacks) = Plan::of(state, shape);
    let servers = plan.services.values().flat_map(|service| &service.servers);
    (servers.map(|(address, server)| (address.to_string(), server.weight)).collect(), lacks)
}

fn rows(rows: &[(&str, u32)]) -> Vec<(String, u32)> {
    rows.iter().map(|&(address, weight)| (address.to_owned(), weight)).collect()
}

#[test]
fn weights_in_range_are_left_and_larger_ones_keep_their_proportions() {
    let small = www(&[("192.0.2.1:80", 100), ("192.0.2.2:80", 0)]);
    let (servers, lacks) = plan(&small, &shape(ABLE));
    assert_eq!(servers, rows(&[("192.0.2.1:80", 100), ("192.0.2.2:80", 0)]));
    assert_eq!(lacks, [""; 0]);
    let large = www(&[("192.0.2.1:80", 60_000), ("192.0.2.2:80", 20_000), ("192.0.2.3:80", 1)]);
    let (servers, _) = plan(&large, &shape(ABLE));
    let weights: Vec<_> = servers.iter().map(|(_, weight)| *weight).collect();
    assert_eq!(weights[0], 3 * weights[1]);
    assert_eq!(weights[2], 1, "who had a weight keeps some");
    let alike = Capabilities { weights: None, ..ABLE };
    assert_eq!(
        plan(&small, &shape(alike)).0,
        rows(&[("192.0.2.1:80", 1), ("192.0.2.2:80", 0)]),
        "without weights, all or none"
    );
}

#[test]
fn drained_and_broken_servers_keep_their_place_and_get_nothing() {
    let mut state = www(&[("192.0.2.1:80", 100), ("192.0.2.2:80", 100)]);
    state.bindings.insert(key("www", "192.0.2.2:80"), Binding::new(100, Phase::Drain));
    state.bindings.insert(key("www", "192.0.2.3:80"), Binding::new(100, Phase::Break));
    let (plan, _) = Plan::of(&state, &shape(ABLE));
    let servers = &plan.services[&name("www")].servers;
    let of = |backend| (servers[&address(backend)].weight, servers[&address(backend)].phase);
    assert_eq!(of("192.0.2.1:80"), (100, Phase::Serve));
    assert_eq!(of("192.0.2.2:80"), (0, Phase::Drain));
    assert_eq!(of("192.0.2.3:80"), (0, Phase::Break));
}

#[test]
fn a_share_is_refused_by_the_device_or_by_a_drop_server_or_not_at_all() {
    let mut state = www(&[("192.0.2.1:80", 30), ("192.0.2.2:80", 10)]);
    refuse(&mut state, "default", 20.0);
    let (servers, lacks) = plan(&state, &shape(ABLE));
    assert_eq!(lacks, [""; 0]);
    let weight = |backend| servers.iter().find(|(of, _)| of == backend).unwrap().1;
    let (one, two, sink) = (weight("192.0.2.1:80"), weight("192.0.2.2:80"), weight(SINK));
    let all = f64::from(one + two + sink);
    assert!((f64::from(sink) / all - 0.2).abs() < 0.002, "{sink} of {all}");
    assert!((f64::from(one) / f64::from(two) - 3.0).abs() < 0.05, "{one} to {two}");

    let able = Capabilities { admission: true, ..ABLE };
    let (native, _) = Plan::of(&state, &shape(able));
    let native = &native.services[&name("www")];
    assert_eq!((native.refuse.percent(), native.servers.len()), (20.0, 2));

    let sinkless = Shape { drop_servers: Vec::new(), ..shape(ABLE) };
    let (servers, lacks) = plan(&state, &sinkless);
    assert_eq!(servers.len(), 2);
    assert!(lacks[0].contains("drop_servers"), "{lacks:?}");
    let equal = Capabilities { weights: None, ..ABLE };
    let (_, lacks) = plan(&state, &shape(equal));
    assert!(lacks[0].contains("no weights"), "{lacks:?}");
}

#[test]
fn all_is_refused_also_where_nobody_serves() {
    let mut state = www(&[("192.0.2.1:80", 30)]);
    refuse(&mut state, "default", 100.0);
    assert_eq!(plan(&state, &shape(ABLE)).0, rows(&[("192.0.2.1:80", 0), (SINK, 1)]));
    let mut empty = www(&[]);
    refuse(&mut empty, "default", 5.0);
    assert_eq!(plan(&empty, &shape(ABLE)).0, rows(&[(SINK, 1)]));
}

#[test]
fn what_a_device_has_no_words_for_is_named() {
    let mut state = www(&[("192.0.2.1:80", 1)]);
    let mut prefix = service("net", "203.0.113.0:80");
    prefix.address = "203.0.113.0/24:80".parse().unwrap();
    state.services.insert(name("net"), prefix);
    let mut any = service("any", "203.0.113.11:80");
    any.address = "203.0.113.11:*".parse().unwrap();
    state.services.insert(name("any"), any);
    state.services.insert(name("six"), service("six", "[2001:db8::1]:80"));
    let mut udp = service("dns", "203.0.113.53:53");
    udp.protocol = crate::model::Protocol::Udp;
    state.services.insert(name("dns"), udp);
    state.classes =
        vec![crate::model::ClassSpec { name: name("gold"), sources: Vec::new(), dscp: vec![1] }];
    refuse(&mut state, "gold", 5.0);
    let old = Capabilities { ipv6: false, udp: false, ..ABLE };
    let (plan, lacks) = Plan::of(&state, &shape(old));
    assert_eq!(plan.services.keys().map(Name::as_str).collect::<Vec<_>>(), ["www"]);
    for word in ["prefix", "any port", "no IPv6", "no UDP", "class `gold`"] {
        assert!(lacks.iter().any(|what| what.contains(word)), "{word}: {lacks:?}");
    }
    let only = Shape { services: Some([name("six")].into()), ..shape(ABLE) };
    let (plan, lacks) = Plan::of(&state, &only);
    assert_eq!(plan.services.keys().map(Name::as_str).collect::<Vec<_>>(), ["six"]);
    assert_eq!(lacks, [""; 0], "what it is not given, it does not lack");
}

proptest! {
    /// Whoever had a weight has one, nobody is out of range, and shares that are not
    /// too small for the range are right within a percent or the range's grain.
    #[test]
    fn shares_are_kept(
        given in prop::collection::vec(0u16.., 1..40),
        ppm in 0u32..=1_000_000,
        most in 1u32..=65_535,
    ) {
        let refuse = Share::from_ppm(ppm).unwrap();
        let (weights, sink) = fit(&given, refuse, most);
        prop_assert_eq!(weights.len(), given.len());
        prop_assert!(weights.iter().chain([&sink]).all(|&weight| weight <= most));
        let sum: u64 = given.iter().map(|&w| u64::from(w)).sum();
        prop_assert_eq!(sink > 0, ppm > 0);
        if ppm == 1_000_000 || sum == 0 {
            return Ok(());
        }
        for (&weight, &given) in weights.iter().zip(&given) {
            prop_assert_eq!(weight > 0, given > 0);
        }
        let all: f64 = weights.iter().chain([&sink]).map(|&w| f64::from(w)).sum();
        let refused = f64::from(ppm) / 1e6;
        for (&weight, &given) in weights.iter().zip(&given) {
            let share = f64::from(given) / sum as f64 * (1.0 - refused);
            // The smallest share that is there pulls the others down by its rounding.
            let grain = (given.max(1) as f64).recip() + weights.len() as f64 / f64::from(most);
            let off = (f64::from(weight) / all - share).abs();
            prop_assert!(off <= 0.01 + grain, "{} of {}: {} for {}", weight, all, off, share);
        }
    }
}
