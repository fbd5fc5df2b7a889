//! What the manager hears from servers without a Sluice agent, and tells balancers
//! that ask.

use std::{net::SocketAddr, time::Duration};

use serde::Deserialize;

use super::duration;
use crate::model::{Name, Prefix};

/// `[[manager.dfp]]`: a DFP agent on a server, which says what the server's bindings
/// weigh.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DfpSettings {
    /// For events and alarms.
    pub name: Name,
    /// Where it listens: DFP has port 8080 by default, some agents 8081. Nothing
    /// there is encrypted or proved: keep it on a network of its own.
    pub address: SocketAddr,
    /// Backends that it may speak of. Default: those with its own address.
    #[serde(default)]
    pub backends: Vec<Prefix>,
    /// It is to send something at least this often, in whole seconds. Default 10 s;
    /// `"0s"`: its silence is no loss.
    #[serde(default = "keepalive", with = "duration")]
    pub keepalive: Duration,
    /// Tries after a loss; then it has failed. It is tried on all the same. Default 3.
    #[serde(default = "retries")]
    pub retries: u32,
    /// Between two tries. Default 5 s.
    #[serde(default = "interval", with = "duration")]
    pub interval: Duration,
    /// For a connection. Default 1 s.
    #[serde(default = "timeout", with = "duration")]
    pub timeout: Duration,
    /// What its backends weigh when it has failed: `static` (default), `keep` or
    /// `closed`.
    #[serde(default)]
    pub lost: WhenLost,
}

impl DfpSettings {
    /// Whether it may speak of a backend.
    pub fn covers(&self, backend: SocketAddr) -> bool {
        if self.backends.is_empty() {
            return self.address.ip() == backend.ip();
        }
        self.backends.iter().any(|prefix| prefix.takes(backend.ip()))
    }
}

/// What the backends of a DFP agent that has failed weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenLost {
    /// What they would weigh without it.
    #[default]
    Static,
    /// What it said last.
    Keep,
    /// Nothing: they get no new connections.
    Closed,
}

fn keepalive() -> Duration {
    Duration::from_secs(10)
}
fn retries() -> u32 {
    3
}
fn interval() -> Duration {
    Duration::from_secs(5)
}
fn timeout() -> Duration {
    Duration::from_secs(1)
}

/// `[manager.agent_check]`: balancers such as HAProxy ask how a binding stands, by
/// `agent-check` with `agent-send "SERVICE ADDRESS:PORT\n"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentCheckSettings {
    /// Where they ask. Whoever reaches it learns states and reasons, and changes
    /// nothing.
    pub listen: SocketAddr,
}
