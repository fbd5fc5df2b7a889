//! Filling a service's ring: which backend owns which slot.
//!
//! Weighted Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable
//! Software Network Load Balancer", NSDI 2016, section 3.4): every backend has
//! its own order of all slots, derived from its identity, and the backends take
//! turns at claiming the first slot of their order that is still free. Who
//! loses a slot takes one more from the end of what it has anyway, so little
//! else moves.
//!
//! Here the shares are fixed beforehand (largest remainder), so they are exact;
//! a heavier backend has its turn more often.
//!
//! Ways to fill 65,537 slots with equal weights, on a busy two-core EPYC
//! (`cargo run --release -p lb-common --example ring`): milliseconds to build,
//! and slots that one add moves between two others.
//!
//! | | 10 seats | 100 | 1,000 |
//! | --- | --- | --- | --- |
//! | this | 1.2 ms, 0.2 % | 1.3 ms, 0.6 % | 1.4 ms, 0.9 % |
//! | the last 1 % by next free slot | 1.0 ms, 1.0 % | 1.3 ms, 1.2 % | 1.4 ms, 0.8 % |
//! | the last 5 % by next free slot | 1.1 ms, 4.2 % | 1.0 ms, 4.3 % | 1.1 ms, 1.9 % |
//! | one question a turn | 1.5 ms, 0.2 % | 1.4 ms, 0.3 % | 1.6 ms, 0.3 % |
//!
//! A slot that goes to its finder's neighbour is a slot that nobody's order
//! speaks for, so every shortcut at the end is paid for with moves. One
//! question a turn moves least, but with unequal weights it took 2 to 7 ms.

use std::cmp::Reverse;

use crate::hash;

/// A backend's claim to a share of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// What the ring's slots hold; not 0. It decides nothing.
    pub id: u16,
    /// What its order of slots is derived from; see [`identity`]. No two seats
    /// of a ring have the same.
    pub identity: u64,
    /// Relative share; 0 takes none.
    pub weight: u32,
}

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
    ring.fill(0);
    let len = u32::try_from(ring.len()).expect("a ring has less than 2^32 slots");
    let mut turns = turns(seats, len);
    let Some(largest) = turns.iter().map(|turn| turn.quota).max() else {
        return;
    };
    // With equal shares a turn is one slot. Where shares differ much, rounds
    // are kept few, and a turn of a large seat is several slots.
    let rounds = largest.min(4 * len.div_ceil(turns.len() as u32));
    for _ in 0..rounds {
        for turn in &mut turns {
            turn.credit += turn.quota;
            while turn.credit >= rounds {
                turn.credit -= rounds;
                let mut place = turn.place;
                while ring[place as usize] != 0 {
                    place = wrap(place + turn.step, len);
                }
                ring[place as usize] = turn.id;
                turn.place = wrap(place + turn.step, len);
            }
        }
    }
}

/// A seat while the ring is being filled.
struct Turn {
    id: u16,
    /// Slots it gets in all; more than 0.
    quota: u32,
    /// Grows by `quota` each round; a slot costs the number of rounds.
    credit: u32,
    /// The slot it asks for next.
    place: u32,
    /// From each slot of its order to the next; coprime to the ring's length,
    /// so that the order holds all slots.
    step: u32,
}

/// The seats that get slots, in the order in which they take turns.
fn turns(seats: &[Seat], len: u32) -> Vec<Turn> {
    let mut seats: Vec<&Seat> = seats.iter().filter(|seat| seat.weight > 0).collect();
    seats.sort_unstable_by_key(|seat| seat.identity);
    let factors = prime_factors(len);
    quotas(&seats, len)
        .into_iter()
        .zip(seats)
        .filter(|(quota, _)| *quota > 0)
        .map(|(quota, seat)| {
            // `identity` is mixed once more, in case it is not.
            let random = hash::siphash13([0, 0], [seat.identity]);
            let least = 1 + scale(random as u32, len - 1);
            let coprime = |step: &u32| !factors.iter().any(|&factor| step.is_multiple_of(factor));
            Turn {
                id: seat.id,
                quota,
                credit: 0,
                place: scale((random >> 32) as u32, len),
                step: (least..len).find(coprime).unwrap_or(1),
            }
        })
        .collect()
}

/// Slots for each seat, `len` in all: the exact share rounded down, and one
/// more for the largest remainders.
fn quotas(seats: &[&Seat], len: u32) -> Vec<u32> {
    let total: u64 = seats.iter().map(|seat| u64::from(seat.weight)).sum();
    let exact = |seat: &Seat| u128::from(seat.weight) * u128::from(len);
    let mut quotas: Vec<u32> =
        seats.iter().map(|seat| (exact(seat) / u128::from(total)) as u32).collect();
    let mut by_remainder: Vec<usize> = (0..seats.len()).collect();
    by_remainder.sort_by_key(|&index| Reverse(exact(seats[index]) % u128::from(total)));
    let left = if seats.is_empty() { 0 } else { len - quotas.iter().sum::<u32>() };
    for &index in &by_remainder[..left as usize] {
        quotas[index] += 1;
    }
    quotas
}

/// `place` modulo `len`, for `place < 2 * len`.
fn wrap(place: u32, len: u32) -> u32 {
    place.min(place.wrapping_sub(len))
}

/// Maps 32 even bits to `0..below`, evenly.
fn scale(bits: u32, below: u32) -> u32 {
    ((u64::from(bits) * u64::from(below)) >> 32) as u32
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
