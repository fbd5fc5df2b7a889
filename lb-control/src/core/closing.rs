//! Closing the server's side of connections that the switches break.
//!
//! A switch answers the client's next packet by RST. The server hears nothing
//! of that, and would hold the connection until its own timeouts. So the agent
//! is asked to close it, again with each heartbeat while the binding is broken.
//! A binding does not serve again while the agent might close new connections
//! with the old ones: until it answers, or the request holds no longer.

use super::{
    Core, Output,
    bindings::{Record, State},
    clock::Timer,
};
use crate::model::{BindingKey, CLOSE_WITHIN, Name, Phase, ServerEnd, ServiceSpec, ToAgent};

/// A request that was not answered yet. It outlives the binding, which may
/// come back, and the session, whose agent may still read what it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closing {
    agent: Name,
    /// The last that was heard before the request.
    heartbeat: u64,
}

impl Core {
    /// Where a binding's TCP connections end on its server. None without TCP,
    /// and in mode `nat` with any port: there that would be whatever the
    /// server's own address has connections for.
    pub(super) fn server_end(&self, key: &BindingKey) -> Option<ServerEnd> {
        let spec = self.spec(key)?;
        if !spec.protocol.has_tcp() {
            return None;
        }
        if !spec.mode.keeps_address() {
            spec.address.port()?;
            return Some(ServerEnd { local: key.backend.into(), except: Vec::new() });
        }
        let services = self.settings.services.values().map(|plan| &plan.spec);
        let others = services.filter(|other| other.protocol.has_tcp());
        let except = others.map(|other| other.address).filter(|vip| vip.narrows(&spec.address));
        Some(ServerEnd { local: spec.address, except: except.collect() })
    }

    /// Asks a binding's agent to close what its server still holds, where that
    /// is being broken.
    pub(super) fn close_server_side(&mut self, key: &BindingKey) {
        let breaks = |record: &&Record| record.state.is_breaking();
        let record = self.bindings.get(key).filter(breaks);
        let Some(name) = record.and_then(|record| record.agent.clone()) else {
            return;
        };
        let Some((session, heartbeat)) =
            self.agents.get(&name).map(|a| (a.session, a.last_sequence))
        else {
            return;
        };
        if self.closing.contains_key(key) {
            return;
        }
        let Some(end) = self.server_end(key).filter(|_| !self.shares_its_end(key)) else {
            return;
        };
        self.closing.insert(key.clone(), Closing { agent: name, heartbeat });
        self.clock.set(Timer::Close(key.clone()), self.now + CLOSE_WITHIN);
        let message = ToAgent::Close { key: key.clone(), end, heartbeat };
        self.out.push(Output::ToAgent { session, message });
    }

    /// The answer to that.
    pub(super) fn server_closed(
        &mut self,
        agent: &Name,
        key: &BindingKey,
        connections: u64,
        heartbeat: u64,
    ) {
        let asked = Closing { agent: agent.clone(), heartbeat };
        if self.closing.get(key) != Some(&asked) {
            return;
        }
        if connections > 0 {
            let message = format!("agent `{agent}` closed {connections} on the server");
            self.tell("connections.closed", key, message);
        }
        self.close_over(key);
    }

    /// A request to close holds no longer, and was not answered.
    pub(super) fn close_expired(&mut self, key: &BindingKey) {
        self.close_over(key);
        self.close_server_side(key);
    }

    fn close_over(&mut self, key: &BindingKey) {
        self.closing.remove(key);
        self.clock.cancel(&Timer::Close(key.clone()));
        let waiting = self.at_the_same_end(key).map(|(other, _)| other.clone());
        for key in waiting.chain([key.clone()]).collect::<Vec<_>>() {
            self.evaluate(&key);
        }
    }

    /// What the manager before has asked for holds no longer.
    pub(super) fn inherited_over(&mut self) {
        for key in self.bindings.keys().cloned().collect::<Vec<_>>() {
            self.evaluate(&key);
        }
    }

    /// Whether an agent may be about to close connections where a binding's
    /// connections end.
    pub(super) fn is_being_closed(&self, key: &BindingKey) -> bool {
        if self.closing.contains_key(key) || self.may_inherit(key) {
            return true;
        }
        let agent = self.bindings.get(key).and_then(|record| record.agent.as_ref());
        let ends_there = |(other, asked): (&BindingKey, &Closing)| {
            other.service == key.service && agent == Some(&asked.agent)
        };
        self.spec(key).is_some_and(|spec| spec.mode.keeps_address())
            && self.closing.iter().any(ends_there)
    }

    /// Whether the manager before may have asked for that. Not for what is
    /// found serving: it had that answered before.
    fn may_inherit(&self, key: &BindingKey) -> bool {
        self.clock.at(&Timer::Inherited).is_some()
            && self.bindings.get(key).is_some_and(|record| match record.state {
                State::Unknown(found) => found.phase == Phase::Break,
                _ => record.agent.is_some(),
            })
            && self.server_end(key).is_some()
    }

    /// Whether connections that nobody breaks end at the same place.
    fn shares_its_end(&self, key: &BindingKey) -> bool {
        let keeps = |(_, record): (&BindingKey, &Record)| {
            matches!(record.state.phase(), Some(Phase::Serve | Phase::Drain))
        };
        self.at_the_same_end(key).any(keeps)
    }

    /// The other bindings of a service that end where this one does: a server
    /// may be bound at two of its addresses, and has the VIP once.
    fn at_the_same_end<'a>(
        &'a self,
        key: &'a BindingKey,
    ) -> impl Iterator<Item = (&'a BindingKey, &'a Record)> {
        let keeps_address = self.spec(key).is_some_and(|spec| spec.mode.keeps_address());
        let agent = self.bindings.get(key).and_then(|record| record.agent.as_ref());
        self.of_service(&key.service).filter(move |(other, record)| {
            keeps_address && *other != key && agent.is_some() && record.agent.as_ref() == agent
        })
    }

    pub(super) fn spec(&self, key: &BindingKey) -> Option<&ServiceSpec> {
        self.settings.services.get(&key.service).map(|plan| &plan.spec)
    }
}
