//! Whether what the manager says is surely still meant.

use std::time::{Duration, Instant};

/// The heartbeats of one session. An agent that did not run for a while may
/// have been given up by the manager meanwhile, and then finds requests waiting
/// that hold no more: connections that were to be closed may be others now.
#[derive(Debug)]
pub(super) struct Pulse {
    last: Instant,
    /// After a gap nothing is believed before this.
    steady_from: Instant,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, steady_from: now }
    }

    /// A heartbeat is about to be sent; the manager gives the session up after
    /// a silence of `patience`.
    pub(super) fn beat(&mut self, now: Instant, patience: Duration) {
        if now.duration_since(self.last) >= patience {
            self.steady_from = now + patience;
        }
        self.last = now;
    }

    /// Whether the manager cannot have given the session up.
    pub(super) fn is_steady(&self, now: Instant, patience: Duration) -> bool {
        now >= self.steady_from && now.duration_since(self.last) < patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_makes_what_is_heard_doubtful_for_a_while() {
        let (begun, patience) = (Instant::now(), Duration::from_millis(1000));
        let at = |millis| begun + Duration::from_millis(millis);
        let mut pulse = Pulse::new(begun);
        for beat in [250, 500, 1400] {
            pulse.beat(at(beat), patience);
            assert!(pulse.is_steady(at(beat + 1), patience), "{beat}");
        }
        // Heard before the heartbeat that is late, and after it.
        assert!(!pulse.is_steady(at(2400), patience));
        pulse.beat(at(2400), patience);
        assert!(!pulse.is_steady(at(2401), patience));
        pulse.beat(at(2650), patience);
        assert!(!pulse.is_steady(at(3399), patience));
        pulse.beat(at(3399), patience);
        assert!(pulse.is_steady(at(3400), patience));
    }
}
