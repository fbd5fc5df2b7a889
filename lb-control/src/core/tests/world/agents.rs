//! What the agents of a world do.

use super::*;
use crate::model::{AgentBinding, AgentHello, Application, BackendReport, FromAgent, Heartbeat};

impl World {
    /// An agent connects, and heartbeats from now on.
    pub(in crate::core::tests) fn agent(
        &mut self,
        agent: &str,
        boot: u64,
        binds: &[&str],
    ) -> SessionId {
        let session = SessionId(self.number());
        let binds: Vec<_> = binds.iter().map(|bind| key(bind)).collect();
        let before = self.agents.get(agent).filter(|before| before.boot == boot);
        let sequence = before.map_or(0, |before| before.sequence);
        self.agents.insert(
            agent.to_owned(),
            FakeAgent {
                boot,
                binds: binds.clone(),
                session,
                sequence,
                health: Ok(()),
                connections: 3,
                application: Application::default(),
                silent: false,
                slow: false,
            },
        );
        let hello = AgentHello {
            name: name(agent),
            boot,
            binds: binds.into_iter().map(|key| self.asked(key)).collect(),
            interval: Duration::from_millis(250),
        };
        self.feed(Input::Opened { session, origin: self.origin.clone() });
        self.feed(Input::Agent { session, message: FromAgent::Hello(hello) });
        session
    }

    /// What an agent asks for, with the server id that `server_ids` has.
    fn asked(&self, key: BindingKey) -> AgentBinding {
        let server_id = self.server_ids.get(&key).copied();
        AgentBinding { key, weight: self.asked_weight, server_id }
    }

    pub(in crate::core::tests) fn heartbeat(&mut self, agent: &str) {
        let Some(agent) = self.agents.get_mut(agent) else { return };
        agent.sequence += 1;
        let report = |key: &BindingKey| BackendReport {
            key: key.clone(),
            health: agent.health.clone(),
            connections: agent.connections,
            load: 0.5,
            application: agent.application.clone(),
        };
        let reports = agent.binds.iter().map(report).collect();
        let message = FromAgent::Heartbeat(Heartbeat { sequence: agent.sequence, reports });
        let session = agent.session;
        self.feed(Input::Agent { session, message });
    }

    pub(in crate::core::tests) fn set_agent(
        &mut self,
        agent: &str,
        change: impl FnOnce(&mut FakeAgent),
    ) {
        change(self.agents.get_mut(agent).expect("an agent"));
        self.heartbeat(agent);
    }

    pub(in crate::core::tests) fn leave(&mut self, agent: &str) {
        let session = self.agents[agent].session;
        let message = FromAgent::Leave { cause: "told to stop".to_owned() };
        self.feed(Input::Agent { session, message });
    }

    /// An agent's connection ends.
    pub(in crate::core::tests) fn hang_up(&mut self, agent: &str) {
        let session = self.agents.remove(agent).expect("an agent").session;
        self.feed(Input::Closed { session });
    }

    /// A slow agent answers the last request to close connections.
    pub(in crate::core::tests) fn close(&mut self, agent: &str, binding: &str, connections: u64) {
        let asked = self.told.iter().rev().find_map(|(session, message)| match message {
            ToAgent::Close { key: of, heartbeat, .. } if *of == key(binding) => {
                Some((*session, *heartbeat))
            }
            _ => None,
        });
        let (session, heartbeat) = asked.expect("a request to close");
        assert_eq!(session, self.agents[agent].session);
        self.feed(closed(session, key(binding), connections, heartbeat));
    }
}

/// An agent's answer when it was asked to close connections.
pub(in crate::core::tests) fn closed(
    session: SessionId,
    key: BindingKey,
    connections: u64,
    heartbeat: u64,
) -> Input {
    Input::Agent { session, message: FromAgent::Closed { key, connections, heartbeat } }
}
