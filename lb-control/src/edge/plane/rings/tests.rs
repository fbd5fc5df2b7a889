use super::*;

fn slot(settled: u16, current: u16) -> RingSlot {
    RingSlot::new(settled, current)
}

/// A slot that was touched before.
fn touched(owner: u16) -> RingSlot {
    slot(owner, owner).touched_if(true)
}

#[test]
fn a_first_ring_is_settled() {
    let first = turn(&[], &[1, 2, 2], false, |_| true);
    assert_eq!(first.slots, [slot(1, 1), slot(2, 2), slot(2, 2)]);
    assert!(!first.differing && first.moved_away.is_empty());
}

#[test]
fn a_first_ring_is_touched_where_flows_may_be_remembered() {
    let first = turn(&[], &[1, 2], true, |_| true);
    assert_eq!(first.slots, [touched(1), touched(2)]);
    assert!(!first.differing);
}

#[test]
fn old_connections_stay_where_they_are() {
    let next = turn(&[slot(1, 1), slot(1, 1), slot(2, 2)], &[1, 3, 3], false, |_| true);
    assert_eq!(next.slots, [slot(1, 1), slot(1, 3), slot(2, 3)]);
    assert!(next.differing);
    assert_eq!(next.moved_away, [1, 2]);

    // Once more: the first owner still owns, and lost nothing new.
    let again = turn(&next.slots, &[1, 4, 2], true, |_| true);
    assert_eq!(again.slots, [slot(1, 1), slot(1, 4), touched(2)]);
    assert!(again.moved_away.is_empty());
}

#[test]
fn a_slot_stays_touched_until_the_service_is_at_rest() {
    let moved = [slot(1, 2), touched(2), slot(3, 3)];
    let settled = turn(&moved, &[2, 2, 3], true, |id| id != 1);
    assert_eq!(settled.slots, [touched(2), touched(2), slot(3, 3)]);
    let next = turn(&settled.slots, &[2, 3, 3], true, |_| true);
    assert_eq!(next.slots, [touched(2), slot(2, 3), slot(3, 3)]);
    // At rest the bits mean nothing: what moves next begins anew.
    let rested = turn(&settled.slots, &[2, 2, 2], false, |_| true);
    assert_eq!(rested.slots, [slot(2, 2), slot(2, 2), slot(3, 2)]);
}

#[test]
fn who_is_gone_owns_nothing() {
    let before = [slot(1, 2), slot(0, 0), slot(2, 2)];
    let next = turn(&before, &[2, 2, 0], true, |id| id != 1 && id != 2);
    assert_eq!(next.slots, [touched(2), slot(2, 2), slot(0, 0)]);
    assert!(!next.differing);
}

#[test]
fn without_a_taker_the_owner_keeps_its_connections() {
    let next = turn(&[slot(1, 1)], &[0], false, |_| true);
    assert_eq!(next.slots, [slot(1, 0)]);
    assert!(next.differing);
}
