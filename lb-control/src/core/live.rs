//! Since when a switch has had what live.

use std::{collections::VecDeque, time::Duration};

use crate::model::Stamp;

/// Moments that are remembered of each switch.
const MOST: usize = 256;
/// Upper ends of the histogram's buckets.
pub const BUCKETS: [Duration; 15] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
];

/// A version of the desired state became live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    version: u64,
    pub(super) at: Duration,
    pub(super) stamp: Stamp,
    pub(super) generation: u64,
    /// From the delta's being sent; None where the switch had it already.
    pub(super) live_after: Option<Duration>,
}

/// The last moments of one switch's session.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    moments: VecDeque<Moment>,
    /// Earlier ones are forgotten.
    forgot: bool,
}

impl History {
    pub(super) fn note(
        &mut self,
        version: u64,
        at: Duration,
        (stamp, generation): (Stamp, u64),
        live_after: Option<Duration>,
    ) {
        if self.moments.len() >= MOST {
            self.moments.pop_front();
            self.forgot = true;
        }
        self.moments.push_back(Moment { version, at, stamp, generation, live_after });
    }

    /// When `version` became live, where that is still known.
    pub(super) fn of(&self, version: u64) -> Option<&Moment> {
        let first = self.moments.partition_point(|moment| moment.version < version);
        if first == 0 && self.forgot {
            return None;
        }
        self.moments.get(first)
    }
}

/// The deltas of one switch, since the manager started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deltas {
    pub sent: u64,
    pub refused: u64,
    /// Changes in those that became live.
    pub changes: u64,
    /// How many became live within each of [`BUCKETS`], and not within the one before.
    pub within: [u64; BUCKETS.len()],
    /// How many became live.
    pub live: u64,
    /// From being sent to being live, of all of them together.
    pub total: Duration,
}

impl Deltas {
    pub(super) fn note(&mut self, took: Duration, changes: usize) {
        self.live += 1;
        self.total += took;
        self.changes += u64::try_from(changes).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|end| took <= *end);
        if let Some(count) = bucket.and_then(|bucket| self.within.get_mut(bucket)) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_a_version_is_found_or_forgotten_and_never_guessed() {
        let mut history = History::default();
        assert_eq!(history.of(1), None);
        let second = Duration::from_secs;
        for version in [2, 4, 6] {
            let stamp = Stamp { term: 1, sequence: version };
            history.note(version, second(version), (stamp, version), None);
        }
        let at = |history: &History, version| history.of(version).map(|moment| moment.at);
        assert_eq!(at(&history, 1), Some(second(2)), "it came with the first");
        assert_eq!(at(&history, 3), Some(second(4)));
        assert_eq!(at(&history, 4), Some(second(4)));
        assert_eq!(at(&history, 7), None, "not live yet");
        for version in 7..7 + MOST as u64 {
            history.note(version, second(version), (Stamp::default(), version), None);
        }
        assert_eq!(at(&history, 7), None, "what was before may have had it");
        assert_eq!(at(&history, 8), Some(second(8)));
        assert_eq!(history.moments.len(), MOST);
    }

    #[test]
    fn each_delta_is_in_one_bucket_at_the_most() {
        let mut deltas = Deltas::default();
        for took in [Duration::ZERO, BUCKETS[0], BUCKETS[1], Duration::from_secs(6)] {
            deltas.note(took, 2);
        }
        assert_eq!(deltas.within[..3], [2, 1, 0]);
        assert_eq!(deltas.within.iter().sum::<u64>(), 3, "the last is beyond all");
        assert_eq!((deltas.live, deltas.changes), (4, 8));
        assert_eq!(deltas.total, BUCKETS[0] + BUCKETS[1] + Duration::from_secs(6));
    }
}
