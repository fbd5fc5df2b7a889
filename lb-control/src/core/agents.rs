//! Sessions of agents.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Core, Event, Output, Peer, SessionId,
    bindings::{Stage, State},
    clock::Timer,
    freeze::Loss,
    twins::Twin,
};
use crate::{
    config::Role,
    model::{
        AgentBinding, AgentHello, Application, BackendReport, BindingKey, FromAgent, Heartbeat,
        Name, ServerId, ToAgent, Weight,
    },
};

/// An agent with a session.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) session: SessionId,
    pub(super) boot: u64,
    /// Lost after this silence.
    pub(super) timeout: Duration,
    pub(super) last_sequence: u64,
    /// A heartbeat out of order was reported already.
    disordered: bool,
    /// It said that it leaves.
    pub(super) leaving: bool,
    /// The last other start of this agent that was refused.
    pub(super) twin: Option<Twin>,
    pub(super) binds: BTreeMap<BindingKey, Claim>,
}

/// What an agent asked for, and says of it.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) weight: Weight,
    pub(super) server_id: Option<ServerId>,
    /// None before its first report.
    pub(super) health: Option<Result<(), String>>,
    pub(super) connections: Option<u64>,
    pub(super) load: Option<f64>,
    pub(super) application: Application,
    /// Why it is not honoured, as last told.
    refused: Option<String>,
}

impl Core {
    pub(super) fn agent_message(&mut self, session: SessionId, message: FromAgent) {
        match (message, self.sessions.get(&session).cloned()) {
            (FromAgent::Hello(hello), None) => self.agent_hello(session, hello),
            (FromAgent::Heartbeat(heartbeat), Some(Peer::Agent(name))) => {
                self.heartbeat(&name, heartbeat)
            }
            (FromAgent::Leave { cause }, Some(Peer::Agent(name))) => self.leave(&name, &cause),
            (FromAgent::Closed { key, connections, heartbeat }, Some(Peer::Agent(name))) => {
                self.server_closed(&name, &key, connections, heartbeat);
            }
            (_, Some(Peer::Agent(name))) => {
                // The connection's end, so that what it vouched for is released.
                self.close(session, "an agent says hello once".to_owned());
                self.agent_closed(&name);
            }
            _ => self.close(session, "the first message of a session must be a hello".to_owned()),
        }
    }

    fn agent_hello(&mut self, session: SessionId, hello: AgentHello) {
        let AgentHello { name, boot, binds, interval } = hello;
        let holder = self.agents.get(&name).map(|agent| agent.session);
        if !self.lets_in(session, Role::Agent, &name, binds.len(), holder) {
            return;
        }
        let (binds, forbidden) = self.sort_binds(session, &name, binds);
        if let Some(reason) = self.refuse_twin(&name, boot) {
            return self.close(session, reason);
        }
        let timeout = interval.saturating_mul(self.settings.missed_heartbeats.max(1));
        let old = self.agents.remove(&name);
        let same_boot = old.as_ref().filter(|old| old.boot == boot);
        let heard = self.last_heard(&name, boot);
        let claim = |AgentBinding { key, weight, server_id }| {
            // What the application said holds until the first heartbeat.
            let before = same_boot.and_then(|old| old.binds.get(&key));
            let claim = Claim {
                weight,
                server_id,
                health: None,
                connections: None,
                load: None,
                application: before.map(|claim| claim.application.clone()).unwrap_or_default(),
                refused: None,
            };
            (key, claim)
        };
        let agent = Agent {
            session,
            boot,
            timeout,
            last_sequence: same_boot.map_or(heard, |old| old.last_sequence),
            disordered: false,
            leaving: same_boot.is_some_and(|old| old.leaving),
            twin: None,
            binds: binds.into_iter().map(claim).collect(),
        };
        let keys: Vec<_> = agent.binds.keys().cloned().collect();
        let stays = |key: &&BindingKey| !agent.binds[*key].has_left();
        let claimed: Vec<_> = keys.iter().filter(stays).cloned().collect();
        self.agents.insert(name.clone(), agent);
        self.sessions.insert(session, Peer::Agent(name.clone()));
        self.clock.set(Timer::Silence(name.clone()), self.now + timeout);
        self.out.push(Output::ToAgent { session, message: ToAgent::Welcome { timeout } });
        for (key, reason) in forbidden {
            let message = ToAgent::Refused { key, reason };
            self.out.push(Output::ToAgent { session, message });
        }
        match old {
            Some(old) => {
                let reason = format!("replaced by a newer session of agent `{name}`");
                self.close(old.session, reason);
                let how = if old.boot == boot { "connected again" } else { "started anew" };
                self.publish_agent(
                    "agent.replaced",
                    format!("agent `{name}` {how}; its older session is over"),
                );
                for key in old.binds.keys().filter(|key| !keys.contains(key)) {
                    self.release(&name, key, &format!("agent `{name}` no longer asks for it"));
                }
            }
            None => self.publish_agent("agent.connected", format!("agent `{name}` connected")),
        }
        // One that leaves keeps what it has, so that its counts are heard.
        if self.agents.get(&name).is_some_and(|agent| !agent.leaving) {
            for key in &claimed {
                self.claim(&name, key, true);
            }
        }
    }

    /// What an agent may ask for, and what it may not, with what it is told of it.
    fn sort_binds(
        &mut self,
        session: SessionId,
        name: &Name,
        binds: Vec<AgentBinding>,
    ) -> (Vec<AgentBinding>, Vec<(BindingKey, String)>) {
        let mut forbidden = Vec::new();
        let mut allowed = binds;
        allowed.retain(|bind| match self.may_bind(session, name, bind) {
            Ok(()) => true,
            Err(reason) => {
                forbidden.push((bind.key.clone(), reason));
                false
            }
        });
        (allowed, forbidden)
    }

    /// An agent asks for a binding with its hello, or still asks for one that
    /// was refused.
    fn claim(&mut self, name: &Name, key: &BindingKey, hello: bool) {
        let outcome = self.try_claim(name, key, hello);
        let Some(agent) = self.agents.get_mut(name) else {
            return;
        };
        let Some(claim) = agent.binds.get_mut(key) else {
            return;
        };
        let reason = outcome.err();
        if reason.is_some() && claim.refused != reason {
            let message =
                ToAgent::Refused { key: key.clone(), reason: reason.clone().unwrap_or_default() };
            self.out.push(Output::ToAgent { session: agent.session, message });
            claim.refused.clone_from(&reason);
            self.tell(
                "binding.refused",
                key,
                format!("agent `{name}`: {}", reason.unwrap_or_default()),
            );
        } else {
            claim.refused = reason;
        }
    }

    fn try_claim(&mut self, name: &Name, key: &BindingKey, hello: bool) -> Result<(), String> {
        let Some(boot) = self.agents.get(name).map(|agent| agent.boot) else {
            return Ok(());
        };
        if !self.settings.services.contains_key(&key.service) {
            let known = Self::list(self.settings.services.keys());
            return Err(format!(
                "there is no service `{}`; this manager has: {known}",
                key.service
            ));
        }
        let record = self.bindings.get(key);
        if let Some(other) = record.and_then(|record| record.agent.as_ref()).filter(|a| *a != name)
        {
            return Err(format!("agent `{other}` already vouches for it"));
        }
        if let Some(removal) = self.intent.removals.get_mut(key) {
            let anew = removal.boot.is_some_and(|removed| removed != boot) && hello;
            if !anew {
                self.saving.dirty |= removal.boot.is_none();
                removal.boot.get_or_insert(boot);
                return Err(
                    "the operator removed it: start the agent anew, or use `sluice add`".to_owned()
                );
            }
        }
        let server_id = self.given_server_id(key, name);
        let is_new = !self.bindings.contains_key(key);
        if is_new {
            self.admit(key, server_id)?;
        } else {
            self.identify(key, server_id)?;
        }
        self.saving.dirty |= self.intent.removals.remove(key).is_some();
        if let Some(record) = self.bindings.get_mut(key) {
            record.agent = Some(name.clone());
            record.boot = Some(boot);
        }
        if is_new {
            self.enter(key, State::Pending, "waiting for its health to be verified");
        } else {
            self.notify(key);
        }
        self.sync_probe(key);
        self.refresh(key);
        self.evaluate(key);
        let record = self.bindings.get(key);
        if record.is_some_and(|r| matches!(r.state, State::Draining { .. } | State::Down(_))) {
            self.explain(key, &format!("agent `{name}` is back; its health is not verified yet"));
        }
        Ok(())
    }

    fn heartbeat(&mut self, name: &Name, heartbeat: Heartbeat) {
        let Some(agent) = self.agents.get_mut(name) else {
            return;
        };
        if heartbeat.sequence <= agent.last_sequence {
            if !std::mem::replace(&mut agent.disordered, true) {
                let (got, last) = (heartbeat.sequence, agent.last_sequence);
                self.publish_agent(
                    "agent.disordered",
                    format!("agent `{name}` sent heartbeat {got} after {last}; such heartbeats are ignored"),
                );
            }
            return;
        }
        agent.last_sequence = heartbeat.sequence;
        let (leaving, due) = (agent.leaving, self.now + agent.timeout);
        self.clock.set(Timer::Silence(name.clone()), due);
        for BackendReport { key, health, connections, load, application } in heartbeat.reports {
            let Some(claim) = self.agents.get_mut(name).and_then(|agent| agent.binds.get_mut(&key))
            else {
                continue;
            };
            claim.health = Some(health);
            claim.connections = Some(connections);
            claim.load = Some(load);
            let before = std::mem::replace(&mut claim.application, application);
            let has_left = claim.has_left();
            self.application(name, &key, &before);
            if self.is_owned(name, &key) {
                self.evaluate(&key);
                self.note_drain(&key);
                self.close_server_side(&key);
            } else if !leaving && !has_left {
                self.claim(name, &key, false);
            }
        }
    }

    fn leave(&mut self, name: &Name, cause: &str) {
        let Some(agent) = self.agents.get_mut(name) else {
            return;
        };
        if std::mem::replace(&mut agent.leaving, true) {
            return;
        }
        let reason = format!("agent `{name}` leaves: {cause}");
        self.publish_agent("agent.leaving", reason.clone());
        for key in self.owned(name) {
            self.take_leave(&key, &reason);
        }
    }

    /// Nothing was heard of an agent for too long.
    pub(super) fn silent(&mut self, name: &Name) {
        let Some(agent) = self.agents.get(name) else {
            return;
        };
        let cause = format!("agent `{name}` is lost: silent for {:?}", agent.timeout);
        self.close(agent.session, cause.clone());
        self.lost(name, "agent.lost", &cause);
    }

    pub(super) fn agent_closed(&mut self, name: &Name) {
        let Some(agent) = self.agents.get(name) else {
            return;
        };
        if agent.leaving {
            self.lost(name, "agent.left", &format!("agent `{name}` left"));
        } else {
            self.lost(name, "agent.lost", &format!("agent `{name}` is lost: its connection ended"));
        }
    }

    fn lost(&mut self, name: &Name, kind: &'static str, cause: &str) {
        self.clock.cancel(&Timer::Silence(name.clone()));
        self.publish_agent(kind, cause.to_owned());
        let owned = self.owned(name);
        let idle: BTreeSet<_> = owned.iter().filter(|key| self.none_left(key)).cloned().collect();
        let Some(agent) = self.agents.remove(name) else {
            return;
        };
        self.remember(name, &agent);
        for key in owned {
            self.release(name, &key, cause);
            let state = self.bindings.get(&key).map(|record| record.state.clone());
            let Some(State::Draining { until }) = state else { continue };
            if !agent.leaving {
                // A lost server's connections are not kept longer than any lost server's.
                let until = until.min(self.now + self.settings.down_grace);
                self.enter(&key, State::Draining { until }, cause);
            } else if idle.contains(&key) {
                self.retire(&key, &format!("{cause}; no connection is left"));
            }
        }
        if agent.leaving {
            self.forget_removals(&agent);
        }
    }

    /// An agent no longer vouches for a binding.
    fn release(&mut self, name: &Name, key: &BindingKey, cause: &str) {
        let Some(record) = self.bindings.get_mut(key) else {
            return;
        };
        if record.agent.as_ref() != Some(name) {
            return;
        }
        record.agent = None;
        let state = record.state.clone();
        self.sync_probe(key);
        if self.is_static(key) {
            self.evaluate(key);
            return;
        }
        match state {
            State::Active | State::Unknown(_) => {
                self.lose(key, Some(name), Loss::Down(cause.to_owned()));
            }
            State::Paused => self.down(key, cause),
            State::Pending | State::Down(Stage::Off) => self.forget(key, cause),
            State::Draining { .. } | State::Down(_) | State::Broken { .. } => {}
        }
    }

    /// An agent that left in good order does not come back under the same boot:
    /// what was removed from it need not be remembered.
    fn forget_removals(&mut self, agent: &Agent) {
        for key in agent.binds.keys() {
            let theirs = self
                .intent
                .removals
                .get(key)
                .is_some_and(|removal| removal.boot == Some(agent.boot));
            if theirs && !self.in_file(key) && !self.bindings.contains_key(key) {
                self.intent.removals.remove(key);
                self.saving.dirty = true;
            }
        }
    }

    /// The bindings that an agent vouches for.
    fn owned(&self, name: &Name) -> Vec<BindingKey> {
        let Some(agent) = self.agents.get(name) else {
            return Vec::new();
        };
        let owner = |key: &&BindingKey| {
            self.bindings.get(key).is_some_and(|r| r.agent.as_ref() == Some(name))
        };
        agent.binds.keys().filter(owner).cloned().collect()
    }

    pub(super) fn publish_agent(&mut self, kind: &'static str, message: String) {
        self.publish(Event { kind, message, ..Event::default() });
    }
}
