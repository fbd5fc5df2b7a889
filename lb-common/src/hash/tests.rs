use super::*;

#[test]
fn siphash_differs_by_key_and_by_every_word() {
    let base = siphash13([1, 2], [3, 4]);
    assert_ne!(base, siphash13([0, 2], [3, 4]));
    assert_ne!(base, siphash13([1, 0], [3, 4]));
    assert_ne!(base, siphash13([1, 2], [0, 4]));
    assert_ne!(base, siphash13([1, 2], [3, 0]));
}

#[test]
fn every_part_of_a_flow_matters() {
    let key = [7, 9];
    let h = |s: u8, d: u8, sp: u16, dp: u16, p: u8| {
        flow_v4(key, [198, 51, 100, s], [203, 0, 113, d], sp.to_be_bytes(), dp.to_be_bytes(), p)
    };
    let base = h(1, 1, 1000, 80, 6);
    for other in [
        h(2, 1, 1000, 80, 6),
        h(1, 2, 1000, 80, 6),
        h(1, 1, 1001, 80, 6),
        h(1, 1, 1000, 81, 6),
        h(1, 1, 1000, 80, 17),
    ] {
        assert_ne!(base, other);
    }
}

#[test]
fn slots_are_even_and_in_range() {
    let len = 997;
    let mut seen = vec![0u32; len as usize];
    for port in 0..u16::MAX {
        let h = flow_v4([1, 2], [10, 0, 0, 1], [10, 0, 0, 2], port.to_be_bytes(), [0, 80], 6);
        seen[ring_slot(h, len) as usize] += 1;
    }
    // 65.7 on average; a slot without any flow would be a broken hash.
    assert!(seen.iter().all(|&n| (20..150).contains(&n)), "{seen:?}");
}

#[test]
fn buckets_are_in_range_and_agree() {
    for n in 0..10_000u32 {
        let mut key = LookupKey { port: [0, 80], protocol: 6, role: 1, ..Default::default() };
        key.addr[12..].copy_from_slice(&n.to_be_bytes());
        for slot in lookup_buckets(&key) {
            assert!(slot % LOOKUP_BUCKET == 0 && slot < LOOKUP_SLOTS);
        }
    }
}

#[test]
fn admission_is_even_and_asks_each_epoch_and_slot_anew() {
    let flow = |n: u32| {
        let [a, b, c, d] = n.to_be_bytes();
        flow_v4([1, 2], [10, a, b, c], [10, 0, 0, 2], [d, 7], [0, 80], 6)
    };
    let flows = 1 << 18;
    let refused = |n: u32, epoch: u64| admission(flow(n), epoch) < 1 << 30;
    let share = |chosen: &dyn Fn(u32) -> bool| {
        (0..flows).filter(|&n| chosen(n)).count() as f64 / f64::from(flows)
    };
    let near = |share: f64, wanted: f64| (share - wanted).abs() < 0.005;
    assert!(near(share(&|n| refused(n, 7)), 0.25));
    // As if independent: a quarter of a quarter, half of a quarter.
    for epoch in [0, 6, 8, 1_000_000] {
        assert!(near(share(&|n| refused(n, 7) && refused(n, epoch)), 0.0625), "{epoch}");
    }
    assert!(near(share(&|n| refused(n, 7) && ring_slot(flow(n), 2) == 0), 0.125));
}
