//! One delta after the other: sent, acknowledged or refused.

use std::{sync::Arc, time::Duration};

use super::Flight;
use crate::{
    core::{Carried, Core, Event, Output, clock::Timer, closing::Advance},
    model::{Delta, Name, Stamp, SwitchState, ToSwitch},
};

/// The pauses after the same is refused again double from the first to the last
/// of these.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl Core {
    /// Sends each switch what brings it to `desired`, one delta at a time:
    /// what changes meanwhile goes together into the next.
    pub(in crate::core) fn pump(&mut self) {
        // Most switches hold the same and lack the same: that is told apart once.
        let mut target = None;
        let mut last: Option<(Arc<SwitchState>, Advance)> = None;
        let (decided, inherits) = (self.trail.decided(), self.inherits());
        for switch in self.switches.values_mut() {
            let in_step = switch.session.is_some() && switch.live == self.version;
            switch.behind = (!in_step).then(|| switch.behind.unwrap_or(self.now));
            let Some(session) = switch.session else {
                continue;
            };
            if switch.flight.is_some() || switch.held_back == Some(self.version) {
                continue;
            }
            if switch.live == self.version {
                switch.decided = decided;
                continue;
            }
            let target = target.get_or_insert_with(|| Arc::new(self.desired.clone()));
            let step = match &last {
                Some((holds, step)) if Arc::ptr_eq(holds, &switch.holds) => step.clone(),
                _ => Advance::of(&switch.holds, target, inherits),
            };
            last = Some((Arc::clone(&switch.holds), step.clone()));
            let Advance { changes, target, whole } = step;
            if changes.is_empty() && !whole {
                switch.held_back = Some(self.version);
                continue;
            }
            if changes.is_empty() {
                switch.holds = target;
                switch.live = self.version;
                switch.behind = None;
                switch.drifts.in_step();
                switch.decided = decided;
                let what = (switch.stamp, switch.generation);
                switch.history.note(self.version, self.now, what, None);
                switch.refused = None;
                switch.refusals = 0;
                continue;
            }
            switch.sent += 1;
            switch.deltas.sent += 1;
            let stamp = Stamp { term: self.intent.term, sequence: switch.sent };
            let flight = Flight {
                stamp,
                changes: changes.len(),
                // Of a part nobody can say which events it carries: the rest does.
                decided: if whole { decided } else { switch.decided },
                target,
                version: self.version,
                sent_at: self.now,
                whole,
                crossed: false,
            };
            switch.flight = Some(flight);
            self.out.push(Output::ToSwitch {
                session,
                message: ToSwitch::Apply(Delta { stamp, changes }),
            });
        }
    }

    pub(super) fn applied(&mut self, name: &Name, stamp: Stamp, generation: u64) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let Some(flight) = switch.flight.take_if(|flight| flight.stamp == stamp) else {
            return;
        };
        switch.stamp = stamp;
        switch.generation = generation;
        let took = self.now - flight.sent_at;
        if flight.whole && !flight.crossed {
            switch.live = flight.version;
            switch.drifts.in_step();
            switch.history.note(flight.version, self.now, (stamp, generation), Some(took));
        }
        switch.last_live = took;
        switch.deltas.note(took, flight.changes);
        let before = std::mem::replace(&mut switch.decided, flight.decided);
        switch.refused = None;
        switch.held_back = None;
        let recovered = std::mem::take(&mut switch.refusals) > 0;
        switch.holds = Arc::clone(&flight.target);
        self.clock.cancel(&Timer::Retry(name.clone()));
        self.tell_live(name, &flight, before, generation);
        if recovered {
            self.tell_switch("switch.accepted", name, "it takes changes again".to_owned());
        }
    }

    pub(super) fn refused(&mut self, name: &Name, stamp: Stamp, reason: String) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let Some(flight) = switch.flight.take_if(|flight| flight.stamp == stamp) else {
            return;
        };
        switch.deltas.refused += 1;
        if flight.crossed {
            return; // The next one is made for what it holds.
        }
        // What it has not seen yet is no repetition, however much it refused before.
        let again = switch.refused.as_ref().is_some_and(|(of, _)| *of == flight.version);
        switch.refusals = if again { switch.refusals.saturating_add(1) } else { 1 };
        let pause = RETRY.0.saturating_mul(1 << (switch.refusals - 1).min(10)).min(RETRY.1);
        switch.held_back = Some(flight.version);
        switch.refused = Some((flight.version, reason.clone()));
        self.clock.set(Timer::Retry(name.clone()), self.now + pause);
        let changes = flight.changes;
        let message = format!(
            "refused delta {stamp} with {changes} change(s), asked again in {pause:?}: {reason}"
        );
        let delta =
            Some(Carried { stamp, events: (switch.decided, flight.decided), live_after: None });
        self.publish(Event {
            kind: "switch.refused",
            switch: Some(name.clone()),
            message,
            delta,
            ..Event::default()
        });
    }

    /// The pause after a refusal is over.
    pub(in crate::core) fn retry(&mut self, name: &Name) {
        if let Some(switch) = self.switches.get_mut(name) {
            switch.held_back = None;
        }
    }
}
