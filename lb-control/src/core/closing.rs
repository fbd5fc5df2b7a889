//! Closing the server's side of connections that the switches break.
//!
//! A switch answers the client's next packet by RST. The server hears nothing
//! of that, and would hold the connection until its own timeouts. So the agent
//! is asked to close it, again with each heartbeat while the binding is broken.
//! A binding does not serve again while an answer is due: the agent might
//! close new connections with the old ones.

use super::{Core, Output, bindings::Record};
use crate::model::{BindingKey, Name, Phase, ServerEnd, ServiceSpec, ToAgent};

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
        let Some(record) = self.bindings.get(key).filter(|r| r.state.is_breaking() && !r.closing)
        else {
            return;
        };
        let name = record.agent.as_ref();
        let Some(session) = name.and_then(|name| Some(self.agents.get(name)?.session)) else {
            return;
        };
        let Some(end) = self.server_end(key).filter(|_| !self.shares_its_end(key)) else {
            return;
        };
        if let Some(record) = self.bindings.get_mut(key) {
            record.closing = true;
        }
        let message = ToAgent::Close { key: key.clone(), end };
        self.out.push(Output::ToAgent { session, message });
    }

    /// The answer to that.
    pub(super) fn server_closed(&mut self, agent: &Name, key: &BindingKey, connections: u64) {
        let Some(record) = self.bindings.get_mut(key).filter(|r| r.agent.as_ref() == Some(agent))
        else {
            return;
        };
        record.closing = false;
        if connections > 0 {
            let message = format!("agent `{agent}` closed {connections} on the server");
            self.tell("connections.closed", key, message);
        }
        let waiting = self.at_the_same_end(key).map(|(other, _)| other.clone());
        for key in waiting.chain([key.clone()]).collect::<Vec<_>>() {
            self.evaluate(&key);
        }
    }

    /// Whether an agent may be about to close connections where a binding's
    /// connections end.
    pub(super) fn is_being_closed(&self, key: &BindingKey) -> bool {
        self.bindings.get(key).is_some_and(|record| record.closing)
            || self.at_the_same_end(key).any(|(_, record)| record.closing)
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
