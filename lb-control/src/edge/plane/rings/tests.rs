use super::*;

#[test]
fn a_first_ring_is_settled() {
    let first = turn(&[], &[1, 2, 2], |_| true);
    assert_eq!(first.slots, [slot(1, 1), slot(2, 2), slot(2, 2)]);
    assert!(!first.differing && first.moved_away.is_empty());
}

#[test]
fn old_connections_stay_where_they_are() {
    let next = turn(&[slot(1, 1), slot(1, 1), slot(2, 2)], &[1, 3, 3], |_| true);
    assert_eq!(next.slots, [slot(1, 1), slot(1, 3), slot(2, 3)]);
    assert!(next.differing);
    assert_eq!(next.moved_away, [1, 2]);

    // Once more: the first owner still owns, and lost nothing new.
    let again = turn(&next.slots, &[1, 4, 2], |_| true);
    assert_eq!(again.slots, [slot(1, 1), slot(1, 4), slot(2, 2)]);
    assert!(again.moved_away.is_empty());
}

#[test]
fn who_is_gone_owns_nothing() {
    let next = turn(&[slot(1, 2), slot(0, 0), slot(2, 2)], &[2, 2, 0], |id| id != 1 && id != 2);
    assert_eq!(next.slots, [slot(2, 2), slot(2, 2), slot(0, 0)]);
    assert!(!next.differing);
}

#[test]
fn without_a_taker_the_owner_keeps_its_connections() {
    let next = turn(&[slot(1, 1)], &[0], |_| true);
    assert_eq!(next.slots, [slot(1, 0)]);
    assert!(next.differing);
}
