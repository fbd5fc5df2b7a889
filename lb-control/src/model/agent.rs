//! What passes between an agent and the manager, as `sluice.v1.Agents` says it.

use std::time::Duration;

use super::{BindingKey, Name, Weight};

/// An agent's first word.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentHello {
    /// Unique among agents.
    pub name: Name,
    /// Random for each start of the agent.
    pub boot: u64,
    /// What the agent asks to be bound to.
    pub binds: Vec<AgentBinding>,
    /// How often it means to heartbeat.
    pub interval: Duration,
}

/// "Bind me to this service."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentBinding {
    pub key: BindingKey,
    pub weight: Weight,
}

/// An agent's sign of life.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Grows by one; starts at 1 for each boot.
    pub sequence: u64,
    pub reports: Vec<BackendReport>,
}

/// How one backend is, as the agent beside it sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendReport {
    pub key: BindingKey,
    /// The local health check's last word, with the cause when it is bad.
    pub health: Result<(), String>,
    /// Established connections that the server's kernel holds for it.
    pub connections: u64,
    /// One-minute load average over CPUs.
    pub load: f64,
}

/// From an agent to the manager.
#[derive(Clone, Debug, PartialEq)]
pub enum FromAgent {
    /// Always first, and once.
    Hello(AgentHello),
    Heartbeat(Heartbeat),
    /// Graceful: no new connections from now on.
    Leave {
        cause: String,
    },
}

/// From the manager to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToAgent {
    /// The agent is declared lost after this silence.
    Welcome { timeout: Duration },
    /// The bind cannot be honoured; the session goes on for the others.
    Refused { key: BindingKey, reason: String },
    /// The state of one of its bindings changed.
    Notice { key: BindingKey, state: &'static str, reason: String },
}
