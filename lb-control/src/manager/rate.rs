//! How much a session may send.

use std::time::Duration;

/// What a message costs: one token for each so many bytes that it begins.
const UNIT: usize = 16 << 10;

/// A token, as a bucket counts: what a rate of one a second brings in a second.
const TOKEN: u128 = 1_000_000_000;

/// A token bucket. Time is an argument, on a clock that never goes back.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Tokens a second; twice as many fit in.
    rate: u32,
    /// In units of which a token has [`TOKEN`].
    held: u128,
    filled: Duration,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: u32, now: Duration) -> Self {
        Self { rate, held: Self::room(rate), filled: now }
    }

    fn room(rate: u32) -> u128 {
        2 * u128::from(rate) * TOKEN
    }

    /// Pays for a message of this size, if there is enough.
    pub(super) fn pay(&mut self, bytes: usize, now: Duration) -> bool {
        let since = now.saturating_sub(self.filled);
        self.filled = self.filled.max(now);
        let room = Self::room(self.rate);
        self.held = (self.held + since.as_nanos() * u128::from(self.rate)).min(room);
        let units = bytes.div_ceil(UNIT).max(1) as u128;
        // A message that is larger than the bucket empties a full one.
        let price = (units * TOKEN).min(room);
        let enough = self.held >= price;
        if enough {
            self.held -= price;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_sender_passes_and_a_flood_does_not() {
        let milli = Duration::from_millis;
        let mut bucket = Bucket::new(100, milli(0));
        assert!((1..10_000).all(|n| bucket.pay(100, milli(n * 10))), "at the rate");
        let mut bucket = Bucket::new(100, milli(0));
        assert_eq!((0..1000).filter(|_| bucket.pay(100, milli(0))).count(), 200, "at once");
        assert!(!bucket.pay(100, milli(9)));
        assert!(bucket.pay(100, milli(10)));
        assert!(!bucket.pay(100, milli(5)), "time that goes back fills nothing");
    }

    #[test]
    fn large_messages_cost_more_and_none_is_too_large_for_a_full_bucket() {
        let mut bucket = Bucket::new(10, Duration::ZERO);
        assert!(bucket.pay(10 * UNIT, Duration::ZERO));
        assert!(!bucket.pay(10 * UNIT + 1, Duration::ZERO));
        assert!(bucket.pay(usize::MAX, Duration::from_secs(2)));
        assert!(!bucket.pay(0, Duration::from_secs(2)));
    }
}
