//! Connections through changes: every one stays where it began, for as long as
//! its backend is bound.

use std::collections::BTreeMap;

use lb_common::abi::{FlowEntry, flow_state, service_flags, words};
use proptest::prelude::*;

use super::site::{IDLE, Kind, Site, bind, flow, service, unbind};
use crate::{
    edge::plane::Upkeep,
    model::{Mode, Phase},
};

const VIP: &str = "203.0.113.10:80";

fn site() -> Site {
    let mut site = Site::new(4 * 128);
    site.apply(vec![service("www", VIP, Mode::L2, 127)]).unwrap();
    site
}

fn backend(number: u8) -> String {
    format!("192.0.2.{}:80", number + 1)
}

fn put(number: u8, phase: Phase) -> crate::model::Change {
    bind("www", &backend(number), 1, phase)
}

fn id(site: &Site, number: u8) -> u16 {
    site.id("www", &backend(number)).unwrap()
}

fn moving(site: &Site) -> bool {
    site.service_row(0).flags & service_flags::MOVING != 0
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u16, Phase),
    Delete(u8),
    Open(u16),
    /// A handshake whose last ACK comes only after the next change.
    HalfOpen(u16),
    Close(u16),
    Sweep(u32),
    Restart,
    /// Killed while it put a backend's share in, with some words of it written.
    Die(u8, u16, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let phase =
        prop_oneof![3 => Just(Phase::Serve), 2 => Just(Phase::Drain), 1 => Just(Phase::Break)];
    prop_oneof![
        4 => (0u8..5, 0u16..4, phase).prop_map(|(b, w, p)| Step::Put(b, w, p)),
        2 => (0u8..5).prop_map(Step::Delete),
        6 => (0u16..300).prop_map(Step::Open),
        2 => (0u16..300).prop_map(Step::HalfOpen),
        2 => (0u16..300).prop_map(Step::Close),
        4 => (1u32..40).prop_map(Step::Sweep),
        1 => Just(Step::Restart),
        1 => (0u8..5, 0u16..4, any::<u64>()).prop_map(|(b, w, bits)| Step::Die(b, w, bits)),
    ]
}

/// By flow, the binding that its SYN went to.
type Owners = BTreeMap<u16, u16>;

/// Takes a step; returns whether the connections are to be looked at after it.
fn take(site: &mut Site, owners: &mut Owners, step: &Step) -> bool {
    match *step {
        Step::Put(b, weight, phase) => {
            site.apply(vec![bind("www", &backend(b), weight, phase)]).unwrap();
        }
        Step::Delete(b) => {
            let gone = site.id("www", &backend(b));
            site.apply(vec![unbind("www", &backend(b))]).unwrap();
            owners.retain(|_, owner| Some(*owner) != gone);
        }
        Step::Open(number) | Step::HalfOpen(number) => {
            let flow = flow(number, VIP);
            match owners.get(&number) {
                // A repeated SYN moves nothing that is remembered; that of
                // another connection cannot be told from a new one's.
                Some(&owner) if site.open.lock().contains_key(&flow) && site.carries(owner) => {
                    assert_eq!(site.packet(&flow, Kind::Syn), Some(owner));
                }
                Some(_) => {}
                None => owners.extend(site.packet(&flow, Kind::Syn).map(|owner| (number, owner))),
            }
            return matches!(step, Step::Open(_));
        }
        Step::Close(number) => {
            if let Some(owner) = owners.remove(&number) {
                assert_eq!(site.packet(&flow(number, VIP), Kind::Fin), Some(owner));
            }
        }
        Step::Sweep(seconds) => drop(site.sweep(seconds)),
        Step::Restart => site.restart(),
        Step::Die(b, weight, written) => {
            let change = bind("www", &backend(b), weight, Phase::Serve);
            site.die_in_commit(vec![change], written);
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn connections_stay_where_they_began(steps in proptest::collection::vec(step(), 1..120)) {
        let mut site = site();
        let mut owners = Owners::new();
        for step in steps {
            if take(&mut site, &mut owners, &step) {
                for (&number, &owner) in &owners {
                    let went = site.packet(&flow(number, VIP), Kind::Ack);
                    prop_assert_eq!(went, Some(owner), "flow {} after {:?}", number, step);
                }
            }
        }

        // Once all are gone the service comes to rest, and nothing is left over.
        for &number in owners.keys() {
            site.packet(&flow(number, VIP), Kind::Fin);
        }
        for _ in 0..8 {
            site.sweep(IDLE / 2);
        }
        prop_assert!(!moving(&site));
        prop_assert!(site.open.lock().is_empty() && site.syns.lock().is_empty());
        prop_assert!(!site.plane().needs_sweep());
    }
}

#[test]
fn a_service_at_rest_remembers_nothing() {
    let mut site = site();
    site.apply(vec![put(0, Phase::Serve)]).unwrap();
    site.sweep(1);
    assert!(!moving(&site));
    for number in 0..50 {
        assert!(site.packet(&flow(number, VIP), Kind::Syn).is_some());
    }
    assert!(site.syns.lock().is_empty() && site.open.lock().is_empty());
}

#[test]
fn a_drained_backend_gets_nothing_new_and_keeps_what_it_has() {
    let mut site = site();
    site.apply(vec![put(0, Phase::Serve), put(1, Phase::Serve)]).unwrap();
    let first = id(&site, 0);
    let old: Vec<_> =
        (0..200).filter(|&n| site.packet(&flow(n, VIP), Kind::Syn) == Some(first)).collect();
    assert!(old.len() > 50);

    site.apply(vec![put(0, Phase::Drain)]).unwrap();
    assert!((1000..1200).all(|n| site.packet(&flow(n, VIP), Kind::Syn) != Some(first)));
    assert!(old.iter().all(|&n| site.packet(&flow(n, VIP), Kind::Ack) == Some(first)));

    // Silent for the idle limit, its slots settle, and it owns nothing.
    site.sweep(1);
    site.sweep(IDLE + 1);
    assert!(site.plane().lagging().is_empty());
    assert!(old.iter().all(|&n| site.packet(&flow(n, VIP), Kind::Ack) != Some(first)));
}

/// What tracking is for, shown by its absence.
#[test]
fn without_tracking_a_moved_slot_takes_its_connections_along() {
    let mut site = site();
    site.plane().set_tracking(false);
    site.apply(vec![put(0, Phase::Serve), put(1, Phase::Serve)]).unwrap();
    let first = id(&site, 0);
    let old = (0..200).find(|&n| site.packet(&flow(n, VIP), Kind::Syn) == Some(first)).unwrap();
    site.apply(vec![put(0, Phase::Drain)]).unwrap();
    assert_eq!(site.packet(&flow(old, VIP), Kind::Ack), Some(id(&site, 1)));
    assert!(site.plane().lagging().is_empty() && site.syns.lock().is_empty());
}

#[test]
fn untracked_packets_keep_a_slot_from_settling() {
    let mut site = site();
    site.apply(vec![put(0, Phase::Serve), put(1, Phase::Serve)]).unwrap();
    let first = id(&site, 0);
    let old = (0..200).find(|&n| site.packet(&flow(n, VIP), Kind::Syn) == Some(first)).unwrap();
    site.apply(vec![put(0, Phase::Drain)]).unwrap();
    for _ in 0..5 {
        site.sweep(IDLE / 2);
        assert_eq!(site.packet(&flow(old, VIP), Kind::Ack), Some(first));
    }
}

#[test]
fn slots_that_were_lost_later_are_watched_anew() {
    let mut site = site();
    site.apply(vec![put(0, Phase::Serve), put(1, Phase::Serve)]).unwrap();
    let first = id(&site, 0);
    // Some of its slots go now, all others just before the first would settle.
    site.apply(vec![put(2, Phase::Serve)]).unwrap();
    site.sweep(1);
    site.sweep(IDLE);
    let rest = (0..200).find(|&n| site.packet(&flow(n, VIP), Kind::Syn) == Some(first)).unwrap();
    site.apply(vec![put(0, Phase::Drain)]).unwrap();
    site.sweep(2);
    assert_eq!(site.packet(&flow(rest, VIP), Kind::Ack), Some(first));
}

#[test]
fn slots_that_are_lost_while_a_pass_goes_on_are_not_settled_by_it() {
    let mut site = site();
    site.apply(vec![put(0, Phase::Serve), put(1, Phase::Serve)]).unwrap();
    let first = id(&site, 0);
    site.apply(vec![put(2, Phase::Serve)]).unwrap();
    let lagging = site.plane().lagging();
    let rest = (0..200).find(|&n| site.packet(&flow(n, VIP), Kind::Syn) == Some(first)).unwrap();
    site.apply(vec![put(0, Phase::Drain)]).unwrap();
    site.plane().upkeep(&Upkeep { settle: lagging, ..Upkeep::default() });
    assert_eq!(site.packet(&flow(rest, VIP), Kind::Ack), Some(first));
}

/// A handshake in the middle of which everything changes.
#[test]
fn a_syn_that_is_remembered_keeps_its_service_moving() {
    let mut site = site();
    site.apply(vec![put(0, Phase::Serve)]).unwrap();
    site.apply(vec![put(0, Phase::Drain), put(1, Phase::Serve)]).unwrap();
    let second = site.packet(&flow(1, VIP), Kind::Syn).unwrap();
    site.apply(vec![put(1, Phase::Drain), put(2, Phase::Serve)]).unwrap();
    // No slot differs any more, and no flow is open.
    site.apply(vec![unbind("www", &backend(0))]).unwrap();
    site.sweep(1);
    site.sweep(1);
    assert!(site.open.lock().is_empty() && moving(&site));
    assert_eq!(site.packet(&flow(1, VIP), Kind::Ack), Some(second));

    // One that is over does not hold it for ever.
    site.packet(&flow(1, VIP), Kind::Fin);
    site.sweep(61);
    assert!(!moving(&site));
}

#[test]
fn the_table_of_flows_is_reported_full_and_not_full_again() {
    let mut site = site();
    site.apply(vec![put(0, Phase::Serve)]).unwrap();
    site.apply(vec![put(0, Phase::Drain), put(1, Phase::Serve)]).unwrap();
    let second = id(&site, 1);
    for number in 0..9_600 {
        let entry = FlowEntry { backend: second, state: 0, last_seen: site.now.get(), begun: 0 };
        site.open.lock().insert(flow(number, VIP), entry);
    }
    let tally = site.sweep(1);
    assert_eq!((tally.remembered, tally.open[&second]), (9_600, 9_600));
    assert_eq!(site.word(words::FLOWS_FULL), 1);
    site.sweep(IDLE + 1);
    assert_eq!(site.word(words::FLOWS_FULL), 0);
}

/// A connection that found the table full is no handshake that came to nothing.
#[test]
fn a_flow_that_waits_for_room_is_kept_like_an_open_one() {
    let mut site = site();
    site.apply(vec![put(0, Phase::Serve)]).unwrap();
    site.apply(vec![put(0, Phase::Drain), put(1, Phase::Serve)]).unwrap();
    let backend = id(&site, 1);
    let last_seen = site.now.get();
    for (number, state) in
        [(1, flow_state::WAITING), (2, flow_state::OPEN), (3, flow_state::CLOSING)]
    {
        site.syns
            .lock()
            .insert(flow(number, VIP), FlowEntry { backend, state, last_seen, begun: 0 });
    }
    site.sweep(61);
    let left: Vec<_> = site.syns.lock().keys().copied().collect();
    assert_eq!(left, [flow(1, VIP)]);
    site.sweep(IDLE - 60);
    assert!(site.syns.lock().is_empty());
}

/// What was judged to be over may have spoken before it was taken away.
#[test]
fn a_flow_that_speaks_while_it_is_forgotten_is_put_back() {
    let mut site = site();
    site.apply(vec![put(0, Phase::Serve)]).unwrap();
    site.apply(vec![put(0, Phase::Drain), put(1, Phase::Serve)]).unwrap();
    let second = site.packet(&flow(1, VIP), Kind::Syn).unwrap();
    site.packet(&flow(1, VIP), Kind::Ack);
    site.apply(vec![put(1, Phase::Drain), put(2, Phase::Serve)]).unwrap();
    let now = site.now.get() + IDLE + 1;
    let spoke = FlowEntry { backend: second, state: 0, last_seen: now, begun: 0 };
    *site.open.meanwhile.lock().unwrap() = Some(spoke);
    let tally = site.sweep(IDLE + 1);
    assert_eq!((tally.remembered, tally.open[&second]), (1, 1));
    assert_eq!(site.packet(&flow(1, VIP), Kind::Ack), Some(second));
}
