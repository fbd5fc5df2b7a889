//! Slots that a change has not touched are as at rest, and those that it has
//! stay touched for as long as a flow of theirs may be remembered.

use lb_common::abi::{FlowEntry, FlowKey, RingSlot, service_flags};

use super::site::{IDLE, Kind, Site, bind, flow, name, service, unbind};
use crate::model::{Change, Mode, Phase};

const VIP: &str = "203.0.113.10:80";
const LEN: u32 = 127;

fn put(number: u8, weight: u16, phase: Phase) -> Change {
    bind("www", &backend(number), weight, phase)
}

fn serve(number: u8) -> Change {
    put(number, 10, Phase::Serve)
}

fn drain(number: u8) -> Change {
    put(number, 10, Phase::Drain)
}

fn backend(number: u8) -> String {
    format!("192.0.2.{}:80", number + 1)
}

fn www() -> Change {
    service("www", VIP, Mode::L2, LEN)
}

/// A service at rest with two backends.
fn site() -> Site {
    let mut site = Site::new(4 * 128);
    site.apply(vec![www(), serve(0), serve(1)]).unwrap();
    site.sweep(1);
    assert!(!moving(&site));
    site
}

fn id(site: &Site, number: u8) -> u16 {
    site.id("www", &backend(number)).unwrap()
}

fn moving(site: &Site) -> bool {
    let id = site.plane().services.get(&name("www")).unwrap();
    site.service_row(id).flags & service_flags::MOVING != 0
}

fn slots(site: &Site) -> Vec<RingSlot> {
    site.plane().ring_slots(&name("www"), LEN)
}

fn touched(site: &Site) -> usize {
    slots(site).iter().filter(|slot| slot.is_touched()).count()
}

fn differing(site: &Site) -> usize {
    slots(site).iter().filter(|slot| slot.differs()).count()
}

fn slot_of(site: &Site, flow: &FlowKey) -> RingSlot {
    site.plane().slot_of(flow).unwrap().1
}

/// Flows whose slots are like that.
fn flows(site: &Site, like: impl Fn(RingSlot) -> bool) -> Vec<FlowKey> {
    let flows: Vec<_> = (0..500).map(|number| flow(number, VIP)).collect();
    flows.into_iter().filter(|flow| like(slot_of(site, flow))).collect()
}

#[test]
fn only_slots_that_move_are_touched() {
    let mut site = site();
    site.apply(vec![put(0, 9, Phase::Serve)]).unwrap();
    assert!(moving(&site));
    let some = differing(&site);
    assert!((1..20).contains(&some), "{some} of {LEN} slots differ");
    assert_eq!(touched(&site), some);
}

#[test]
fn on_a_slot_that_was_not_touched_nothing_is_remembered_or_found() {
    let mut site = site();
    site.apply(vec![put(0, 9, Phase::Serve)]).unwrap();
    let untouched = flows(&site, |slot| !slot.is_touched());
    for flow in &untouched {
        let owner = slot_of(&site, flow).current();
        // What no edge writes: a packet that looked would follow it.
        let other = 3 - owner;
        let entry = FlowEntry { backend: other, state: 0, last_seen: site.now.get(), begun: 0 };
        site.open.lock().insert(*flow, entry);
        assert_eq!(site.packet(flow, Kind::Syn), Some(owner));
        assert_eq!(site.packet(flow, Kind::Ack), Some(owner));
    }
    assert!(untouched.len() > 100 && site.syns.lock().is_empty());
    // Nor does it keep the service from rest, or wait to be found by a later change.
    site.sweep(1);
    assert!(site.open.lock().is_empty());
}

#[test]
fn a_slot_that_came_back_is_still_touched() {
    let mut site = site();
    site.apply(vec![drain(0)]).unwrap();
    let (first, second) = (id(&site, 0), id(&site, 1));
    let moved = flows(&site, RingSlot::differs);
    for flow in &moved {
        assert_eq!(site.packet(flow, Kind::Syn), Some(second));
        site.packet(flow, Kind::Ack);
    }
    let count = touched(&site);
    site.apply(vec![serve(0)]).unwrap();
    assert_eq!((differing(&site), touched(&site)), (0, count));
    site.restart();
    site.apply(vec![serve(2)]).unwrap();
    site.sweep(1);
    for flow in &moved {
        assert_eq!(site.packet(flow, Kind::Ack), Some(second));
    }
    let old = flows(&site, |slot| slot.settled() == first);
    assert!(!moved.is_empty() && old.len() >= moved.len());
}

#[test]
fn settled_slots_are_touched_until_the_service_is_at_rest() {
    let mut site = site();
    site.apply(vec![drain(0)]).unwrap();
    let second = id(&site, 1);
    let moved = flows(&site, RingSlot::differs)[0];
    site.packet(&moved, Kind::Syn);
    let count = touched(&site);
    // The first owner is silent for long; the new connection speaks.
    for _ in 0..4 {
        site.sweep(IDLE / 2);
        assert_eq!(site.packet(&moved, Kind::Ack), Some(second));
    }
    assert_eq!((differing(&site), touched(&site)), (0, count));
    // Everything is the second's now: its flow needs no memory.
    site.sweep(1);
    assert!(site.open.lock().is_empty());
    site.sweep(1);
    assert!(!moving(&site));
    // The bits of before mean nothing.
    site.apply(vec![put(2, 1, Phase::Serve)]).unwrap();
    assert!(differing(&site) < count);
    assert_eq!(touched(&site), differing(&site));
}

/// Flows of an earlier service at the same address, of backends that came back.
#[test]
fn a_new_service_looks_for_flows_on_every_slot() {
    let mut site = site();
    site.apply(vec![drain(0)]).unwrap();
    let second = id(&site, 1);
    let moved = flows(&site, RingSlot::differs)[0];
    site.packet(&moved, Kind::Syn);
    site.packet(&moved, Kind::Ack);
    site.apply(vec![Change::DeleteService(name("www"))]).unwrap();
    site.apply(vec![www(), serve(0), serve(1)]).unwrap();
    assert_eq!(id(&site, 1), second, "it gets its id back");
    assert_eq!((differing(&site), touched(&site)), (0, LEN as usize));
    assert_eq!(site.packet(&moved, Kind::Ack), Some(second));
    assert_ne!(slot_of(&site, &moved).settled(), second);
}

#[test]
fn a_service_that_lost_all_backends_looks_for_flows_on_every_slot() {
    let mut site = site();
    site.apply(vec![drain(0)]).unwrap();
    let moved = flows(&site, RingSlot::differs)[0];
    site.packet(&moved, Kind::Syn);
    let both = [unbind("www", &backend(0)), unbind("www", &backend(1))];
    site.apply(both.to_vec()).unwrap();
    site.apply(vec![serve(1), serve(2)]).unwrap();
    assert_eq!((differing(&site), touched(&site)), (0, LEN as usize));
    assert_eq!(site.packet(&moved, Kind::Ack), Some(id(&site, 1)));
}

#[test]
fn a_new_service_where_nothing_is_remembered_touches_nothing() {
    let mut site = site();
    site.sweep(1);
    let other = service("other", "203.0.113.11:80", Mode::L2, LEN);
    site.apply(vec![other, bind("other", "192.0.2.9:80", 1, Phase::Serve)]).unwrap();
    let slots = site.plane().ring_slots(&name("other"), LEN);
    assert!(slots.iter().all(|slot| !slot.is_touched()));
}
