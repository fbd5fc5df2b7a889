//! A delta is taken as a whole or not at all, and visible at once.

use super::site::{Site, bind, name, service, unbind};
use crate::{
    edge::plane::Refusal,
    model::{Change, Delta, Mode, Phase, Policy, Share, Stamp},
};

const VIP: &str = "203.0.113.10:80";

fn site(ring_pool: u32) -> Site {
    let mut site = Site::new(ring_pool);
    let first = bind("www", "192.0.2.1:80", 1, Phase::Serve);
    site.apply(vec![service("www", VIP, Mode::L2, 63), first]).unwrap();
    site
}

/// Tries it, wants it refused without a trace, and returns the reason.
fn refused(site: &mut Site, changes: Vec<Change>) -> Refusal {
    let generation = site.plane().generation();
    let state = site.plane().state().clone();
    let free: Vec<_> = site.plane().bindings.free().collect();
    let refusal = site.apply(changes).unwrap_err();
    assert_eq!(site.plane().generation(), generation);
    assert_eq!(*site.plane().state(), state);
    assert_eq!(site.plane().bindings.free().collect::<Vec<_>>(), free);
    refusal
}

#[test]
fn one_bad_change_refuses_all() {
    let mut site = site(1000);
    let policy = Policy { refuse: Share::ALL, ..Policy::default() };
    let refusal = refused(
        &mut site,
        vec![
            service("new", "203.0.113.11:80", Mode::Nat, 63),
            unbind("www", "192.0.2.1:80"),
            Change::PutPolicy { service: name("www"), class: name("default"), policy },
            Change::DeleteService(name("www")),
            bind("nowhere", "192.0.2.1:80", 1, Phase::Serve),
        ],
    );
    assert!(matches!(refusal, Refusal::State(_)), "{refusal}");
}

#[test]
fn a_ring_keeps_its_size_while_it_has_backends() {
    let mut site = site(1000);
    let refusal = refused(&mut site, vec![service("www", VIP, Mode::L2, 64)]);
    assert_eq!(refusal, Refusal::RingSize { service: name("www"), has: 63, asked: 64 });

    site.apply(vec![unbind("www", "192.0.2.1:80")]).unwrap();
    site.apply(vec![service("www", VIP, Mode::L2, 64)]).unwrap();
    site.apply(vec![bind("www", "192.0.2.1:80", 1, Phase::Serve)]).unwrap();
    assert_eq!(site.service_row(0).ring_len, 64);
}

#[test]
fn without_room_for_its_ring_a_delta_is_refused() {
    let mut site = site(128);
    let big = |ring| {
        let first = bind("big", "192.0.2.1:80", 1, Phase::Serve);
        vec![service("big", "203.0.113.11:80", Mode::L2, ring), first]
    };
    assert_eq!(refused(&mut site, big(65)), Refusal::PoolFull(65));
    // What the refused one had reserved is free again.
    site.apply(big(64)).unwrap();
    // A new ring would need room beside the one it replaces.
    let second = bind("big", "192.0.2.2:80", 1, Phase::Serve);
    assert_eq!(refused(&mut site, vec![second]), Refusal::PoolFull(64));
}

#[test]
fn only_newer_deltas_count() {
    let mut site = site(1000);
    let apply = |site: &Site, term, sequence| {
        let stamp = Stamp { term, sequence };
        site.plane().apply(&Delta { stamp, changes: Vec::new().into() })
    };
    apply(&site, 5, 1).unwrap();
    for (term, sequence) in [(5, 1), (5, 0), (4, 9)] {
        let error = apply(&site, term, sequence).unwrap_err();
        assert!(matches!(error, Refusal::Stale { .. }), "{error}");
    }
    apply(&site, 5, 2).unwrap();
    apply(&site, 6, 1).unwrap();
    site.restart();
    assert!(apply(&site, 5, 9).is_err(), "the term is kept beside the maps");
}

#[test]
fn nothing_new_is_no_new_generation() {
    let mut site = site(1000);
    let generation = site.plane().generation();
    site.apply(vec![service("www", VIP, Mode::L2, 63)]).unwrap();
    assert_eq!(site.plane().generation(), generation);
}

/// Packets that began before the last commit may read the copy that the next
/// one writes.
#[test]
fn a_commit_waits_until_the_idle_copy_is_idle() {
    let mut site = site(1000);
    let weight = |weight| vec![bind("www", "192.0.2.1:80", weight, Phase::Serve)];
    site.apply(weight(2)).unwrap();
    let (last, over) = site.grace_periods();
    assert!(over < last, "nobody has to wait after a commit");
    site.apply(weight(3)).unwrap();
    assert!(site.grace_periods().1 >= last);
}
