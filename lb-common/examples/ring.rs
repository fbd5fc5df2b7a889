//! Measures ways to fill a ring: build time, evenness, and slots that move
//! between two backends that were there before and after, when one backend is
//! added or removed.
//!
//! ```text
//! cargo run --release -p lb-common --example ring
//! ```

use std::time::Instant;

use lb_common::{
    abi::DEFAULT_RING,
    ring::{self, Seat},
};

const LEN: usize = DEFAULT_RING as usize;
/// Builds of which the median time is told, and changes that are averaged.
const BUILDS: usize = 51;
const CHANGES: usize = 8;

type Fill = fn(&[Seat], &mut [u16]);

fn main() {
    let variants: [(&str, Fill); 4] = [
        ("as shipped", ring::fill),
        ("turns to 99 %, then next free", |seats, ring| stop_at(99, seats, ring)),
        ("turns to 95 %, then next free", |seats, ring| stop_at(95, seats, ring)),
        ("one probe a turn", one_probe_a_turn),
    ];
    println!("{:30} {:>5} {:>8} {:>8} {:>8} {:>9}", "", "seats", "ms", "uneven", "add", "remove");
    for (name, fill) in variants {
        for count in [10, 100, 1000] {
            let seats: Vec<Seat> = (0..count + CHANGES).map(seat).collect();
            let (before, ms) = timed(fill, &seats[..count]);
            let added = average(|n| {
                let mut more = seats[..count].to_vec();
                more.push(seats[count + n]);
                moved(&before, &filled(fill, &more), seats[count + n].id)
            });
            let removed = average(|n| {
                let mut less = seats[..count].to_vec();
                let gone = less.remove(n * count / CHANGES);
                moved(&before, &filled(fill, &less), gone.id)
            });
            println!(
                "{name:30} {count:5} {ms:8.2} {:8} {added:7.2}% {removed:8.2}%",
                unevenness(&before, count)
            );
        }
    }
}

fn seat(n: usize) -> Seat {
    let mut addr = [0; 16];
    addr[10..12].fill(0xff);
    addr[12..].copy_from_slice(&(0x0a00_0001 + n as u32).to_be_bytes());
    Seat { id: n as u16 + 1, identity: ring::identity(addr, [0, 80]), weight: 100 }
}

fn filled(fill: Fill, seats: &[Seat]) -> Vec<u16> {
    let mut ring = vec![0; LEN];
    fill(seats, &mut ring);
    ring
}

/// A ring and the median time to build it, in milliseconds.
fn timed(fill: Fill, seats: &[Seat]) -> (Vec<u16>, f64) {
    let mut ring = vec![0; LEN];
    let mut times: Vec<f64> = (0..BUILDS)
        .map(|_| {
            let begun = Instant::now();
            fill(seats, &mut ring);
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (ring, times[BUILDS / 2])
}

fn average(of: impl Fn(usize) -> f64) -> f64 {
    (0..CHANGES).map(of).sum::<f64>() / CHANGES as f64
}

/// Percent of slots that changed hands without `changed` being one of the two.
fn moved(old: &[u16], new: &[u16], changed: u16) -> f64 {
    let apart = |(a, b): &(&u16, &u16)| a != b && **a != changed && **b != changed;
    old.iter().zip(new).filter(apart).count() as f64 / LEN as f64 * 100.0
}

/// Slots between the largest and the smallest share.
fn unevenness(ring: &[u16], seats: usize) -> usize {
    let mut counts = vec![0; seats];
    for &id in ring {
        counts[usize::from(id) - 1] += 1;
    }
    counts.iter().max().unwrap() - counts.iter().min().unwrap()
}

/// A seat's order of slots: where it is, and the step to the next.
struct Order {
    id: u16,
    place: usize,
    step: usize,
    left: usize,
}

impl Order {
    fn advance(&mut self) {
        self.place = (self.place + self.step) % LEN;
    }

    fn take(&mut self, slot: usize, ring: &mut [u16]) {
        ring[slot] = self.id;
        self.left -= 1;
        self.advance();
    }
}

/// Equal shares of a ring of prime length.
fn orders(seats: &[Seat]) -> Vec<Order> {
    let mut seats = seats.to_vec();
    seats.sort_by_key(|seat| seat.identity);
    let share = |n: usize| LEN / seats.len() + usize::from(n < LEN % seats.len());
    let order = |(n, seat): (usize, &Seat)| Order {
        id: seat.id,
        place: seat.identity as u32 as usize % LEN,
        step: 1 + (seat.identity >> 32) as usize % (LEN - 1),
        left: share(n),
    };
    seats.iter().enumerate().map(order).collect()
}

/// Maglev until `percent` of the slots are taken; from there on a seat takes
/// the next free slot after the one it asks for, found in a bitmap.
fn stop_at(percent: usize, seats: &[Seat], ring: &mut [u16]) {
    ring.fill(0);
    let mut orders = orders(seats);
    let mut taken = 0;
    while taken < LEN * percent / 100 {
        for order in orders.iter_mut().filter(|order| order.left > 0) {
            while ring[order.place] != 0 {
                order.advance();
            }
            order.take(order.place, ring);
            taken += 1;
        }
    }
    let mut free = vec![0u64; LEN.div_ceil(64)];
    for slot in (0..LEN).filter(|&slot| ring[slot] == 0) {
        free[slot / 64] |= 1 << (slot % 64);
    }
    while taken < LEN {
        for order in orders.iter_mut().filter(|order| order.left > 0) {
            let mut word = order.place / 64;
            let mut bits = free[word] & (u64::MAX << (order.place % 64));
            while bits == 0 {
                word = (word + 1) % free.len();
                bits = free[word];
            }
            let slot = word * 64 + bits.trailing_zeros() as usize;
            free[word] &= !(1 << (slot % 64));
            order.take(slot, ring);
            taken += 1;
        }
    }
}

/// A turn is one question, whether the slot is free or not.
fn one_probe_a_turn(seats: &[Seat], ring: &mut [u16]) {
    ring.fill(0);
    let mut orders = orders(seats);
    while !orders.is_empty() {
        for order in &mut orders {
            if order.left > 0 && ring[order.place] == 0 {
                order.take(order.place, ring);
            } else {
                order.advance();
            }
        }
        orders.retain(|order| order.left > 0);
    }
}
