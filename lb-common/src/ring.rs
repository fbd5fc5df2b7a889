//! Filling a service's ring: which backend owns which slot.
//!
//! The ring is cut into tiles of adjacent slots, 32 each where it is long
//! enough. As in Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable
//! Software Network Load Balancer", NSDI 2016, section 3.4), every backend has
//! its own order of all tiles, derived from its identity. It asks for them one
//! after the other, the faster the heavier it is, and takes what is free of
//! each, until it has its share. Shares are fixed beforehand (largest
//! remainder), so they are exact to the slot.
//!
//! How fast a backend asks depends on its own weight alone: where nobody's
//! order brings a newcomer first, everything stays as it was, and who loses a
//! tile goes on asking where it would have stopped. (In Maglev's own turns,
//! which end only with a slot that is free, one loss shifts all later turns.)
//!
//! Ways to fill 65,537 slots, on a very busy two-core EPYC (`cargo run --release
//! -p lb-common --example ring`, equal weights): microseconds to build (the least
//! of 303), and slots that one add moves although they need not.
//!
//! | | 10 seats | 100 | 1,000 |
//! | --- | --- | --- | --- |
//! | this: tiles of 32 | 30, 1.2 % | 53, 1.8 % | 107, 0.7 % |
//! | tiles of 16 | 65, 0.9 % | 95, 1.3 % | 200, 0.6 % |
//! | tiles of 8 | 230, 0.6 % | 234, 0.9 % | 344, 0.5 % |
//! | no tiles | 1,575, 0.2 % | 1,861, 0.3 % | 2,176, 0.3 % |
//! | Maglev's turns, no tiles | 1,115, 0.3 % | 1,516, 0.6 % | 1,599, 0.9 % |
//! | turns for tiles of 16, then for what remains | 185, 1.6 % | 208, 4.3 % | 366, 2.5 % |
//!
//! With weights from 1 to 100 this moves 0.7 to 2.3 %, and the last one up to 11 %.

use std::cmp::Reverse;

use crate::hash;

/// A backend's claim to a share of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// What the ring's slots hold; not 0. It decides nothing.
    pub id: u16,
    /// What its order of tiles is derived from; see [`identity`]. No two seats
    /// of a ring have the same.
    pub identity: u64,
    /// Relative share; 0 takes none.
    pub weight: u32,
}

/// The most slots of a tile; two cache lines of the ring that packets read.
pub const TILE: usize = 32;
/// Rings with fewer tiles have smaller ones.
const TILES: usize = 2048;
/// Questions that a seat asks in a round, on average: more make fewer rounds,
/// but within a round the seats do not ask in the order of time.
const QUESTIONS: u64 = 4;

/// 64 well-mixed bits of a backend's address and port.
pub fn identity(addr: [u8; 16], port: [u8; 2]) -> u64 {
    let addr = u128::from_be_bytes(addr);
    let port = u64::from(u16::from_be_bytes(port));
    // Not secret: the key only has to be the same on every edge.
    hash::siphash13([0, 0], [(addr >> 64) as u64, addr as u64, port])
}

/// Fills `ring` with the ids of `seats`, or with 0 where nobody has a weight.
///
/// Which seat gets which slot is a function of the set of (identity, weight)
/// alone: neither the order of `seats`, nor ids, nor what the ring held before
/// matters. Each seat gets its share of the slots by weight to within one slot.
pub fn fill(seats: &[Seat], ring: &mut [u16]) {
    let mut tile = TILE;
    while tile > 1 && ring.len() / tile < TILES {
        tile /= 2;
    }
    fill_tiles(seats, ring, tile);
}

/// As [`fill`], with tiles of so many slots (`1..=255`).
pub fn fill_tiles(seats: &[Seat], ring: &mut [u16], tile: usize) {
    let len = u32::try_from(ring.len()).expect("a ring has less than 2^32 slots");
    let mut room = vec![tile as u8; ring.len().div_ceil(tile)];
    if let Some(last) = room.last_mut() {
        *last = (ring.len() - (ring.len() - 1) / tile * tile) as u8;
    }
    let mut asking = asking(seats, len, room.len() as u32);
    if asking.is_empty() {
        ring.fill(0);
    }
    let mut rates: u64 = asking.iter().map(|seat| seat.rate).sum();
    while !asking.is_empty() {
        let price = price(rates, asking.len());
        asking.retain_mut(|seat| {
            seat.credit += seat.rate;
            while seat.credit >= price {
                seat.credit -= price;
                let place = seat.place as usize;
                seat.place = wrap(seat.place + seat.step, room.len() as u32);
                let free = usize::from(room[place]);
                if free == 0 {
                    continue;
                }
                let taken = free.min(seat.quota as usize);
                let from = ring.len().min((place + 1) * tile) - free;
                take(&mut ring[from..from + taken], seat.id);
                room[place] -= taken as u8;
                seat.quota -= taken as u32;
                if seat.quota == 0 {
                    rates -= seat.rate;
                    return false;
                }
            }
            true
        });
    }
}

fn take(slots: &mut [u16], id: u16) {
    // Nearly always a whole tile: of a length that the compiler knows.
    match <&mut [u16; TILE]>::try_from(&mut *slots) {
        Ok(tile) => *tile = [id; TILE],
        Err(_) => slots.fill(id),
    }
}

/// What a question costs, when `seats` seats ask at these rates in all.
fn price(rates: u64, seats: usize) -> u64 {
    (rates / (QUESTIONS * seats as u64)).max(1)
}

/// A seat while the ring is being filled.
struct Asking {
    id: u16,
    /// Slots that it still wants; more than 0.
    quota: u32,
    /// Its weight, with 8 more bits.
    rate: u64,
    /// Grows by `rate` each round, and pays for questions.
    credit: u64,
    /// The tile it asks for next.
    place: u32,
    /// From each tile of its order to the next; coprime to the number of tiles,
    /// so that the order holds all of them.
    step: u32,
}

/// The seats that get slots, in the order in which they ask.
fn asking(seats: &[Seat], len: u32, tiles: u32) -> Vec<Asking> {
    let mut seats: Vec<&Seat> = seats.iter().filter(|seat| seat.weight > 0).collect();
    seats.sort_unstable_by_key(|seat| seat.identity);
    let factors = prime_factors(tiles);
    let quotas = quotas(&seats, len);
    let seats = quotas.into_iter().zip(seats).filter(|(quota, _)| *quota > 0);
    let mut asking: Vec<_> = seats
        .map(|(quota, seat)| {
            // `identity` is mixed once more, in case it is not.
            let random = hash::siphash13([0, 0], [seat.identity]);
            let least = 1 + scale(random, tiles - 1);
            let coprime = |step: &u32| !factors.iter().any(|&factor| step.is_multiple_of(factor));
            Asking {
                id: seat.id,
                quota,
                rate: u64::from(seat.weight) << 8,
                credit: random >> (2 * BITS),
                place: scale(random >> BITS, tiles),
                step: (least..tiles).find(coprime).unwrap_or(1),
            }
        })
        .collect();
    // Seats of equal weight do not ask all at the same time: they would change
    // places all together with the slightest change of the price.
    let price = price(asking.iter().map(|seat| seat.rate).sum(), asking.len().max(1));
    for seat in &mut asking {
        seat.credit = ((u128::from(seat.credit) * u128::from(price)) >> (64 - 2 * BITS)) as u64;
    }
    asking
}

/// Slots for each seat, `len` in all: the exact share rounded down, and one
/// more for the largest remainders.
fn quotas(seats: &[&Seat], len: u32) -> Vec<u32> {
    let total: u64 = seats.iter().map(|seat| u64::from(seat.weight)).sum();
    let exact = |seat: &&Seat| u64::from(seat.weight) * u64::from(len);
    let mut quotas: Vec<u32> = seats.iter().map(|seat| (exact(seat) / total) as u32).collect();
    let mut by_remainder: Vec<usize> = (0..seats.len()).collect();
    by_remainder.sort_by_cached_key(|&index| Reverse(exact(&seats[index]) % total));
    let left = if seats.is_empty() { 0 } else { len - quotas.iter().sum::<u32>() };
    for &index in &by_remainder[..left as usize] {
        quotas[index] += 1;
    }
    quotas
}

/// `place` modulo `tiles`, for `place < 2 * tiles`.
fn wrap(place: u32, tiles: u32) -> u32 {
    place.min(place.wrapping_sub(tiles))
}

/// Bits of a seat's hash for each of its place and its step.
const BITS: u32 = 22;

/// Maps the lowest [`BITS`] bits to `0..below`, evenly enough: a ring has at
/// most 2^20 slots.
fn scale(bits: u64, below: u32) -> u32 {
    (((bits & ((1 << BITS) - 1)) * u64::from(below)) >> BITS) as u32
}

/// The different prime factors of `n`.
fn prime_factors(mut n: u32) -> Vec<u32> {
    let mut factors = Vec::new();
    let mut factor = 2;
    while factor * factor <= n {
        if n.is_multiple_of(factor) {
            factors.push(factor);
            while n.is_multiple_of(factor) {
                n /= factor;
            }
        }
        factor += 1;
    }
    if n > 1 {
        factors.push(n);
    }
    factors
}

#[cfg(test)]
mod tests;
