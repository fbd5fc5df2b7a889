//! What somebody else has changed is found and put right.

use lb_common::abi::{Backend, CLASSES, MAX_BACKENDS, MAX_SERVICES, RingSlot, Service, words};
use proptest::prelude::*;

use super::{
    adopt::{change, everything},
    site::{Kind, Site, bind, flow, name, service},
};
use crate::model::{Change, Mode, Phase, Policy, Share};

const VIP: &str = "203.0.113.10:80";
const LEN: u32 = 127;
const FLOWS: u16 = 300;

fn put(number: u8, phase: Phase) -> Change {
    bind("www", &backend(number), 10, phase)
}

fn backend(number: u8) -> String {
    format!("192.0.2.{}:80", number + 1)
}

/// A service with two backends, at rest, and a policy.
fn site() -> Site {
    let mut site = Site::new(8 * 128);
    let policy = Policy { refuse: Share::from_percent(25.0).unwrap(), ..Policy::default() };
    site.apply(vec![
        service("www", VIP, Mode::L2, LEN),
        put(0, Phase::Serve),
        put(1, Phase::Serve),
        Change::PutPolicy { service: name("www"), class: name("default"), policy },
    ])
    .unwrap();
    site.sweep(1);
    site
}

/// Where each flow's packets go.
fn ways(site: &Site) -> Vec<[Option<u16>; 2]> {
    let way = |number| {
        let flow = flow(number, VIP);
        [Kind::Syn, Kind::Ack].map(|kind| site.packet(&flow, kind))
    };
    (0..FLOWS).map(way).collect()
}

fn found(site: &Site) -> Vec<String> {
    site.verify().into_iter().map(|finding| finding.what).collect()
}

#[test]
fn what_is_as_it_was_put_is_left_alone() {
    let site = site();
    let before = everything(&site);
    assert_eq!(found(&site), [""; 0]);
    assert_eq!(everything(&site), before);
}

#[test]
fn a_row_that_packets_read_is_put_right_by_a_commit_and_named() {
    let site = site();
    let id = site.id("www", &backend(1)).unwrap();
    let (row, generation) = (site.backend_row(id), site.plane().generation());
    let live = (generation & 1) as usize * MAX_BACKENDS as usize + usize::from(id);
    site.view().backends.set(live, Backend { weight: 0, state: 0, ..row });
    assert_ne!(site.backend_row(id), row);
    assert_eq!(found(&site), ["1 row of BACKENDS (www/192.0.2.2:80)"]);
    assert_eq!(site.backend_row(id), row);
    assert_eq!(site.plane().generation(), generation + 1);
    assert_eq!(found(&site), [""; 0], "what is due to be written is no change of somebody else's");
}

#[test]
fn a_row_of_the_idle_copy_is_right_before_it_is_live() {
    let mut site = site();
    let (id, generation) = (site.id("www", &backend(1)).unwrap(), site.plane().generation());
    let row = site.backend_row(id);
    let idle = (!generation & 1) as usize * MAX_BACKENDS as usize + usize::from(id);
    site.view().backends.set(idle, Backend::default());
    assert_eq!(found(&site), ["1 row of BACKENDS (www/192.0.2.2:80)"]);
    assert_eq!(site.plane().generation(), generation, "packets need no commit");
    site.apply(vec![bind("www", &backend(0), 20, Phase::Serve)]).unwrap();
    assert_eq!(site.backend_row(id), row);
}

#[test]
fn everything_that_was_wiped_is_back_with_one_commit() {
    let mut site = site();
    // Some connections are remembered, and their service is moving.
    site.apply(vec![put(2, Phase::Serve)]).unwrap();
    assert_eq!(found(&site), [""; 0]);
    let (before, went) = (everything(&site), ways(&site));
    let generation = site.plane().generation();
    site.wipe();
    assert_ne!(ways(&site), went);
    let said = found(&site);
    for what in ["of WORDS", "of CONFIG", "of LOOKUP", "of POLICIES", "of RINGS of service"] {
        assert!(said.iter().any(|said| said.contains(what)), "{what} is not in {said:?}");
    }
    assert_eq!(ways(&site), went);
    assert_eq!(site.plane().generation(), generation + 1);
    let same = |text: &str| text.replace(&(generation + 1).to_string(), &generation.to_string());
    assert_eq!(same(&everything(&site)), same(&before));
    assert_eq!(found(&site), [""; 0]);
    // What the wiped copy lacks is written when its turn comes.
    site.apply(vec![put(3, Phase::Drain)]).unwrap();
    site.apply(vec![put(3, Phase::Break)]).unwrap();
    assert_eq!(ways(&site), went);
}

#[test]
fn a_word_is_put_right_but_for_those_of_others() {
    let site = site();
    let words = [words::GENERATION, words::TERM, words::SEQUENCE, words::FLOWS_FULL];
    let before = words.map(|word| site.word(word));
    for word in words {
        site.view().words.set(word as usize, 41);
    }
    site.view().words.set(words::WATCH as usize, 99);
    assert_eq!(found(&site), ["4 of WORDS"]);
    assert_eq!(words.map(|word| site.word(word)), before);
    assert_eq!(site.word(words::WATCH), 99, "somebody watches packets");
}

#[test]
fn after_the_other_copy_was_live_it_is_not_written_before_packets_have_left() {
    let mut site = site();
    site.sweep(1);
    assert!(site.plane().live.idle_is_free());
    let generation = site.plane().generation();
    site.view().words.set(words::GENERATION as usize, generation + 1);
    assert_eq!(found(&site), ["1 of WORDS"]);
    assert!(!site.plane().live.idle_is_free());
}

#[test]
fn a_ring_at_rest_is_right_at_the_first_look() {
    let site = site();
    let went = ways(&site);
    let ring = site.plane().ring_of(&name("www"), LEN).unwrap().slots();
    let one = site.id("www", &backend(0)).unwrap();
    // All to one; and one slot to nobody.
    for place in ring.clone().skip(1) {
        site.view().rings.set(place, RingSlot::new(one, one));
    }
    site.view().rings.set(ring.start, RingSlot::default());
    assert_ne!(ways(&site), went);
    let said = found(&site);
    assert!(said[0].ends_with("of RINGS of service `www`"), "{said:?}");
    assert_eq!(ways(&site), went);
    assert_eq!(found(&site), [""; 0]);
}

#[test]
fn a_moving_ring_that_was_not_looked_at_keeps_the_owners_it_can_have() {
    let mut site = site();
    site.apply(vec![put(1, Phase::Drain)]).unwrap();
    let went = ways(&site);
    let ring = site.plane().ring_of(&name("www"), LEN).unwrap().slots();
    let one = site.id("www", &backend(1)).unwrap();
    for place in ring {
        let slot = site.view().rings.get(place);
        let nobody = MAX_BACKENDS as u16 - 1;
        let current = if slot.current() == one { slot.current() } else { nobody };
        site.view().rings.set(place, RingSlot::new(slot.settled(), current));
    }
    assert_eq!(found(&site).len(), 1);
    assert_eq!(ways(&site), went);
}

#[test]
fn a_ring_that_changes_meanwhile_is_not_overwritten() {
    let mut site = site();
    let ring = site.plane().ring_of(&name("www"), LEN).unwrap().slots();
    site.view().rings.set(ring.start, RingSlot::default());
    let truth = site.plane().look_at_ring(&name("www")).unwrap().judge(|_| true);
    site.apply(vec![put(2, Phase::Serve)]).unwrap();
    let before = everything(&site);
    assert_eq!(site.plane().settle_ring(truth), None);
    assert_eq!(everything(&site), before);
}

#[test]
fn a_service_that_somebody_has_put_there_goes() {
    let site = site();
    let alien = Service { mode: 1, ring_len: 5, ..Service::default() };
    for copy in 0..2 {
        site.view().services.set(copy * MAX_SERVICES as usize + 77, alien);
        site.view()
            .policies
            .set(copy * (MAX_SERVICES * CLASSES) as usize + 9_999, Default::default());
    }
    assert_eq!(found(&site), ["1 row of SERVICES"]);
    assert_eq!(site.service_row(77), Service::default());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    /// Whatever an edge does itself is not taken for somebody else's doing.
    #[test]
    fn no_change_of_its_own_is_found(
        deltas in proptest::collection::vec(
            (proptest::collection::vec(change(), 1..4), 0u8..6), 1..20),
    ) {
        let mut site = Site::new(4000);
        for (changes, then) in deltas {
            let _ = site.apply(changes);
            match then {
                0 => drop(site.sweep(200)),
                1 => site.restart(),
                2 | 3 => prop_assert_eq!(site.verify(), []),
                _ => {}
            }
        }
        prop_assert_eq!(site.verify(), []);
    }
}
