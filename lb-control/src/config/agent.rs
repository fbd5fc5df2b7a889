//! The agent beside an application server.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{AgentPoll, NotifySettings, XdpMode, duration, edge::tunnel_sources, services::weight};
use crate::model::{Name, Prefix, ServerId, Weight};

/// `[agent]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSettings {
    /// Name among agents. Default: the host's name.
    pub name: Option<Name>,
    /// Manager to connect to, `HOST:PORT`.
    pub manager: String,
    /// Heartbeat interval. Default 250 ms.
    #[serde(default = "interval", with = "duration")]
    pub interval: Duration,
    /// How long an orderly stop waits for connections to end. Default 60 s.
    #[serde(default = "leave", with = "duration")]
    pub leave_deadline: Duration,
    /// Whether connections that the switches break are closed on this server
    /// too, which needs CAP_NET_ADMIN. Not where other agents on this host bind
    /// it to the same service. Default true.
    #[serde(default = "close")]
    pub close: bool,
    /// Where tunnelled packets of modes `ipip` and `gue` come in.
    pub decap: Option<DecapSettings>,
    /// Sockets by which applications send events.
    pub notify: Option<NotifySettings>,
    /// What to bind.
    #[serde(rename = "bind")]
    pub binds: Vec<AgentBind>,
}

/// `[agent.decap]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecapSettings {
    /// Interfaces that the decapsulating program is attached to.
    pub interfaces: Vec<String>,
    /// Default `auto`.
    #[serde(default)]
    pub xdp: XdpMode,
    /// Where tunnelled packets may come from: the edges' `tunnel_sources`.
    /// Default `["198.18.0.0/15", "100::/96"]`.
    #[serde(default = "tunnel_sources")]
    pub sources: Vec<Prefix>,
    /// What they may hold packets to, beside the addresses of interface `lo`,
    /// where a server has its VIPs. Default none.
    #[serde(default)]
    pub vips: Vec<Prefix>,
    /// Directory in a bpffs, where program and maps outlive a crash of this
    /// process. Default `/sys/fs/bpf/sluice-decap`.
    #[serde(default = "decap_pin")]
    pub pin: PathBuf,
}

fn decap_pin() -> PathBuf {
    "/sys/fs/bpf/sluice-decap".into()
}

fn close() -> bool {
    true
}
fn interval() -> Duration {
    Duration::from_millis(250)
}
fn leave() -> Duration {
    Duration::from_secs(60)
}

/// `[[agent.bind]]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentBind {
    /// Service to bind to.
    pub service: Name,
    /// This server's address and port.
    pub address: SocketAddr,
    /// Default 100.
    #[serde(default = "weight")]
    pub weight: Weight,
    /// What names this server in its QUIC connection ids, in hexadecimal, such
    /// as `"0a1b2c3d"`. Default none.
    pub server_id: Option<ServerId>,
    /// Local health check. Default: a TCP connection to `address`.
    #[serde(default)]
    pub check: AgentCheck,
    /// Asks the application for its state and weight, as HAProxy does.
    pub agent_check: Option<AgentPoll>,
}

/// `[agent.bind.check]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentCheck {
    /// `GET` this path and want status 2xx or 3xx; without it a TCP connection is enough.
    pub http: Option<String>,
    /// Run this program with these arguments instead, and want exit status 0; its
    /// last line of output says why not. No shell: `["/usr/lib/check", "--fast"]`.
    pub command: Option<Vec<String>>,
    /// Port that is connected to. Default: that of `address`.
    pub port: Option<u16>,
    /// Default 1 s.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// Default 1 s.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Successes in a row that make it healthy. Default 1.
    pub rise: u32,
    /// Failures in a row that make it unhealthy. Default 2.
    pub fall: u32,
}

impl Default for AgentCheck {
    fn default() -> Self {
        Self {
            http: None,
            command: None,
            port: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise: 1,
            fall: 2,
        }
    }
}
