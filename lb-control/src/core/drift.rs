//! Switches that were changed behind the manager's back.
//!
//! A switch, or the adapter in front of it, reads again what it holds and says
//! hello once more in its session. What then differs from what it was given is
//! drift: it is told, counted, and undone by the next delta. A switch answers a
//! delta before it reads anew: a hello that comes while one is under way was read
//! before that. A switch that puts things right itself only says so ([`FromSwitch::Drifted`]).
//!
//! [`FromSwitch::Drifted`]: crate::model::FromSwitch::Drifted

use std::{sync::Arc, time::Duration};

use super::{Core, Event, switches::Switch};
use crate::model::{Change, Drift, Hello, Name, Stamp, SwitchState};

/// So many differences are named.
const NAMED: usize = 3;
/// A drift is an alarm until it is mended, and for so long at the least. What is
/// found over and over is told of once in that time.
const RECENT: Duration = Duration::from_secs(60);

/// How often a switch has drifted, since the manager started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drifts {
    pub times: u64,
    pub changes: u64,
    pub(super) last: Option<LastDrift>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastDrift {
    at: Duration,
    changes: u64,
    what: String,
    mended: Mended,
    /// The event's message, and when that was told.
    told: (String, Duration),
}

/// Whether a switch holds again what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mended {
    Yes,
    /// By the next delta.
    Due,
    /// Not by any delta: it says when it has managed to itself.
    ByItself,
}

/// The last drift of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftView {
    /// Since it was noticed.
    pub age: Duration,
    pub changes: u64,
    /// For people: the first few of them.
    pub what: String,
    pub mended: bool,
}

impl Drifts {
    /// The last one, as of `now`.
    pub(super) fn view(&self, now: Duration) -> Option<DriftView> {
        let LastDrift { at, changes, what, mended, .. } = self.last.clone()?;
        let age = now.saturating_sub(at);
        Some(DriftView { age, changes, what, mended: mended == Mended::Yes })
    }

    /// What an operator should know of, as of `now`.
    pub(super) fn alarm(&self, name: &Name, now: Duration) -> Option<String> {
        let DriftView { age, changes, what, mended } = self.view(now)?;
        (!mended || age < RECENT).then(|| {
            let since = age.as_secs();
            let state = if mended { "mended" } else { "not mended yet" };
            format!(
                "switch `{name}` was changed behind the manager's back {since} s ago, {changes} \
                 change(s), {state}: {what}"
            )
        })
    }

    /// When the same was told, if that was a moment ago.
    fn told(&self, message: &str, now: Duration) -> Option<Duration> {
        let (text, at) = &self.last.as_ref()?.told;
        (text == message && now.saturating_sub(*at) < RECENT).then_some(*at)
    }

    /// A delta has brought the switch to what it should hold.
    pub(super) fn in_step(&mut self) {
        if let Some(last) = self.last.as_mut().filter(|last| last.mended == Mended::Due) {
            last.mended = Mended::Yes;
        }
    }

    /// The switch has come back, and has said anew what it holds.
    pub(super) fn forget_open(&mut self) {
        if let Some(last) = &mut self.last {
            last.mended = Mended::Yes;
        }
    }
}

impl Core {
    /// A further hello of a session. Of its deltas, a refused one stays held
    /// back as long as it was.
    pub(super) fn read_again(&mut self, name: &Name, hello: Hello) {
        let Hello { stamp, generation, state, description, .. } = hello;
        let foreign = self.is_foreign(name, stamp);
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let believed = Arc::clone(&switch.holds);
        let drift = believed.diff(&state);
        switch.stamp = stamp;
        switch.generation = generation;
        switch.description = description;
        if foreign || !drift.is_empty() {
            switch.rebase(&state);
        }
        if foreign {
            self.supersede(name, stamp);
        }
        if drift.is_empty() {
            return;
        }
        let changes = u64::try_from(drift.len()).unwrap_or(u64::MAX);
        let what = differences(&drift, &believed);
        self.note_drift(name, Drift { changes, what, repaired: false }, Mended::Due);
        if stamp == Stamp::default() {
            let back = state.diff(&self.desired).len();
            self.tell_switch("switch.refilled", name, format!("{back} change(s) fill it again"));
        }
        // What somebody else has put there and nobody vouches for is no loss.
        let learned = !self.learning();
        let strange = state.bindings.iter().filter(|(key, _)| {
            !believed.bindings.contains_key(*key) && !self.desired.bindings.contains_key(*key)
        });
        let strange: Vec<_> = strange.collect();
        let left = if strange.is_empty() { Default::default() } else { self.left() };
        for (key, binding) in strange {
            self.found(key, *binding, learned || left.contains(key));
        }
    }

    /// A switch says that it was changed, and whether it has put that right.
    pub(super) fn drifted(&mut self, name: &Name, drift: Drift) {
        let mended = if drift.repaired { Mended::Yes } else { Mended::ByItself };
        self.note_drift(name, drift, mended);
    }

    fn note_drift(&mut self, name: &Name, drift: Drift, mended: Mended) {
        let now = self.now;
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let drifts = &mut switch.drifts;
        let Drift { changes, what, .. } = drift;
        // All is well again: that is no further one.
        drifts.times += u64::from(changes > 0);
        drifts.changes = drifts.changes.saturating_add(changes);
        let message = match mended {
            Mended::Yes => format!("{changes} change(s), which it has undone itself: {what}"),
            Mended::Due => format!("{changes} change(s), to be undone by a delta: {what}"),
            Mended::ByItself => format!("{changes} change(s), which it cannot undo yet: {what}"),
        };
        let told = drifts.told(&message, now);
        let telling = (message.clone(), told.unwrap_or(now));
        drifts.last = Some(LastDrift { at: now, changes, what, mended, told: telling });
        if told.is_none() {
            self.publish(Event {
                kind: "switch.drifted",
                switch: Some(name.clone()),
                message,
                ..Event::default()
            });
        }
    }
}

impl Switch {
    /// It holds something else than was believed. A delta that is under way it
    /// applies to that, or refuses.
    fn rebase(&mut self, state: &SwitchState) {
        let before = std::mem::replace(&mut self.holds, Arc::new(state.clone()));
        self.live = 0;
        if self.refused.is_none() {
            // It waited for its time, and what is to be undone does not.
            self.held_back = None;
        }
        self.history = Default::default();
        let Some(flight) = &mut self.flight else {
            return;
        };
        flight.crossed = true;
        let mut target = state.clone();
        let changes = before.diff(&flight.target);
        if changes.iter().any(|change| target.apply(change).is_err()) {
            target = state.clone();
        }
        flight.target = Arc::new(target);
    }
}

/// The first few of the changes that somebody made to `before`.
fn differences(changes: &[Change], before: &SwitchState) -> String {
    let one = |change: &Change| match change {
        Change::PutService(spec) if before.services.contains_key(&spec.name) => {
            format!("service `{}` is another", spec.name)
        }
        Change::PutService(spec) => format!("service `{}` is there", spec.name),
        Change::DeleteService(name) => format!("service `{name}` is gone"),
        Change::PutBinding(key, binding) => {
            format!("{key} is in phase {} with weight {}", binding.phase, binding.weight)
        }
        Change::DeleteBinding(key) => format!("{key} is gone"),
        Change::PutPolicy { service, class, .. } => {
            format!("service `{service}` refuses another share of class `{class}`")
        }
        Change::PutClasses(_) => "the classes are others".to_owned(),
    };
    let mut text = changes.iter().take(NAMED).map(one).collect::<Vec<_>>().join(", ");
    if let Some(more) = changes.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text += &format!(", and {more} more");
    }
    text
}
