use proptest::prelude::*;

use super::*;

fn start(range: &ClassRange) -> u128 {
    u128::from(range.start_hi) << 64 | u128::from(range.start_lo)
}

/// What the packet path does: the last range that starts at or before `addr`.
fn lookup(ranges: &[ClassRange], addr: u128) -> u64 {
    ranges[ranges.partition_point(|range| start(range) <= addr) - 1].classes
}

/// Every source of every class, one by one.
fn naive(classes: &[Vec<(u128, u128)>], addr: u128) -> u64 {
    classes
        .iter()
        .enumerate()
        .filter(|(_, sources)| {
            sources.is_empty() || sources.iter().any(|(a, b)| (a..=b).contains(&&addr))
        })
        .fold(0, |mask, (class, _)| mask | 1 << class)
}

/// Ranges around few points, so that they meet, nest and touch, and reach both
/// ends of the address space and the border between the halves of an address.
fn source() -> impl Strategy<Value = (u128, u128)> {
    let point = prop_oneof![
        0u128..20,
        (u128::MAX - 20)..=u128::MAX,
        (1u128 << 64) - 10..(1u128 << 64) + 10,
    ];
    (point.clone(), point).prop_map(|(a, b)| (a.min(b), a.max(b)))
}

proptest! {
    #[test]
    fn agrees_with_a_naive_search(
        classes in prop::collection::vec(prop::collection::vec(source(), 0..6), 0..=64),
        addresses in prop::collection::vec(source(), 20),
    ) {
        let ranges = flatten(&classes).unwrap();
        prop_assert_eq!(start(&ranges[0]), 0);
        for pair in ranges.windows(2) {
            prop_assert!(start(&pair[0]) < start(&pair[1]));
            prop_assert_ne!(pair[0].classes, pair[1].classes);
        }
        let borders = classes.iter().flatten().flat_map(|&(a, b)| {
            [a.saturating_sub(1), a, b, b.saturating_add(1)]
        });
        let anywhere = addresses.iter().flat_map(|&(a, b)| [a, b]);
        for addr in borders.chain(anywhere) {
            prop_assert_eq!(lookup(&ranges, addr), naive(&classes, addr), "address {:#x}", addr);
        }
    }
}

#[test]
fn without_classes_one_range_holds_everything() {
    assert_eq!(flatten(&[]).unwrap(), [ClassRange::default()]);
    let any = flatten(&[vec![], vec![]]).unwrap();
    assert_eq!(any.len(), 1);
    assert_eq!(any[0].classes, 0b11);
}

#[test]
fn touching_sources_of_a_class_are_one_range() {
    let ranges = flatten(&[vec![(10, 19), (20, 29), (15, 22)]]).unwrap();
    let flat: Vec<_> = ranges.iter().map(|r| (start(r), r.classes)).collect();
    assert_eq!(flat, [(0, 0), (10, 1), (30, 0)]);
}

#[test]
fn too_many_ranges_are_refused() {
    let sources = |n: u128| vec![(0..n).map(|i| (4 * i + 1, 4 * i + 2)).collect::<Vec<_>>()];
    let most = u128::from(MAX_CLASS_RANGES) / 2;
    // Each source makes two borders, and one range lies before the first.
    assert_eq!(flatten(&sources(most - 1)).unwrap().len(), MAX_CLASS_RANGES as usize - 1);
    let error = flatten(&sources(most)).unwrap_err();
    assert_eq!(error.ranges, MAX_CLASS_RANGES as usize + 1);
    assert!(error.to_string().contains("32769 address ranges"));
}
