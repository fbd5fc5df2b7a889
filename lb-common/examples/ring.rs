//! Measures ways to fill a ring: build time, evenness, and slots that move
//! although they need not, when a backend is added, removed or weighed anew.
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
/// Builds of which the median and the least time are told.
const BUILDS: usize = 101;
/// Changes of each kind that are averaged, at so many sites.
const CHANGES: usize = 4;
const SITES: usize = 3;

type Fill = fn(&[Seat], &mut [u16]);

const WAYS: [(&str, Fill); 7] = [
    ("as shipped", ring::fill),
    ("tiles of 16", |seats, ring| ring::fill_tiles(seats, ring, 16)),
    ("tiles of 8", |seats, ring| ring::fill_tiles(seats, ring, 8)),
    ("no tiles", |seats, ring| ring::fill_tiles(seats, ring, 1)),
    ("Maglev's turns", |seats, ring| turns(&shares(seats, ring.len()), ring, 0)),
    ("turns, tiles of 16, then slots", |seats, ring| tiles_then_slots(16, seats, ring)),
    ("turns, tiles of 32, then slots", |seats, ring| tiles_then_slots(32, seats, ring)),
];

fn main() {
    for (weights, weight) in [("equal", equal as fn(usize) -> u32), ("from 1 to 100", unequal)] {
        println!("\nweights {weights}: µs to build (median, least), and % of slots moved in vain");
        print!("{:32} {:>5} {:>7} {:>6} {:>6}", "", "seats", "median", "least", "uneven");
        println!("{:>7} {:>7} {:>7} {:>7}", "add", "remove", "halve", "ten");
        for (name, fill) in WAYS {
            for count in [10, 100, 1000] {
                row(name, fill, count, weight);
            }
        }
    }
}

fn equal(_: usize) -> u32 {
    100
}

fn unequal(n: usize) -> u32 {
    1 + (n * 7919 % 100) as u32
}

fn row(name: &str, fill: Fill, count: usize, weight: fn(usize) -> u32) {
    let mut moved = [0.0; 4];
    let mut times = Vec::new();
    let mut uneven: f64 = 0.0;
    for site in 0..SITES {
        let seats: Vec<Seat> =
            (0..count + CHANGES).map(|n| seat(site * 5000 + n, n, weight(n))).collect();
        let (before, more) = (&seats[..count], &seats[count..]);
        let ring = timed(fill, before, &mut times);
        uneven = uneven.max(unevenness(before, &ring));
        for (n, &added) in more.iter().enumerate() {
            let one = n * count / CHANGES;
            let mut after = [(); 4].map(|()| before.to_vec());
            after[0].push(added);
            after[1].remove(one);
            after[2][one].weight = after[2][one].weight.div_ceil(2);
            for n in one..one + 10 {
                let weight = &mut after[3][n % count].weight;
                *weight += weight.div_ceil(50);
            }
            for (moved, seats) in moved.iter_mut().zip(&after) {
                *moved += in_vain(&ring, &filled(fill, seats)) / (SITES * CHANGES) as f64;
            }
        }
    }
    times.sort_by(f64::total_cmp);
    print!("{name:32} {count:5} {:7.0} {:6.0} {uneven:6.2}", times[times.len() / 2], times[0]);
    println!("{}", moved.map(|percent| format!(" {percent:6.2}%")).concat());
}

fn seat(n: usize, id: usize, weight: u32) -> Seat {
    let mut addr = [0; 16];
    addr[10..12].fill(0xff);
    addr[12..].copy_from_slice(&(0x0a00_0001 + n as u32).to_be_bytes());
    Seat { id: id as u16 + 1, identity: ring::identity(addr, [0, 80]), weight }
}

fn filled(fill: Fill, seats: &[Seat]) -> Vec<u16> {
    let mut ring = vec![0; LEN];
    fill(seats, &mut ring);
    ring
}

/// A ring; adds the microseconds of each time it was built.
fn timed(fill: Fill, seats: &[Seat], times: &mut Vec<f64>) -> Vec<u16> {
    let mut ring = vec![0; LEN];
    times.extend((0..BUILDS).map(|_| {
        let begun = Instant::now();
        fill(seats, &mut ring);
        begun.elapsed().as_secs_f64() * 1e6
    }));
    ring
}

/// Percent of slots that changed hands beyond what the new shares ask for.
fn in_vain(old: &[u16], new: &[u16]) -> f64 {
    let mut gained = vec![0i32; usize::from(u16::MAX) + 1];
    old.iter().for_each(|&id| gained[usize::from(id)] -= 1);
    new.iter().for_each(|&id| gained[usize::from(id)] += 1);
    let needed: i32 = gained.iter().filter(|&&slots| slots > 0).sum();
    let moved = old.iter().zip(new).filter(|(old, new)| old != new).count();
    (moved - needed as usize) as f64 * 100.0 / LEN as f64
}

/// Slots that the most unlucky seat is away from its share.
fn unevenness(seats: &[Seat], ring: &[u16]) -> f64 {
    let total: u32 = seats.iter().map(|seat| seat.weight).sum();
    let away = |seat: &Seat| {
        let share = LEN as f64 * f64::from(seat.weight) / f64::from(total);
        let got = ring.iter().filter(|&&id| id == seat.id).count();
        (got as f64 - share).abs()
    };
    seats.iter().map(away).fold(0.0, f64::max)
}

/// Seats with their exact shares of `len`, in the order of identities.
fn shares(seats: &[Seat], len: usize) -> Vec<(Seat, usize)> {
    let mut seats = seats.to_vec();
    seats.sort_by_key(|seat| seat.identity);
    let total: usize = seats.iter().map(|seat| seat.weight as usize).sum();
    let share = |seat: &Seat| seat.weight as usize * len / total;
    let mut shares: Vec<_> = seats.iter().map(|seat| (*seat, share(seat))).collect();
    let mut by_remainder: Vec<usize> = (0..seats.len()).collect();
    by_remainder.sort_by_key(|&n| std::cmp::Reverse(seats[n].weight as usize * len % total));
    let left = len - shares.iter().map(|(_, share)| share).sum::<usize>();
    by_remainder[..left].iter().for_each(|&n| shares[n].1 += 1);
    shares
}

/// Maglev: the seats take turns at claiming the first free place of their
/// order, a heavier one more often.
fn turns(shares: &[(Seat, usize)], places: &mut [u16], salt: u64) {
    places.fill(0);
    let len = places.len();
    let Some(most) = shares.iter().map(|(_, share)| *share).max().filter(|_| len > 0) else {
        return;
    };
    let rounds = most.min(4 * len.div_ceil(shares.len()));
    let coprime = |step: &usize| gcd(*step, len) == 1;
    let mut orders: Vec<_> = shares
        .iter()
        .map(|(seat, _)| {
            let random = lb_common::hash::siphash13([0, salt], [seat.identity]) as usize;
            let least = 1 + (random >> 32) % len.max(2).saturating_sub(1);
            (random as u32 as usize % len, (least..).find(coprime).unwrap_or(1) % len, 0)
        })
        .collect();
    for _ in 0..rounds {
        for ((seat, share), (place, step, credit)) in shares.iter().zip(&mut orders) {
            *credit += share;
            while *credit >= rounds {
                *credit -= rounds;
                while places[*place] != 0 {
                    *place = wrap(*place + *step, len);
                }
                places[*place] = seat.id;
            }
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn wrap(place: usize, len: usize) -> usize {
    if place < len { place } else { place - len }
}

/// Whole tiles by turns; then what remains of the shares, slot by slot over the
/// tiles that nobody got.
fn tiles_then_slots(tile: usize, seats: &[Seat], ring: &mut [u16]) {
    let shares = shares(seats, ring.len());
    let part = |of: fn(usize, usize) -> usize| -> Vec<_> {
        let part = |&(seat, share): &(Seat, usize)| (seat, of(share, tile));
        shares.iter().map(part).filter(|(_, share)| *share > 0).collect()
    };
    let mut tiles = vec![0; ring.len() / tile];
    turns(&part(|share, tile| share / tile), &mut tiles, 0);
    let whole: usize = tiles.iter().filter(|&&id| id != 0).count();
    let mut slots = vec![0; ring.len() - whole * tile];
    turns(&part(|share, tile| share % tile), &mut slots, 1);
    let mut slots = slots.into_iter();
    for (n, slot) in ring.iter_mut().enumerate() {
        let id = tiles.get(n / tile).copied().filter(|&id| id != 0);
        *slot = id.unwrap_or_else(|| slots.next().expect("as many as are free"));
    }
}
