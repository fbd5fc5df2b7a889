//! What is known of each switch, and what it says. `deltas` brings it to what it
//! should hold.

mod deltas;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    Core, Event, Peer, SessionId,
    clock::Timer,
    drift::Drifts,
    live::{Deltas, History},
};
use crate::{
    config::Role,
    model::{
        BindingKey, CLOSE_WITHIN, Counters, FromSwitch, Hello, Name, Stamp, SwitchState,
        nearly_full,
    },
};

/// A switch that has not answered a delta for this long is worth an alarm.
pub(super) const SLOW: Duration = Duration::from_secs(5);

/// A switch that has said hello once.
#[derive(Clone, Debug, Default)]
pub(super) struct Switch {
    /// None while it is out of reach.
    pub(super) session: Option<SessionId>,
    pub(super) description: String,
    /// It can probe backends by the way that its clients' packets take.
    able: bool,
    pub(super) generation: u64,
    /// What it holds, as far as it has said; most switches share one.
    pub(super) holds: Arc<SwitchState>,
    /// Of the last delta that is live on it.
    pub(super) stamp: Stamp,
    /// Sequence number of the last delta sent.
    pub(super) sent: u64,
    /// The delta that it has not answered.
    pub(super) flight: Option<Flight>,
    /// The version of `desired` that is live on it.
    pub(super) live: u64,
    /// The version that it refused last, and why.
    pub(super) refused: Option<(u64, String)>,
    /// Do not ask again for this version before the retry timer, or before what
    /// the manager before has asked for is over.
    pub(super) held_back: Option<u64>,
    /// How often in a row it has refused that one.
    refusals: u32,
    /// Of the last delta: from being sent to being acknowledged.
    pub(super) last_live: Duration,
    pub(super) counters: Option<Arc<Counters>>,
    /// The version that was live when the counters came.
    pub(super) counted: u64,
    /// Since when it has not held what it should.
    pub(super) behind: Option<Duration>,
    /// When it was last filled or brought up to date from a full read, and by how
    /// many changes.
    pub(super) refilled: Option<(Duration, usize)>,
    /// What it should do and has no way to.
    pub(super) lacks: Vec<String>,
    /// Why it cannot be reached.
    pub(super) trouble: Option<String>,
    /// It has hardly room to remember flows.
    pub(super) full: bool,
    /// What events up to this one decided is live on it.
    decided: u64,
    pub(super) history: History,
    pub(super) deltas: Deltas,
    pub(super) drifts: Drifts,
}

#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) stamp: Stamp,
    pub(super) changes: usize,
    /// It carries what events up to this one decided.
    pub(super) decided: u64,
    /// What the switch holds once it has applied the delta.
    pub(super) target: Arc<SwitchState>,
    version: u64,
    pub(super) sent_at: Duration,
    /// It brings all that the switch should hold.
    whole: bool,
    /// The switch held something else than the delta was made for.
    pub(super) crossed: bool,
}

impl Switch {
    /// Whether it can be asked to probe backends now.
    pub(super) fn probes(&self) -> bool {
        self.able && self.session.is_some()
    }

    /// Whether it holds a binding, or is about to.
    pub(super) fn may_hold(&self, key: &BindingKey) -> bool {
        let target = self.flight.as_ref().map(|flight| &flight.target);
        target.into_iter().chain([&self.holds]).any(|state| state.bindings.contains_key(key))
    }
}

impl Core {
    pub(super) fn switch_message(&mut self, session: SessionId, message: FromSwitch) {
        match (message, self.sessions.get(&session).cloned()) {
            (FromSwitch::Hello(hello), None) => self.switch_hello(session, hello),
            (FromSwitch::Applied { stamp, generation, .. }, Some(Peer::Switch(name))) => {
                self.applied(&name, stamp, generation);
            }
            (FromSwitch::Refused { stamp, reason }, Some(Peer::Switch(name))) => {
                self.refused(&name, stamp, reason);
            }
            (FromSwitch::Counters(mut counters), Some(Peer::Switch(name))) => {
                // Draining bindings are looked up here, each on every switch.
                counters.backends.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                if let Some(switch) = self.switches.get_mut(&name) {
                    switch.generation = counters.generation;
                    switch.counted = switch.live;
                    switch.counters = Some(Arc::new(counters));
                    self.note_counters(&name);
                    self.note_room(&name);
                }
            }
            (FromSwitch::Lacks(lacks), Some(Peer::Switch(name))) => self.lacks(&name, lacks),
            (FromSwitch::Probed(reports), Some(Peer::Switch(name))) => {
                self.switch_probed(&name, reports);
            }
            (FromSwitch::Hello(hello), Some(Peer::Switch(name))) if hello.name == name => {
                self.read_again(&name, hello);
            }
            (FromSwitch::Drifted(drift), Some(Peer::Switch(name))) => self.drifted(&name, drift),
            (FromSwitch::Hello(_), Some(Peer::Switch(name))) => {
                self.close(session, "a switch keeps its name for a session".to_owned());
                self.switch_closed(&name);
            }
            _ => self.close(session, "the first message of a session must be a hello".to_owned()),
        }
    }

    fn switch_hello(&mut self, session: SessionId, hello: Hello) {
        let Hello { name, stamp, generation, state, description, probes } = hello;
        if !self.lets_in(session, Role::Edge, &name, 0, None) {
            return;
        }
        let switch = self.switches.entry(name.clone()).or_default();
        if switch.session.is_some_and(|other| other != session) {
            // Each would undo the other's session. One that is gone without a
            // word is noticed by keepalive, and the new one tries again.
            self.close(
                session,
                format!("another switch named `{name}` is connected: each needs a name of its own"),
            );
            self.tell_switch(
                "switch.duplicate",
                &name,
                format!("a second one came, and was sent away: {description}"),
            );
            return;
        }
        switch.session = Some(session);
        switch.trouble = None;
        switch.drifts.forget_open();
        switch.able = probes;
        switch.flight = None;
        switch.live = 0;
        switch.counted = 0;
        switch.history = History::default();
        switch.refused = None;
        switch.held_back = None;
        switch.refusals = 0;
        switch.stamp = stamp;
        switch.generation = generation;
        switch.description.clone_from(&description);
        self.clock.cancel(&Timer::Retry(name.clone()));
        self.sessions.insert(session, Peer::Switch(name.clone()));
        self.tell_switch("switch.connected", &name, description);
        if self.is_foreign(&name, stamp) {
            self.supersede(&name, stamp);
        }
        let strange = |(key, _): &(&BindingKey, _)| !self.desired.bindings.contains_key(*key);
        let strange: Vec<_> = state.bindings.iter().filter(strange).collect();
        let left = if strange.is_empty() { BTreeSet::new() } else { self.left() };
        for (key, binding) in strange {
            self.found(key, *binding, left.contains(key));
        }
        let changes = state.diff(&self.desired).len();
        let empty = stamp == Stamp::default() && state.bindings.is_empty();
        if changes > 0 {
            let kind = if empty { "switch.refilled" } else { "switch.reconciled" };
            self.tell_switch(kind, &name, format!("{changes} change(s) bring it up to date"));
        }
        if let Some(switch) = self.switches.get_mut(&name) {
            switch.holds = Arc::new(state);
            if changes > 0 {
                switch.refilled = Some((self.now, changes));
            }
        }
        if probes {
            self.hold_unproven();
            self.probers_changed();
        }
    }

    /// Whether a stamp was given by another manager, or by this one before its
    /// intent file was lost.
    pub(super) fn is_foreign(&self, switch: &Name, stamp: Stamp) -> bool {
        let sent = self.switches.get(switch).map_or(0, |switch| switch.sent);
        stamp.term > self.intent.term || (stamp.term == self.intent.term && stamp.sequence > sent)
    }

    /// Takes a term above one that a switch has seen, or it would refuse us.
    pub(super) fn supersede(&mut self, switch: &Name, stamp: Stamp) {
        self.intent.term = stamp.term.saturating_add(1);
        self.saving.dirty = true;
        if self.now < CLOSE_WITHIN {
            self.clock.set(Timer::Inherited, CLOSE_WITHIN);
        }
        let message = format!(
            "it has seen term {}; this manager goes on with {}",
            stamp.term, self.intent.term
        );
        self.tell_switch("manager.term", switch, message);
    }

    fn lacks(&mut self, name: &Name, lacks: Vec<String>) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let news: Vec<_> = lacks.iter().filter(|what| !switch.lacks.contains(what)).collect();
        let message = news.iter().map(|what| what.as_str()).collect::<Vec<_>>().join("; ");
        switch.lacks = lacks;
        if !message.is_empty() {
            self.tell_switch("switch.lacks", name, message);
        }
    }

    /// A switch that the manager itself connects to is out of reach.
    pub(super) fn unreachable(&mut self, name: Name, why: String) {
        let switch = self.switches.entry(name.clone()).or_default();
        if switch.session.is_none() && switch.trouble.as_ref() != Some(&why) {
            switch.trouble = Some(why.clone());
            self.tell_switch("switch.unreachable", &name, why);
        }
    }

    pub(super) fn switch_closed(&mut self, name: &Name) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        switch.session = None;
        switch.flight = None;
        let able = switch.able;
        self.clock.cancel(&Timer::Retry(name.clone()));
        self.tell_switch(
            "switch.disconnected",
            name,
            "its connection ended; it goes on with what it holds".to_owned(),
        );
        if able {
            self.probers_changed();
        }
    }

    /// Says when a switch has no room to remember more flows, and when again.
    fn note_room(&mut self, name: &Name) {
        let Some(switch) = self.switches.get_mut(name) else {
            return;
        };
        let Some(counters) = switch.counters.as_ref() else {
            return;
        };
        let (flows, room) = (counters.remembered_flows, counters.remembered_capacity);
        let full = room > 0 && nearly_full(flows, room, switch.full);
        if std::mem::replace(&mut switch.full, full) == full {
            return;
        }
        let kind = if full { "switch.full" } else { "switch.roomy" };
        let message = if full {
            full_message(flows, room)
        } else {
            format!("it remembers {flows} of {room} flows, and has room for more")
        };
        self.tell_switch(kind, name, message);
    }

    pub(super) fn tell_switch(&mut self, kind: &'static str, name: &Name, message: String) {
        self.publish(Event { kind, switch: Some(name.clone()), message, ..Event::default() });
    }
}

/// What a switch that can hardly remember more flows does, and what to do.
pub(super) fn full_message(flows: u64, room: u64) -> String {
    format!(
        "it remembers {flows} of {room} flows: new connections on slots that have moved go to \
         their old backends where these take any; raise `flows` in [edge] if that happens often"
    )
}
