use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::abi::DEFAULT_RING;

fn seat(n: u16, weight: u32) -> Seat {
    let mut addr = [0; 16];
    addr[10..12].fill(0xff);
    addr[12..].copy_from_slice(&[10, 0, (n >> 8) as u8, n as u8]);
    Seat { id: n + 1, identity: identity(addr, [0, 80]), weight }
}

fn filled(seats: &[Seat], len: usize) -> Vec<u16> {
    let mut ring = vec![u16::MAX; len];
    fill(seats, &mut ring);
    ring
}

fn counts(ring: &[u16]) -> HashMap<u16, u32> {
    let mut counts = HashMap::new();
    for &id in ring {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

/// Slots that changed between two seats that are both in both rings.
fn moved_without_need(old: &[u16], new: &[u16], changed: u16) -> usize {
    let apart = |(a, b): &(&u16, &u16)| a != b && **a != changed && **b != changed;
    old.iter().zip(new).filter(apart).count()
}

proptest! {
    #[test]
    fn shares_are_exact_to_one_slot(
        weights in prop::collection::vec(0u32..1000, 1..60),
        len in 1usize..3000,
    ) {
        let seats: Vec<_> = weights.iter().zip(0..).map(|(&w, n)| seat(n, w)).collect();
        let total: u32 = weights.iter().sum();
        let counts = counts(&filled(&seats, len));
        if total == 0 {
            prop_assert_eq!(counts[&0] as usize, len);
        } else {
            prop_assert_eq!(counts.get(&0), None);
            for seat in &seats {
                let share = len as f64 * f64::from(seat.weight) / f64::from(total);
                let got = f64::from(counts.get(&seat.id).copied().unwrap_or(0));
                prop_assert!((got - share).abs() < 1.0, "{} slots for a share of {}", got, share);
                prop_assert!(seat.weight > 0 || got == 0.0);
            }
        }
    }

    #[test]
    fn the_order_of_seats_decides_nothing(
        mut seats in Just((0..40).map(|n| seat(n, 1 + u32::from(n) % 5)).collect::<Vec<_>>()).prop_shuffle(),
        len in 1usize..2000,
    ) {
        let shuffled = filled(&seats, len);
        seats.sort_by_key(|seat| seat.id);
        prop_assert_eq!(shuffled, filled(&seats, len));
    }
}

#[test]
fn ids_decide_nothing() {
    let seats: Vec<_> = (0..20).map(|n| seat(n, 1)).collect();
    let renamed: Vec<_> = seats.iter().map(|s| Seat { id: 1000 - s.id, ..*s }).collect();
    let expected: Vec<_> = filled(&seats, 997).iter().map(|id| 1000 - id).collect();
    assert_eq!(filled(&renamed, 997), expected);
}

#[test]
fn a_hundred_weights_are_honoured_to_a_percent() {
    // Shares from 1/300 to 1/75: 218 to 874 slots.
    let seats: Vec<_> = (0..100).map(|n| seat(n, 1 + u32::from(n) % 4)).collect();
    let total: u32 = seats.iter().map(|seat| seat.weight).sum();
    let counts = counts(&filled(&seats, DEFAULT_RING as usize));
    for seat in &seats {
        let share = f64::from(DEFAULT_RING) * f64::from(seat.weight) / f64::from(total);
        let error = (f64::from(counts[&seat.id]) / share - 1.0).abs();
        assert!(error < 0.01, "{error} off at weight {}", seat.weight);
    }
}

#[test]
fn lengths_that_are_not_prime_are_filled() {
    let seats: Vec<_> = (0..7).map(|n| seat(n, 1)).collect();
    for len in [1, 2, 4, 6, 64, 510_510, 65_536, 1 << 20] {
        let counts = counts(&filled(&seats, len));
        assert_eq!(counts.get(&0), None, "length {len}");
        assert_eq!(counts.len(), len.min(7), "length {len}");
    }
}

#[test]
fn nobody_serves_an_empty_service() {
    assert_eq!(filled(&[], 10), [0; 10]);
    assert_eq!(filled(&[seat(1, 0)], 10), [0; 10]);
    assert_eq!(filled(&[seat(1, 0), seat(2, 3)], 10), [3; 10]);
    fill(&[seat(1, 1)], &mut []);
}

#[test]
fn one_add_moves_little_else() {
    // Measured 0.26 %, 0.55 % and 0.87 % on average (`examples/ring.rs`).
    for (others, most) in [(10, 400), (100, 700), (1000, 1100)] {
        let mut seats: Vec<_> = (0..others).map(|n| seat(n, 100)).collect();
        let before = filled(&seats, DEFAULT_RING as usize);
        let added = seat(5000, 100);
        seats.push(added);
        let after = filled(&seats, DEFAULT_RING as usize);
        let moved = moved_without_need(&before, &after, added.id);
        assert!(moved < most, "{moved} slots between others of {others} seats");
    }
}

#[test]
fn very_different_weights_take_no_longer() {
    // One round for each slot of the heaviest seat would be 400 million turns.
    let mut seats: Vec<_> = (0..999).map(|n| seat(n, 1)).collect();
    seats.push(seat(999, 1_000_000));
    let counts = counts(&filled(&seats, 1 << 20));
    assert!(counts[&1000] > 1_047_000);
    assert!(counts.values().filter(|&&n| n == 1).count() > 900);
}

#[test]
fn identities_differ_by_every_part() {
    let mut seen = std::collections::HashSet::new();
    for port in 0..1000u16 {
        for last in 0..20 {
            let mut addr = [0; 16];
            addr[15] = last;
            assert!(seen.insert(identity(addr, port.to_be_bytes())));
        }
    }
}
