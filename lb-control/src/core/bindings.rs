//! What the manager knows of a binding, and what moves it from one state to another.

mod state;

use std::time::Duration;

pub(super) use self::state::{Stage, State};
use super::{
    Core, Event, Output, clock::Timer, freeze::Loss, health::Verdict, probing::Probes, setup,
};
use crate::model::{Binding, BindingKey, Name, ServerId, ToAgent, Weight};

/// What the manager knows of one binding.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) state: State,
    /// When it came into a state of this name.
    pub(super) since: Duration,
    pub(super) reason: String,
    /// The agent that vouches for it.
    pub(super) agent: Option<Name>,
    /// The start of the last agent that did.
    pub(super) boot: Option<u64>,
    pub(super) probes: Probes,
    /// The last weight that anybody gave it.
    pub(super) weight: Weight,
    /// When it began to serve, while it starts slowly.
    pub(super) serves_since: Option<Duration>,
    /// The version of `desired` that first held what it holds of this binding.
    pub(super) version: u64,
    /// Draining, live on every switch, and without a connection since then.
    pub(super) quiet_since: Option<Duration>,
    /// Draining: packets that the switches had sent to it when they last sent
    /// one, and when that was.
    pub(super) spoke: Option<(u64, Duration)>,
}

impl Record {
    pub(super) fn new(state: State, now: Duration) -> Self {
        Self {
            state,
            since: now,
            reason: String::new(),
            agent: None,
            boot: None,
            probes: Probes::default(),
            weight: 0,
            serves_since: None,
            version: 0,
            quiet_since: None,
            spoke: None,
        }
    }
}

impl Core {
    /// Makes a binding known.
    ///
    /// # Errors
    /// Says why the service cannot have that backend.
    pub(super) fn create(
        &mut self,
        key: &BindingKey,
        server_id: Option<ServerId>,
        state: State,
        reason: &str,
    ) -> Result<(), String> {
        self.admit(key, server_id)?;
        self.enter(key, state, reason);
        Ok(())
    }

    /// The first half of [`create`](Self::create): nobody is told yet.
    pub(super) fn admit(
        &mut self,
        key: &BindingKey,
        server_id: Option<ServerId>,
    ) -> Result<(), String> {
        self.identify(key, server_id)?;
        self.standings.note(key, None, Some(&State::Pending));
        self.bindings.insert(key.clone(), Record::new(State::Pending, self.now));
        Ok(())
    }

    /// Gives a binding its server id.
    ///
    /// # Errors
    /// Says why it cannot have that one.
    pub(super) fn identify(
        &mut self,
        key: &BindingKey,
        server_id: Option<ServerId>,
    ) -> Result<(), String> {
        self.known.apply(&setup::put(key, server_id)).map_err(|error| error.to_string())
    }

    pub(super) fn server_id(&self, key: &BindingKey) -> Option<ServerId> {
        self.known.bindings.get(key)?.server_id
    }

    /// Moves a binding to a state: switches, agent, watchers and timers follow.
    pub(super) fn enter(&mut self, key: &BindingKey, state: State, reason: &str) {
        let Some(record) = self.bindings.get_mut(key) else {
            return;
        };
        if record.state.name() != state.name() {
            record.since = self.now;
        }
        match state.until() {
            Some(until) => self.clock.set(Timer::Stage(key.clone()), until),
            None => self.clock.cancel(&Timer::Stage(key.clone())),
        }
        if matches!(state, State::Draining { .. }) {
            self.draining.insert(key.clone());
        } else {
            self.draining.remove(key);
        }
        let event = state.event();
        let before = std::mem::replace(&mut record.state, state);
        self.standings.note(key, Some(&before), Some(&record.state));
        record.quiet_since = None;
        record.spoke = None;
        reason.clone_into(&mut record.reason);
        self.doubt(key);
        self.sync_probe(key);
        self.begin_slowly(key, &before);
        self.refresh(key);
        if let Some(kind) = event {
            self.tell(kind, key, reason.to_owned());
        }
        self.notify(key);
        self.close_server_side(key);
        if before != State::Pending {
            self.note_loss(key, &before);
            self.relieve(key);
        }
    }

    /// Forgets a binding.
    pub(super) fn forget(&mut self, key: &BindingKey, reason: &str) {
        self.stop_probes(key);
        let Some(record) = self.bindings.remove(key) else {
            return;
        };
        self.draining.remove(key);
        self.standings.note(key, Some(&record.state), None);
        if let Some(session) =
            record.agent.as_ref().and_then(|name| Some(self.agents.get(name)?.session))
        {
            let (key, reason, end) = (key.clone(), reason.to_owned(), self.server_end(key));
            let message = ToAgent::Notice { key, state: "removed", reason, end };
            self.out.push(Output::ToAgent { session, message });
        }
        self.clock.cancel(&Timer::Stage(key.clone()));
        self.clock.cancel(&Timer::Step(key.clone()));
        self.known.bindings.remove(key);
        if self.desired.bindings.remove(key).is_some() {
            self.version += 1;
        }
        self.tell("binding.removed", key, reason.to_owned());
        // A removal need not be remembered where nothing brings the binding back.
        if self.intent.removals.get(key).is_some_and(|r| r.boot.is_none() && !r.declared)
            && !self.in_file(key)
        {
            self.intent.removals.remove(key);
            self.saving.dirty = true;
        }
    }

    /// Brings `desired` in line with a binding's state and weight.
    pub(super) fn refresh(&mut self, key: &BindingKey) {
        let (weight, server_id) = (self.given_weight(key), self.server_id(key));
        let Some(record) = self.bindings.get_mut(key) else {
            return;
        };
        let found = match record.state {
            State::Unknown(found) => Some(found.weight),
            _ => None,
        };
        record.weight = weight.or(found).unwrap_or(record.weight);
        let weight = record.weight;
        let weight = self.effective_weight(key, weight);
        let Some(record) = self.bindings.get_mut(key) else {
            return;
        };
        let held = record.state.phase().map(|phase| Binding { weight, phase, server_id });
        if self.desired.bindings.get(key).copied() == held {
            return;
        }
        self.version += 1;
        record.version = self.version;
        match held {
            Some(binding) => self.desired.bindings.insert(key.clone(), binding),
            None => self.desired.bindings.remove(key),
        };
    }

    /// Acts on what is known of a binding's health.
    pub(super) fn evaluate(&mut self, key: &BindingKey) {
        let Some(record) = self.bindings.get(key) else {
            return;
        };
        let state = record.state.clone();
        match (state, self.verdict(key)) {
            (state, Verdict::Healthy) => self.well(key, state),
            (State::Active | State::Unknown(_), Verdict::Unhealthy(cause))
                if !self.has_failed(key) =>
            {
                let agent = record.agent.clone();
                self.lose(key, agent.as_ref(), Loss::Down(cause));
            }
            (State::Active | State::Paused | State::Unknown(_), Verdict::Unhealthy(cause)) => {
                self.down(key, &cause)
            }
            (
                State::Pending | State::Down(_) | State::Draining { .. },
                Verdict::Unhealthy(cause),
            ) => self.explain(key, &cause),
            (State::Active | State::Unknown(_), Verdict::Unverified) => {
                // Whether it is well or not, it wants no new connections.
                if let Some(why) = self.held_back(key) {
                    self.enter(key, State::Paused, &why);
                }
            }
            _ => {}
        }
    }

    /// No new connections; the existing ones are broken after the grace time.
    pub(super) fn down(&mut self, key: &BindingKey, cause: &str) {
        let grace = State::Down(Stage::Grace { until: self.now + self.settings.down_grace });
        self.enter(key, grace, cause);
    }

    /// A new reason for the same state.
    pub(super) fn explain(&mut self, key: &BindingKey, cause: &str) {
        let Some(record) = self.bindings.get_mut(key) else {
            return;
        };
        if record.reason == cause {
            return;
        }
        cause.clone_into(&mut record.reason);
        if record.state == State::Pending {
            self.tell("binding.pending", key, cause.to_owned());
        }
        self.notify(key);
    }

    /// A state's time is over.
    pub(super) fn stage_over(&mut self, key: &BindingKey) {
        let Some(record) = self.bindings.get(key) else {
            return;
        };
        let (state, reason) = (record.state.clone(), record.reason.clone());
        let until = self.now + self.settings.break_linger;
        match state {
            State::Draining { .. } => {
                self.enter(
                    key,
                    State::Broken { until },
                    &format!("{reason}; its time to drain is over"),
                );
            }
            State::Down(Stage::Grace { .. }) => {
                self.enter(key, State::Down(Stage::Breaking { until }), &reason);
            }
            State::Down(_) | State::Broken { .. } => self.retire(key, &reason),
            State::Pending | State::Active | State::Paused | State::Unknown(_) => {}
        }
    }

    /// The switches need it no longer; it stays known while someone may bring it back.
    pub(super) fn retire(&mut self, key: &BindingKey, reason: &str) {
        if self.vouched(key) || self.is_static(key) {
            self.enter(key, State::Down(Stage::Off), reason);
        } else {
            self.forget(key, reason);
        }
    }

    /// The first state of a removed binding that is on switches.
    pub(super) fn leaving(&self, force: bool, deadline: Duration) -> State {
        if force {
            State::Broken { until: self.now + self.settings.break_linger }
        } else {
            State::Draining { until: self.now + deadline }
        }
    }

    /// Tells the agent how its binding stands, in the words of its contract.
    pub(super) fn notify(&mut self, key: &BindingKey) {
        let Some(record) = self.bindings.get(key) else { return };
        let Some(agent) = record.agent.as_ref().and_then(|name| self.agents.get(name)) else {
            return;
        };
        let state = match record.state {
            State::Unknown(_) => "pending",
            State::Broken { .. } => "down",
            _ => record.state.name(),
        };
        let (session, reason, end) = (agent.session, record.reason.clone(), self.server_end(key));
        let message = ToAgent::Notice { key: key.clone(), state, reason, end };
        self.out.push(Output::ToAgent { session, message });
    }

    /// Publishes an event of one binding.
    pub(super) fn tell(&mut self, kind: &'static str, key: &BindingKey, message: String) {
        self.publish(Event {
            kind,
            service: Some(key.service.clone()),
            backend: Some(key.backend),
            message,
            ..Event::default()
        });
    }

    /// Names for an error message.
    pub(super) fn list<'a>(names: impl Iterator<Item = &'a Name>) -> String {
        const MOST: usize = 20;
        let mut names: Vec<&str> = names.map(Name::as_str).collect();
        if names.is_empty() {
            return "none".to_owned();
        }
        let more = names.len() > MOST;
        names.truncate(MOST);
        format!("{}{}", names.join(", "), if more { ", ..." } else { "" })
    }
}
