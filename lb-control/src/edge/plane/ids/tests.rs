use super::*;

fn ids() -> Ids<&'static str> {
    Ids::new(1, 3, BTreeMap::new(), |_| false)
}

#[test]
fn an_id_is_not_given_again_before_it_rested() {
    let mut ids = ids();
    assert_eq!((ids.assign("a"), ids.assign("b")), (1, 2));
    let a = ids.release(&"a").unwrap();
    assert!(!ids.is_held(a) && ids.get(&"a").is_none());
    ids.rest(a, "a", 5);
    assert_eq!(ids.preview(&["c", "d"]), None);
    assert_eq!(ids.rested(|ticket| ticket < 5), []);
    assert_eq!(ids.rested(|ticket| ticket <= 5), [(a, 5)]);
    ids.set_free(a, 5);
    assert_eq!(ids.preview(&["c", "d"]), Some(vec![3, a]));
    assert_eq!((ids.assign("c"), ids.assign("d")), (3, a));
}

#[test]
fn who_comes_back_early_gets_the_same_id() {
    let mut ids = ids();
    ids.assign("a");
    ids.assign("b");
    let b = ids.release(&"b").unwrap();
    ids.rest(b, "b", 0);
    assert_eq!(ids.preview(&["c", "b"]), Some(vec![3, b]));
    assert_eq!(ids.assign("b"), b);
    // Its rest is over; freeing it now would give it to two.
    ids.set_free(b, 0);
    assert_eq!(ids.free().collect::<Vec<_>>(), [3]);

    // It goes once more: what was learnt of its first rest says nothing of this one.
    ids.release(&"b");
    ids.rest(b, "b", 4);
    ids.set_free(b, 0);
    assert_eq!(ids.free().collect::<Vec<_>>(), [3]);
}

#[test]
fn an_id_that_is_still_named_is_not_free() {
    let mut ids = Ids::new(1, 3, BTreeMap::from([("a", 1)]), |id| id <= 2);
    assert_eq!(ids.free().collect::<Vec<_>>(), [3]);
    assert_eq!(ids.rested(|_| true), [(2, 0)]);
    ids.set_free(2, 0);
    assert_eq!(ids.free().collect::<Vec<_>>(), [3, 2]);
}
