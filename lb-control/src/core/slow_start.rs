//! A binding that has just begun to serve gets less than its weight at first,
//! so that cold caches and pools are not met by a full share. Its weight grows
//! in steps: each is a delta to every switch.

use std::time::Duration;

use super::{Core, bindings::State, clock::Timer};
use crate::model::{BindingKey, Phase};

impl Core {
    /// A binding has just come into its state from `before`. One that a switch
    /// had been serving all along (the manager is new) goes on as it was.
    pub(super) fn begin_slowly(&mut self, key: &BindingKey, before: &State) {
        let slow = self.settings.services.get(&key.service).map(|plan| plan.slow_start);
        let slow =
            slow.filter(|slow| !slow.duration.is_zero() && before.phase() != Some(Phase::Serve));
        let Some(record) = self.bindings.get_mut(key) else {
            return;
        };
        if record.state != State::Active {
            record.serves_since = None;
            self.clock.cancel(&Timer::Step(key.clone()));
        } else if slow.is_some() {
            record.serves_since = Some(self.now);
            self.next_step(key);
        }
    }

    /// The next step is due.
    pub(super) fn step(&mut self, key: &BindingKey) {
        self.next_step(key);
        self.refresh(key);
    }

    fn next_step(&mut self, key: &BindingKey) {
        let Some(plan) = self.settings.services.get(&key.service) else { return };
        let (duration, steps) = (plan.slow_start.duration, plan.slow_start.steps);
        let Some(record) = self.bindings.get_mut(key) else { return };
        let Some(since) = record.serves_since else { return };
        let next = steps_done(self.now - since, duration, steps) + 1;
        if next > u64::from(steps) {
            record.serves_since = None;
            return;
        }
        // Rounded up: when it is due, the step is done.
        let nanos = (duration.as_nanos() * u128::from(next)).div_ceil(u128::from(steps));
        let at = since + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.clock.set(Timer::Step(key.clone()), at);
    }

    /// The share of its weight that a binding has now, as part of a whole.
    pub(super) fn start_share(&self, key: &BindingKey) -> (u64, u64) {
        let share = || {
            let slow = self.settings.services.get(&key.service)?.slow_start;
            let since = self.bindings.get(key)?.serves_since?;
            let steps = u64::from(slow.steps);
            let done = steps_done(self.now - since, slow.duration, slow.steps);
            let from = u64::from(slow.from_percent);
            Some((from * steps + (100 - from.min(100)) * done, 100 * steps))
        };
        share().unwrap_or((1, 1))
    }
}

fn steps_done(elapsed: Duration, duration: Duration, steps: u32) -> u64 {
    let steps = u128::from(steps);
    let done = elapsed.as_nanos() * steps / duration.as_nanos().max(1);
    u64::try_from(done.min(steps)).unwrap_or(u64::MAX)
}
