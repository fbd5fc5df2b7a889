//! What passes between an agent and the manager, as `sluice.v1.Agents` says it.

use std::{net::SocketAddr, time::Duration};

use super::{Application, BindingKey, Name, ServerId, Vip, Weight};

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
    pub server_id: Option<ServerId>,
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
    /// One-minute load average over CPUs, or what the application says.
    pub load: f64,
    pub application: Application,
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
    /// The answer to the [`ToAgent::Close`] with that heartbeat: so many were
    /// closed.
    Closed {
        key: BindingKey,
        connections: u64,
        heartbeat: u64,
    },
}

/// From the manager to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToAgent {
    /// The agent is declared lost after this silence.
    Welcome { timeout: Duration },
    /// The bind cannot be honoured; the session goes on for the others.
    Refused { key: BindingKey, reason: String },
    /// The state of one of its bindings changed. `end` is where its TCP
    /// connections end, if they can be told from others.
    Notice { key: BindingKey, state: &'static str, reason: String, end: Option<ServerEnd> },
    /// Its connections are being broken: close the server's side too, once,
    /// and answer. The binding does not serve again before the answer, or
    /// before [`CLOSE_WITHIN`] has passed. `heartbeat` is the last that was
    /// heard.
    Close { key: BindingKey, end: ServerEnd, heartbeat: u64 },
}

/// A request to close connections holds for this long from when the agent sent
/// the heartbeat that it names. An agent that was stopped or is slow finds
/// requests waiting whose manager has long given it up, or is gone; by its own
/// clock it knows which, as no heartbeat is heard before it is sent.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Where connections of a binding end on its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerEnd {
    pub local: Vip,
    /// Parts of it that are other services'.
    pub except: Vec<Vip>,
}

impl ServerEnd {
    /// Whether a connection with this local address is meant.
    pub fn holds(&self, local: SocketAddr) -> bool {
        self.local.takes(local) && !self.except.iter().any(|other| other.takes(local))
    }
}
