//! A new process finds what the one before it left.

use lb_common::abi::{self, Route, backend_state, next_hop, role};
use proptest::prelude::*;

use super::site::{Kind, Site, bind, flow, key, name, service, unbind};
use crate::{
    edge::hops::{Answer, NextHop, RouteTables},
    model::{
        Binding, Change, ClassSpec, Mode, Phase, Policy, Protocol, Scope, ServerId, ServiceSpec,
        Share, Udp, Verdict,
    },
};

const VIPS: [&str; 3] = ["203.0.113.10:80", "[2001:db8::10]:443", "203.0.113.10:443"];
const NAMES: [&str; 3] = ["www", "six", "nat"];

fn backend(service: usize, number: u8) -> String {
    match service {
        0 => format!("192.0.2.{}:80", number + 1),
        1 => format!("[2001:db8:1::{}]:443", number + 1),
        2 => format!("192.0.2.{}:{}", number + 1, 8000 + u16::from(number)),
        _ => format!("192.0.2.{}:443", number + 1),
    }
}

fn put(index: usize, mode: Mode) -> Change {
    service(NAMES[index], VIPS[index], mode, 31 + 2 * index as u32)
}

/// A QUIC service with server ids of so many bytes.
fn quic(server_id_bytes: u8) -> Change {
    let Change::PutService(spec) = service("h3", "203.0.113.9:443", Mode::L2, 31) else {
        unreachable!("it puts a service")
    };
    Change::PutService(ServiceSpec {
        protocol: Protocol::Udp,
        udp: Udp::Quic,
        server_id_bytes,
        ..spec
    })
}

/// A binding of that service; with id 0 it has none.
fn name_it(number: u8, id: u8, len: u8, phase: Phase) -> Change {
    let server_id = ServerId::of([id; 8], len).filter(|_| id != 0);
    let binding = Binding { server_id, ..Binding::new(1, phase) };
    Change::PutBinding(key("h3", &backend(3, number)), binding)
}

/// Who is named by the connection ids of a QUIC packet, as packets see it.
fn check_server_ids(site: &Site) {
    let plane = site.plane();
    let service = plane.services.get(&name("h3"));
    for (id, len) in (1u8..4).flat_map(|id| [(id, 1), (id, 2)]) {
        let id = ServerId::of([id; 8], len).unwrap();
        let bound = plane.state().bindings.iter().find(|(_, b)| b.server_id == Some(id));
        let expected = bound.and_then(|(key, _)| plane.bindings.get(key));
        let found = service.and_then(|service| site.find_server(service, id));
        assert_eq!(found, expected, "{id}");
    }
}

fn classes(count: usize) -> Change {
    let class = |index: usize| ClassSpec {
        name: name(&format!("class-{index}")),
        sources: vec![format!("10.{index}.0.0/16").parse().unwrap()],
        dscp: vec![index as u8],
    };
    Change::PutClasses((0..count).map(class).collect())
}

pub(super) fn change() -> impl Strategy<Value = Change> {
    let phase = prop_oneof![Just(Phase::Serve), Just(Phase::Drain), Just(Phase::Break)];
    let policy = (0usize..3, 0usize..4, 0u32..=1_000_000).prop_map(|(s, class, ppm)| {
        let class = if class == 3 { name("default") } else { name(&format!("class-{class}")) };
        let refuse = Share::from_ppm(ppm).unwrap();
        let policy = Policy { refuse, verdict: Verdict::Silent, scope: Scope::Client };
        // What refuses nothing is forgotten, whatever else it says.
        let policy = if ppm == 0 { Policy::default() } else { policy };
        Change::PutPolicy { service: name(NAMES[s]), class, policy }
    });
    prop_oneof![
        // The third service's backends have ports of their own.
        2 => (0usize..3, any::<bool>())
            .prop_map(|(s, nat)| put(s, if nat || s == 2 { Mode::Nat } else { Mode::L2 })),
        1 => (0usize..3).prop_map(|s| Change::DeleteService(name(NAMES[s]))),
        2 => (0u8..3).prop_map(quic),
        4 => (0u8..4, 0u8..4, 1u8..3, phase.clone()).prop_map(|(b, id, len, p)| name_it(b, id, len, p)),
        1 => (0u8..4).prop_map(|b| unbind("h3", &backend(3, b))),
        1 => Just(Change::DeleteService(name("h3"))),
        6 => (0usize..3, 0u8..4, 0u16..3, phase)
            .prop_map(|(s, b, w, p)| bind(NAMES[s], &backend(s, b), w, p)),
        2 => (0usize..3, 0u8..4).prop_map(|(s, b)| unbind(NAMES[s], &backend(s, b))),
        2 => policy,
        1 => (0usize..4).prop_map(classes),
    ]
}

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
enum End {
    Never,
    /// After a commit.
    After,
    /// With some words of it written.
    InCommit(u64),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        2 => Just(End::Never),
        2 => Just(End::After),
        1 => any::<u64>().prop_map(End::InCommit),
        1 => Just(End::InCommit(u64::MAX)),
    ]
}

/// Everything of the plane that must survive, and all that packets read.
pub(super) fn everything(site: &Site) -> String {
    let plane = site.plane();
    let services: Vec<_> = plane.services().collect();
    let bindings: Vec<_> = plane.bindings().collect();
    let service_rows: Vec<_> = services.iter().map(|&(_, id, _)| site.service_row(id)).collect();
    let rows: Vec<_> = bindings.iter().map(|&(_, id, _)| site.backend_row(id)).collect();
    let rings: Vec<_> = service_rows
        .iter()
        .zip(&services)
        .map(|(row, &(name, ..))| plane.ring_slots(name, row.ring_len))
        .collect();
    format!(
        "{:#?} {services:?} {bindings:?} {} {:?} {service_rows:?} {rows:?} {rings:?} {:?} {:?}",
        plane.state(),
        plane.generation(),
        plane.stamp(),
        plane.class_names(),
        plane.pool,
    )
}

fn check_addresses(site: &Site) {
    let bound = |index: usize| site.plane().services.get(&name(NAMES[index]));
    for (index, vip) in VIPS.iter().enumerate() {
        assert_eq!(site.find(vip.parse().unwrap(), role::VIP).map(|f| f.0), bound(index), "{vip}");
    }
    // Two services share an address; the third has one of its own.
    let shared = site.find(VIPS[0].parse().unwrap(), role::ADDRESS);
    assert_eq!(shared.is_some(), bound(0).or(bound(2)).is_some());
    assert!(shared.is_none_or(|(id, _)| Some(id) == bound(0) || Some(id) == bound(2)));
    assert_eq!(site.find(VIPS[1].parse().unwrap(), role::ADDRESS).is_some(), bound(1).is_some());
    for (index, service) in NAMES.iter().enumerate() {
        let spec = site.plane().state().services.get(&name(service)).cloned();
        let nat = spec.is_some_and(|spec| spec.mode == Mode::Nat);
        for real in (0..4).map(|number| backend(index, number)) {
            let found = site.find(real.parse().unwrap(), role::REAL).map(|f| f.1);
            assert_eq!(found, site.id(service, &real).filter(|_| nat), "{service} {real}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn a_restart_finds_what_was_there(
        deltas in proptest::collection::vec(
            (proptest::collection::vec(change(), 1..4), end()), 1..30),
    ) {
        let mut site = Site::new(4000);
        for (changes, end) in deltas {
            if let End::InCommit(written) = end {
                site.plane().pool.reclaim(|_| true);
                let before = everything(&site);
                site.die_in_commit(changes, written);
                prop_assert_eq!(everything(&site), before, "half a commit can be seen");
                check_addresses(&site);
                continue;
            }
            let before = everything(&site);
            if site.apply(changes).is_err() {
                prop_assert_eq!(&everything(&site), &before, "a refusal changed something");
            }
            check_addresses(&site);
            check_server_ids(&site);
            if let End::After = end {
                // Retired rings are free for a new process, which waited.
                site.plane().pool.reclaim(|_| true);
                let before = everything(&site);
                site.restart();
                prop_assert_eq!(everything(&site), before);
                check_server_ids(&site);
            }
        }
    }
}

#[test]
fn next_hops_survive() {
    let mut site = Site::new(1000);
    site.apply(vec![put(0, Mode::L2), bind("www", &backend(0, 0), 1, Phase::Serve)]).unwrap();
    let address = "192.0.2.1".parse().unwrap();
    let hop =
        NextHop { dst_mac: [2, 0, 0, 0, 0, 1], src_mac: [2, 0, 0, 0, 0, 2], ifindex: 3, mtu: 1500 };
    site.plane().set_ways(&[(address, Answer::Known(hop))], None);
    site.restart();
    assert_eq!(site.plane().hop(address), Some(&Answer::Known(hop)));
    let row = site.backend_row(1);
    assert_eq!((row.reachable, row.dst_mac, row.ifindex), (1, hop.dst_mac, 3));
    site.plane().set_ways(&[(address, Answer::Asked)], None);
    assert_eq!(site.backend_row(1).reachable, 1, "the old one may still be right");
    let gone = Answer::None("it does not answer".to_owned());
    site.plane().set_ways(&[(address, gone)], None);
    assert_eq!(site.backend_row(1).reachable, 0);
}

#[test]
fn an_id_that_a_flow_names_is_not_given_again_after_a_restart() {
    let mut site = Site::new(1000);
    site.apply(vec![put(0, Mode::L2), bind("www", &backend(0, 0), 1, Phase::Serve)]).unwrap();
    site.apply(vec![
        bind("www", &backend(0, 0), 1, Phase::Drain),
        bind("www", &backend(0, 1), 1, Phase::Serve),
    ])
    .unwrap();
    let id = site.packet(&flow(1, VIPS[0]), Kind::Syn).unwrap();
    site.apply(vec![unbind("www", &backend(0, 1))]).unwrap();
    site.restart();
    let is_free = |site: &Site| site.plane().bindings.free().any(|free| free == id);
    assert_eq!(site.backend_row(id).state, backend_state::FREE);
    assert!(!is_free(&site));
    site.sweep(1);
    assert!(is_free(&site) && site.syns.lock().is_empty());
}

#[test]
fn routes_to_clients_survive() {
    let mut site = Site::new(1000);
    site.apply(vec![service("www", "203.0.113.10:80", Mode::Nat, 63)]).unwrap();
    assert!(site.plane().has_replies());
    let route = |start_lo, next_hop| Route { start_lo, next_hop, ..Route::default() };
    let hop = |kind| abi::NextHop { kind, ..abi::NextHop::default() };
    let tables = RouteTables {
        routes: vec![route(0, 0), route(7, 1), route(9, 0)],
        next_hops: vec![hop(next_hop::NONE), hop(next_hop::LOCAL)],
    };
    site.plane().set_ways(&[], Some(&tables));
    assert_eq!(site.routes(), tables);
    let generation = site.plane().generation();
    site.restart();
    assert_eq!(site.routes(), tables);
    site.plane().set_ways(&[], Some(&tables));
    assert_eq!(site.plane().generation(), generation, "nothing has changed");
    // Fewer routes than before, and none.
    let fewer = RouteTables { routes: vec![route(0, 1)], next_hops: tables.next_hops };
    site.plane().set_ways(&[], Some(&fewer));
    assert_eq!(site.routes().routes, fewer.routes);
    site.plane().set_ways(&[], Some(&RouteTables::default()));
    assert!(site.routes().routes.is_empty());
}
