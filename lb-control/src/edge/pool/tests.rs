use proptest::prelude::*;

use super::*;

fn extent(offset: u32, len: u32) -> Extent {
    Extent { offset, len }
}

#[test]
fn rings_start_at_even_offsets() {
    let mut pool = Pool::new(20, Vec::new()).unwrap();
    assert_eq!(pool.allocate(5), Some(extent(0, 6)));
    assert_eq!(pool.allocate(3), Some(extent(6, 4)));
    assert_eq!(pool.allocate(11), None);
    assert_eq!(pool.allocate(9), Some(extent(10, 10)));
    assert_eq!(pool.allocate(1), None);
}

#[test]
fn a_retired_extent_waits_for_its_grace_period() {
    let mut pool = Pool::new(8, Vec::new()).unwrap();
    let ring = pool.allocate(8).unwrap();
    pool.retire(ring, 3);
    pool.reclaim(|ticket| ticket <= 2);
    assert_eq!(pool.allocate(8), None);
    assert_eq!(pool.last_retired(), Some(3));
    pool.reclaim(|ticket| ticket <= 3);
    assert_eq!(pool.allocate(8), Some(ring));
}

#[test]
fn corrupt_extents_are_not_adopted() {
    assert!(Pool::new(10, vec![extent(0, 4), extent(2, 4)]).is_none());
    assert!(Pool::new(10, vec![extent(8, 4)]).is_none());
    assert!(Pool::new(10, vec![extent(3, 4)]).is_none());
    assert!(Pool::new(10, vec![extent(u32::MAX - 1, 4)]).is_none());
    assert!(Pool::new(10, vec![extent(6, 4), extent(0, 4)]).is_some());
}

proptest! {
    /// Nothing is handed out twice, and everything comes back as one piece.
    #[test]
    fn extents_never_overlap(steps in proptest::collection::vec((1u32..60, any::<bool>()), 1..80)) {
        let mut pool = Pool::new(400, Vec::new()).unwrap();
        let mut held: Vec<Extent> = Vec::new();
        for (len, give_back) in steps {
            if give_back && !held.is_empty() {
                pool.release(held.swap_remove(len as usize % held.len()));
            } else if let Some(new) = pool.allocate(len) {
                prop_assert!(new.offset % 2 == 0 && new.offset + new.len <= 400);
                let apart = |old: &Extent| {
                    old.offset + old.len <= new.offset || new.offset + new.len <= old.offset
                };
                prop_assert!(held.iter().all(apart));
                held.push(new);
            }
            // What is free is what is not taken, whichever way it is computed.
            let fresh = Pool::new(400, held.clone()).unwrap();
            prop_assert_eq!(&pool.free, &fresh.free);
        }
    }
}
