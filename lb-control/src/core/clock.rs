//! The moments at which something falls due.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::RequestId;
use crate::model::{BindingKey, Name};

/// What falls due. Each has at most one moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The learning period ends.
    Learned,
    /// An agent has been silent for too long.
    Silence(Name),
    /// A binding leaves the stage that it is in.
    Stage(BindingKey),
    /// A binding that starts slowly gets more.
    Step(BindingKey),
    /// A binding that flaps may serve again, or its losses are forgotten.
    Flap(BindingKey),
    /// A switch that refused a delta is asked again.
    Retry(Name),
    /// A request has waited long enough.
    Patience(RequestId),
    /// The intent could not be saved and is tried again.
    Save,
    /// A frozen service has missed only a few for a while.
    Thaw(Name),
    /// A request to close connections holds no longer.
    Close(BindingKey),
    /// What the manager before may have asked agents to close holds no longer.
    Inherited,
}

/// An ordered set of moments, each counted from the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    at: BTreeMap<Timer, Duration>,
    order: BTreeSet<(Duration, Timer)>,
}

impl Clock {
    /// Sets or moves a timer.
    pub(super) fn set(&mut self, timer: Timer, at: Duration) {
        self.cancel(&timer);
        self.order.insert((at, timer.clone()));
        self.at.insert(timer, at);
    }

    pub(super) fn cancel(&mut self, timer: &Timer) {
        if let Some(at) = self.at.remove(timer) {
            self.order.remove(&(at, timer.clone()));
        }
    }

    /// When a timer falls due.
    pub(super) fn at(&self, timer: &Timer) -> Option<Duration> {
        self.at.get(timer).copied()
    }

    /// When the next timer falls due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the first timer that is due.
    pub(super) fn pop(&mut self, now: Duration) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.order.pop_first()?;
        self.at.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_has_one_moment_and_goes_off_once() {
        let second = Duration::from_secs;
        let mut clock = Clock::default();
        clock.set(Timer::Save, second(5));
        clock.set(Timer::Learned, second(3));
        clock.set(Timer::Save, second(1));
        assert_eq!(clock.next(), Some(second(1)));
        assert_eq!(clock.pop(second(0)), None);
        assert_eq!(clock.pop(second(9)), Some(Timer::Save));
        assert_eq!(clock.pop(second(9)), Some(Timer::Learned));
        assert_eq!(clock.pop(second(9)), None);
        clock.set(Timer::Save, second(1));
        clock.cancel(&Timer::Save);
        assert_eq!(clock.next(), None);
    }
}
