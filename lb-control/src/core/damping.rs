//! A binding that is lost over and over is held out for a time that grows.
//!
//! Each change of who serves costs deltas, and a backend that serves for a
//! second at a time breaks what it is given. But a backend that flaps is better
//! than none: nobody is held out of a service that has nobody else.

use std::{collections::VecDeque, time::Duration};

use super::{Core, bindings::State, clock::Timer};
use crate::{config::FlapDamping, model::BindingKey};

/// Bindings whose losses are remembered.
const MOST: usize = 65_536;

/// How often a binding was lost, and until when it is held out for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Flaps {
    /// Moments of the last losses, as many as it takes at the most.
    losses: VecDeque<Duration>,
    /// How often it was held out in a row.
    holds: u32,
    held_until: Duration,
}

impl Flaps {
    /// One more loss; whether it is held out from now on.
    fn note(&mut self, now: Duration, settings: &FlapDamping) -> bool {
        if self.holds > 0 && now >= self.held_until + settings.window {
            *self = Self::default();
        }
        if self.holds == 0 {
            self.losses.push_back(now);
            self.losses.retain(|at| now - *at < settings.window);
            if self.losses.len() < settings.losses as usize {
                return false;
            }
            self.losses.clear();
        }
        let hold = settings.hold.saturating_mul(1_u32.checked_shl(self.holds).unwrap_or(u32::MAX));
        self.holds = self.holds.saturating_add(1);
        self.held_until = now + hold.min(settings.most);
        true
    }

    /// When something changes by itself.
    fn next(&self, now: Duration, settings: &FlapDamping) -> Option<Duration> {
        let last = self.losses.back().copied().unwrap_or(self.held_until);
        [self.held_until, last.max(self.held_until) + settings.window]
            .into_iter()
            .find(|at| *at > now)
    }
}

impl Core {
    /// A binding has just come into its state from `before`.
    pub(super) fn note_loss(&mut self, key: &BindingKey, before: &State) {
        let settings = self.settings.flap_damping;
        let held = self.hold_left(key).is_some();
        let served = *before == State::Active || (*before == State::Paused && held);
        let state = self.bindings.get(key).map(|record| &record.state);
        let lost = matches!(state, Some(State::Down(_) | State::Draining { .. }));
        let removed = self.intent.removals.contains_key(key);
        if !(served && lost) || removed || settings.losses == 0 {
            return;
        }
        if self.flaps.len() >= MOST && !self.flaps.contains_key(key) {
            return; // Old ones go with time.
        }
        let flaps = self.flaps.entry(key.clone()).or_default();
        let held = flaps.note(self.now, &settings);
        let (next, left) =
            (flaps.next(self.now, &settings), flaps.held_until.saturating_sub(self.now));
        if let Some(at) = next {
            self.clock.set(Timer::Flap(key.clone()), at);
        }
        if held {
            let message = format!("it flaps: it may serve again in {left:?}, while others serve");
            self.tell("binding.damped", key, message);
        }
    }

    /// A hold ends, or losses are so long ago that they no longer count.
    pub(super) fn flap_over(&mut self, key: &BindingKey) {
        let next = self.flaps.get(key).and_then(|f| f.next(self.now, &self.settings.flap_damping));
        match next {
            Some(at) => self.clock.set(Timer::Flap(key.clone()), at),
            None => drop(self.flaps.remove(key)),
        }
        self.evaluate(key);
    }

    /// Nobody is held out of a service where nobody serves.
    pub(super) fn relieve(&mut self, key: &BindingKey) {
        if self.flaps.is_empty() || self.standings.active(&key.service) > 0 {
            return;
        }
        let held: Vec<_> = self
            .of_service(&key.service)
            .map(|(other, _)| other.clone())
            .filter(|other| other != key && self.hold_left(other).is_some())
            .collect();
        for other in held {
            self.evaluate(&other);
        }
    }

    /// How long a binding is still held out.
    pub(super) fn hold_left(&self, key: &BindingKey) -> Option<Duration> {
        let left = self.flaps.get(key)?.held_until.checked_sub(self.now)?;
        (!left.is_zero()).then_some(left)
    }

    /// Why a binding that does not serve is held out.
    pub(super) fn damped(&self, key: &BindingKey) -> Option<String> {
        self.hold_left(key)?;
        let serves = self.bindings.get(key)?.state == State::Active;
        (!serves && self.standings.active(&key.service) > 0)
            .then(|| "it flaps: held out after it was lost again and again".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_grow_and_are_forgotten() {
        let seconds = Duration::from_secs;
        let settings =
            FlapDamping { losses: 3, window: seconds(60), hold: seconds(10), most: seconds(35) };
        let mut flaps = Flaps::default();
        // Moment of a loss, and until when it is held out for it.
        let losses = [
            (0, None),
            (10, None),
            (61, None), // The first counts no more.
            (65, Some(75)),
            (80, Some(100)),
            (90, Some(125)), // While it was held: 40 s, but no longer than 35 s.
            (184, Some(219)),
            (279, None), // It was well for the whole window.
            (280, None),
            (281, Some(291)),
        ];
        for (at, until) in losses {
            let held = flaps.note(seconds(at), &settings);
            assert_eq!(held.then_some(flaps.held_until), until.map(seconds), "at {at}");
        }
        assert_eq!(flaps.next(seconds(285), &settings), Some(seconds(291)));
        assert_eq!(flaps.next(seconds(291), &settings), Some(seconds(351)));
        assert_eq!(flaps.next(seconds(351), &settings), None);
    }
}
