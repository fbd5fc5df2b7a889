use proptest::prelude::*;

use super::*;
use crate::edge::mapping::Region;

/// A ring after a change, with its slots.
#[derive(Debug)]
struct Turned {
    slots: Vec<RingSlot>,
    differing: bool,
    moved_away: Vec<u16>,
}

/// The same in mapped memory; an empty `previous` is none.
fn turn(
    previous: &[RingSlot],
    current: &[u16],
    tracking: bool,
    owns: impl Fn(u16) -> bool,
) -> Turned {
    let len = current.len();
    let mut region = Region::anonymous(2 * len).unwrap();
    region.write(0, previous);
    let mut parts = region.parts(&[0..previous.len(), len..2 * len]);
    let mut next = parts.pop().unwrap();
    let previous = parts.pop().filter(|part| part.len() > 0);
    let Turn { differing, moved_away } =
        super::turn(previous.as_ref(), current, &mut next, tracking, owns);
    Turned { slots: region.read(len, len), differing, moved_away }
}

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

proptest! {
    /// Tiles of one kind of slot are no other way to the same ring.
    #[test]
    fn whole_tiles_are_turned_as_their_slots_are(
        tiles in prop::collection::vec((1u16..4, 0u16..4, 0u16..4, any::<bool>(), 0usize..40), 1..6),
        tracking: bool,
        gone in 0u16..4,
    ) {
        let mut before = Vec::new();
        let mut now = Vec::new();
        for (settled, current, next, touched, odd) in tiles {
            let slot = RingSlot::new(settled, current).touched_if(touched);
            before.extend([slot; TILE]);
            now.extend([next; TILE]);
            // In some tiles one slot is another, before or now.
            let at = before.len() - TILE + odd % TILE;
            match odd {
                0..10 => before[at] = RingSlot::new(3, 3),
                10..20 => now[at] = 3,
                _ => {}
            }
        }
        before.truncate(before.len() - 5);
        now.truncate(before.len());
        let owns = |id| id != gone;
        let whole = turn(&before, &now, tracking, owns);
        let each: Vec<_> = before
            .iter()
            .zip(&now)
            .map(|(&before, &now)| turn(&[before], &[now], tracking, owns))
            .collect();
        prop_assert_eq!(&whole.slots, &each.iter().map(|one| one.slots[0]).collect::<Vec<_>>());
        prop_assert_eq!(whole.differing, each.iter().any(|one| one.differing));
        let mut moved: Vec<_> = each.iter().flat_map(|one| one.moved_away.clone()).collect();
        moved.sort_unstable();
        moved.dedup();
        prop_assert_eq!(whole.moved_away, moved);
    }
}
