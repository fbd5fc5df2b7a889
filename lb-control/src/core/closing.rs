//! Closing the server's side of connections that the switches break.
//!
//! A switch answers the client's next packet by RST. The server hears nothing
//! of that, and would hold the connection until its own timeouts. So the agent
//! is asked to close it, again with each heartbeat while the binding is broken.
//! A binding does not serve again while the agent might close new connections
//! with the old ones: until it answers, or the request holds no longer.

use std::collections::BTreeSet;

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
    /// What else ends there, whoever vouches for it by now.
    others: BTreeSet<BindingKey>,
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
        let Some(agent) = self.agents.get(&name) else {
            return;
        };
        let (session, heartbeat) = (agent.session, agent.last_sequence);
        if self.closing.contains_key(key) {
            return;
        }
        let Some(end) = self.server_end(key).filter(|_| !self.shares_its_end(key)) else {
            return;
        };
        let others = self.at_the_same_end(key).map(|(other, _)| other.clone());
        let beside = agent.binds.keys().filter(|other| self.ends_beside(key, other)).cloned();
        let others = others.chain(beside).collect();
        self.closing.insert(key.clone(), Closing { agent: name, heartbeat, others });
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
        let asked = |asked: &Closing| asked.agent == *agent && asked.heartbeat == heartbeat;
        if !self.closing.get(key).is_some_and(asked) {
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
        let mut waiting = self.closing.remove(key).map(|asked| asked.others).unwrap_or_default();
        self.clock.cancel(&Timer::Close(key.clone()));
        waiting.extend(self.at_the_same_end(key).map(|(other, _)| other.clone()));
        waiting.insert(key.clone());
        for key in waiting {
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
        self.is_asked_to_close(key) || self.may_inherit(key)
    }

    /// Whether this manager has asked for that.
    pub(super) fn is_asked_to_close(&self, key: &BindingKey) -> bool {
        let agent = self.bindings.get(key).and_then(|record| record.agent.as_ref());
        self.closing.iter().any(|(other, asked)| {
            other == key
                || asked.others.contains(key)
                || (agent == Some(&asked.agent) && self.ends_beside(other, key))
        })
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
    /// may be bound at two of its addresses, and has the VIP once. Its agent
    /// asks for them, whoever vouches for them now.
    fn at_the_same_end<'a>(
        &'a self,
        key: &'a BindingKey,
    ) -> impl Iterator<Item = (&'a BindingKey, &'a Record)> {
        let name = self.bindings.get(key).and_then(|record| record.agent.as_ref());
        let agent = name.and_then(|name| self.agents.get(name));
        self.of_service(&key.service).filter(move |(other, record)| {
            let asks = agent.is_some_and(|agent| agent.binds.contains_key(*other));
            let same = name.is_some() && record.agent.as_ref() == name;
            (asks || same) && self.ends_beside(key, other)
        })
    }

    /// Whether two bindings end at one place, if they are on one server.
    fn ends_beside(&self, key: &BindingKey, other: &BindingKey) -> bool {
        let keeps_address = || self.spec(key).is_some_and(|spec| spec.mode.keeps_address());
        key != other && key.service == other.service && keeps_address()
    }

    pub(super) fn spec(&self, key: &BindingKey) -> Option<&ServiceSpec> {
        self.settings.services.get(&key.service).map(|plan| &plan.spec)
    }
}
