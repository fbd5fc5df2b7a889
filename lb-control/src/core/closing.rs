//! Closing the server's side of connections that the switches break.
//!
//! A switch answers the client's next packet by RST. The server hears nothing
//! of that, and would hold the connection until its own timeouts. So the agent
//! is asked to close it, again with each heartbeat while the binding is broken.
//! A binding does not serve again while the agent might close new connections
//! with the old ones: until it answers, or the request holds no longer.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Core, Output,
    bindings::{Record, State},
    clock::Timer,
};
use crate::model::{
    BindingKey, CLOSE_WITHIN, Change, Name, Phase, ServerEnd, ServiceSpec, SwitchState, ToAgent,
};

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

    /// Whether agents may still act on what the manager before has asked for.
    pub(super) fn inherits(&self) -> bool {
        self.clock.at(&Timer::Inherited).is_some_and(|over| self.now < over)
    }

    /// What the manager before has asked for holds no longer.
    pub(super) fn inherited_over(&mut self) {
        for switch in self.switches.values_mut() {
            switch.held_back = None;
        }
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

    /// Whether the manager before may have asked for that. What is found serving
    /// goes on where it serves, and begins nowhere else ([`Advance::of`]).
    fn may_inherit(&self, key: &BindingKey) -> bool {
        let serves = |record: &Record| matches!(record.state, State::Unknown(found) if found.phase == Phase::Serve);
        self.inherits()
            && self.bindings.get(key).is_some_and(|record| !serves(record))
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

/// What brings a switch to what it should hold, or as near to it as may be now.
#[derive(Clone, Debug)]
pub(super) struct Advance {
    pub(super) changes: Arc<[Change]>,
    /// What it holds then.
    pub(super) target: Arc<SwitchState>,
    /// That is all that it should hold.
    pub(super) whole: bool,
}

impl Advance {
    /// From what it holds to `desired`. Where agents may act on what the manager
    /// before has asked for, nothing begins to serve: one switch may have missed
    /// that the others were breaking what it is found to serve.
    pub(super) fn of(holds: &SwitchState, desired: &Arc<SwitchState>, inherits: bool) -> Self {
        let mut changes = holds.diff(desired);
        let all = changes.len();
        if inherits {
            changes.retain(|change| !begins_to_serve(change, holds, desired));
        }
        if changes.len() < all {
            let mut target = holds.clone();
            if changes.iter().all(|change| target.apply(change).is_ok()) {
                return Self { changes: changes.into(), target: Arc::new(target), whole: false };
            }
            changes = holds.diff(desired);
        }
        Self { changes: changes.into(), target: Arc::clone(desired), whole: true }
    }
}

/// Whether connections begin with that which an agent might close.
fn begins_to_serve(change: &Change, holds: &SwitchState, desired: &SwitchState) -> bool {
    let Change::PutBinding(key, binding) = change else {
        return false;
    };
    let service = desired.services.get(&key.service);
    binding.phase == Phase::Serve
        && holds.bindings.get(key).is_none_or(|held| held.phase != Phase::Serve)
        && service.is_some_and(|spec| spec.protocol.has_tcp())
}
