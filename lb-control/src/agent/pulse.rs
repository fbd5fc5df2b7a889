//! Whether what the manager asks for is surely still meant.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// When the last heartbeats were sent: no more than can matter, see
/// [`Pulse::until`].
#[derive(Debug)]
pub(super) struct Pulse {
    validity: Duration,
    sent: VecDeque<(u64, Instant)>,
}

impl Pulse {
    /// A request holds for `validity` from when the heartbeat was sent that it
    /// names.
    pub(super) fn new(validity: Duration) -> Self {
        Self { validity, sent: VecDeque::new() }
    }

    /// A heartbeat is about to be sent.
    pub(super) fn beat(&mut self, sequence: u64, now: Instant) {
        while self.sent.front().is_some_and(|&(_, sent)| now - sent >= self.validity) {
            self.sent.pop_front();
        }
        self.sent.push_back((sequence, now));
    }

    /// Until when a request holds that names this heartbeat; None for one that
    /// was never sent, or too long ago.
    pub(super) fn until(&self, sequence: u64) -> Option<Instant> {
        let (_, sent) = self.sent.iter().find(|&&(of, _)| of == sequence)?;
        Some(*sent + self.validity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_from_its_heartbeat_on_and_not_for_long() {
        let (begun, validity) = (Instant::now(), Duration::from_millis(1000));
        let at = |millis| begun + Duration::from_millis(millis);
        let mut pulse = Pulse::new(validity);
        assert_eq!(pulse.until(0), None, "before the first");
        for (sequence, millis) in [(1, 0), (2, 250), (3, 1249)] {
            pulse.beat(sequence, at(millis));
        }
        assert_eq!([1, 2, 3].map(|n| pulse.until(n)), [None, Some(at(1250)), Some(at(2249))]);
        // It was stopped for a while.
        pulse.beat(4, at(9000));
        assert_eq!([2, 3, 4, 5].map(|n| pulse.until(n)), [None, None, Some(at(10_000)), None]);
        assert_eq!(pulse.sent.len(), 1, "what is over is forgotten");
    }
}
