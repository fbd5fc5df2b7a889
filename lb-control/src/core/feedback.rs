//! Weights that DFP agents on servers report.
//!
//! What an agent reports stands in place of the weight that a binding has by itself,
//! whoever vouches for it, and an operator's `sluice weight` stands in place of that.
//! While a lost agent is tried again its weights stand; what counts once it has failed
//! is a setting. What it says in a new connection replaces all that it said before.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{Core, Event};
use crate::{
    config::{DfpSettings, WhenLost},
    model::{BindingKey, DfpServer, DfpState, FromDfp, Name, Weight},
};

/// A DFP agent, and what it has said.
#[derive(Clone, Debug)]
pub(super) struct Feedback {
    settings: DfpSettings,
    state: DfpState,
    since: Duration,
    /// Why it is not open.
    why: String,
    weights: BTreeMap<DfpServer, Weight>,
    /// It has failed, and nobody of its servers gets new connections before it
    /// speaks again.
    closed: bool,
}

/// A DFP agent, as it concerns one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DfpView {
    pub name: Name,
    pub address: SocketAddr,
    pub state: DfpState,
    /// Since it came into that state.
    pub age: Duration,
    /// Why it is not open; empty when it is.
    pub reason: String,
    /// What the binding weighs by its word, or for want of it; None: what it would
    /// without.
    pub weight: Option<Weight>,
}

impl Feedback {
    pub(super) fn new(settings: &DfpSettings) -> Self {
        Self {
            settings: settings.clone(),
            state: DfpState::default(),
            since: Duration::ZERO,
            why: String::new(),
            weights: BTreeMap::new(),
            closed: false,
        }
    }

    /// What it says of a server; of a port and a protocol rather than of any.
    fn weight(&self, backend: SocketAddr, protocols: &[u8]) -> Option<Weight> {
        let SocketAddr::V4(backend) = backend else { return None };
        if self.closed {
            return Some(0);
        }
        let any = [0];
        let ports = [backend.port(), 0].into_iter();
        let mut names = ports.flat_map(|port| {
            let protocols = protocols.iter().chain(&any);
            protocols.map(move |&protocol| DfpServer { port, protocol, address: *backend.ip() })
        });
        names.find_map(|name| self.weights.get(&name).copied())
    }

    /// What its failure means.
    fn consequence(&self) -> &'static str {
        match self.settings.lost {
            WhenLost::Static => "its servers weigh what they do without it",
            WhenLost::Keep => "what it said last stands",
            WhenLost::Closed => "its servers get no new connections",
        }
    }
}

impl Core {
    pub(super) fn dfp_message(&mut self, name: &Name, message: FromDfp) {
        let Some(feedback) = self.feedback.get(name) else { return };
        let covered = |key: &&BindingKey| feedback.settings.covers(key.backend);
        let keys = self.bindings.keys().filter(covered);
        let before: Vec<_> = keys.map(|key| (key.clone(), self.given_weight(key))).collect();
        match message {
            FromDfp::State(state, why) => self.dfp_state(name, state, why),
            FromDfp::Weights { weights, anew } => {
                let Some(feedback) = self.feedback.get_mut(name) else { return };
                feedback.closed = false;
                if anew {
                    feedback.weights.clear();
                }
                let settings = &feedback.settings;
                let may = |server: &DfpServer| settings.covers((server.address, 0).into());
                feedback.weights.extend(weights.into_iter().filter(|(server, _)| may(server)));
            }
        }
        for (key, before) in before {
            let now = self.given_weight(&key);
            if now != before {
                let whose = match self.fed_weight(&key) {
                    Some(_) => "by",
                    None => "as it has without",
                };
                let weight = now.unwrap_or_default();
                self.tell(
                    "binding.weight",
                    &key,
                    format!("weight {weight}, {whose} DFP agent `{name}`"),
                );
                self.refresh(&key);
            }
        }
    }

    fn dfp_state(&mut self, name: &Name, state: DfpState, why: String) {
        let now = self.now;
        let Some(feedback) = self.feedback.get_mut(name) else { return };
        let before = std::mem::replace(&mut feedback.state, state);
        feedback.why = why;
        if before != state {
            feedback.since = now;
        }
        if state.is_lost() && !before.is_lost() {
            if feedback.settings.lost != WhenLost::Keep {
                feedback.weights.clear();
            }
            feedback.closed = feedback.settings.lost == WhenLost::Closed;
        }
        let (address, why) = (feedback.settings.address, &feedback.why);
        let agent = format!("DFP agent `{name}` at {address}");
        let consequence = feedback.consequence();
        let (kind, message) = match state {
            DfpState::Open => ("dfp.open", format!("{agent} is there")),
            DfpState::Trying if before == DfpState::Open => {
                ("dfp.trying", format!("{agent} is lost, and tried again: {why}"))
            }
            DfpState::Failed => ("dfp.failed", format!("{agent} has failed: {why}; {consequence}")),
            DfpState::SecurityError => {
                ("dfp.security_error", format!("{agent} is of no use: {why}; {consequence}"))
            }
            DfpState::NotOpen | DfpState::Trying | DfpState::Connecting => return,
        };
        if before != state {
            self.publish(Event { kind, message, ..Event::default() });
        }
    }

    /// What a DFP agent says of a binding.
    pub(super) fn fed_weight(&self, key: &BindingKey) -> Option<Weight> {
        let (_, feedback) = self.dfp_agent(key)?;
        let service = &self.settings.services.get(&key.service)?.spec;
        feedback.weight(key.backend, service.protocol.numbers())
    }

    /// The DFP agent that may speak of a binding.
    fn dfp_agent(&self, key: &BindingKey) -> Option<(&Name, &Feedback)> {
        self.feedback.iter().find(|(_, feedback)| feedback.settings.covers(key.backend))
    }

    /// The DFP agent that may speak of a binding, as of `now`.
    pub(super) fn dfp_of(&self, key: &BindingKey, now: Duration) -> Option<DfpView> {
        let (name, feedback) = self.dfp_agent(key)?;
        Some(DfpView {
            name: name.clone(),
            address: feedback.settings.address,
            state: feedback.state,
            age: now.saturating_sub(feedback.since),
            reason: feedback.why.clone(),
            weight: self.fed_weight(key),
        })
    }

    pub(super) fn dfp_alarms(&self) -> impl Iterator<Item = String> {
        let lost = self.feedback.iter().filter(|(_, feedback)| feedback.state.is_lost());
        lost.map(|(name, feedback)| {
            let (address, state) = (feedback.settings.address, feedback.state);
            let (why, consequence) = (&feedback.why, feedback.consequence());
            format!("DFP agent `{name}` at {address} is in state {state}: {why}; {consequence}")
        })
    }
}
