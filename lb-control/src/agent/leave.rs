//! When an agent that leaves may go.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// What the manager last said of a bind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum BindState {
    /// Nothing yet.
    #[default]
    Unknown,
    /// The bind cannot be honoured.
    Refused,
    /// Its state, as `BindingNotice` has it.
    Told(String),
}

impl BindState {
    /// No switch steers to it any more.
    fn is_gone(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Refused => true,
            Self::Told(state) => state == "removed",
        }
    }

    /// It gets no new connections.
    fn is_closed(&self) -> bool {
        self.is_gone()
            || matches!(self, Self::Told(state) if state == "draining" || state == "down")
    }
}

impl fmt::Display for BindState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Told(state) => state,
        })
    }
}

/// A leave in progress.
#[derive(Debug)]
pub(super) struct Leave {
    until: Instant,
    /// Looks in a row that found nothing to wait for.
    idle: u32,
}

impl Leave {
    /// Looks without a connection that are believed: the first may have been
    /// before the last switch heard of the leave.
    const IDLE_LOOKS: u32 = 2;

    pub(super) fn new(deadline: Duration) -> Self {
        Self { until: Instant::now() + deadline, idle: 0 }
    }

    /// Takes one look, a heartbeat apart from the last one.
    pub(super) fn may_go(&mut self, states: &[BindState], connections: u64, unheard: bool) -> bool {
        let closed = unheard || states.iter().all(BindState::is_closed);
        self.idle = if closed && connections == 0 { self.idle + 1 } else { 0 };
        let gone = !unheard && states.iter().all(BindState::is_gone);
        gone || self.idle >= Self::IDLE_LOOKS || Instant::now() >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(state: &str) -> BindState {
        BindState::Told(state.to_owned())
    }

    #[test]
    fn waits_for_what_is_open() {
        let mut leave = Leave::new(Duration::from_secs(60));
        let looks = [
            // Nobody answered: new connections may still come.
            (told("active"), 0, false),
            (told("active"), 0, false),
            (told("draining"), 3, false),
            (told("draining"), 0, false),
            // One that came while the switches were told.
            (told("draining"), 1, false),
            (told("draining"), 0, false),
            (told("draining"), 0, true),
        ];
        for (number, (state, connections, expected)) in looks.into_iter().enumerate() {
            let may_go = leave.may_go(&[BindState::Refused, state], connections, false);
            assert_eq!(may_go, expected, "look {number}");
        }
    }

    #[test]
    fn goes_when_gone_or_late() {
        let mut leave = Leave::new(Duration::from_secs(60));
        assert!(leave.may_go(&[told("removed"), BindState::Refused], 5, false));
        let mut late = Leave::new(Duration::ZERO);
        assert!(late.may_go(&[told("draining")], 5, false));
    }

    #[test]
    fn waits_for_no_answer_that_cannot_come() {
        let mut leave = Leave::new(Duration::from_secs(60));
        let states = [told("active")];
        assert!(!leave.may_go(&states, 1, true));
        assert!(!leave.may_go(&states, 0, true));
        assert!(leave.may_go(&states, 0, true));
    }
}
