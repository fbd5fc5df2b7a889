//! Virtual servers.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{SlowStart, duration};
use crate::model::{
    Affinity, Mode, Name, Protocol, Scope, ServerId, ServiceSpec, Udp, Verdict, Vip, Weight,
};

/// `[[service]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    pub name: Name,
    /// VIP and port: `203.0.113.10:80`; any port: `203.0.113.10:*`; a prefix:
    /// `203.0.113.0/24:80`. The most specific service takes a packet.
    pub address: Vip,
    /// `tcp` (default), `udp` or `tcp+udp`.
    #[serde(default)]
    pub protocol: Protocol,
    /// `l2`, `nat`, `ipip` or `gue`.
    pub mode: Mode,
    /// What stays together: the packets of a connection (`flow`, default), or
    /// all connections of a client (`client`).
    #[serde(default)]
    pub affinity: Affinity,
    /// What UDP packets are: `stateless` (default), `tracked` or `quic`.
    #[serde(default)]
    pub udp: Udp,
    /// Silence after which a UDP flow is over. Default 120 s (RFC 4787 section
    /// 4.3, REQ-5).
    #[serde(default = "udp_idle", with = "duration")]
    pub udp_idle: Duration,
    /// With `udp = "quic"`: bytes of the server ids that the servers put into
    /// their connection ids, after the first byte and unencrypted, as
    /// draft-ietf-quic-load-balancers-21 has it without a key, 1 to 8. A
    /// connection then stays with its server when its client's address changes.
    /// Default 0: none.
    #[serde(default)]
    pub server_id_bytes: u8,
    /// Echo requests to the address: `pass` to the edge's kernel (default), or
    /// `answer`.
    #[serde(default)]
    pub echo: Echo,
    /// Slots of the ring. Default 65537.
    #[serde(default = "ring_size")]
    pub ring_size: u32,
    /// How the manager itself verifies backends.
    #[serde(default)]
    pub health: HealthSettings,
    /// Less than its weight for a backend that has just begun to serve.
    #[serde(default)]
    pub slow_start: SlowStart,
    /// Backends without an agent; the manager's probes vouch for them.
    #[serde(default, rename = "backend", skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<StaticBackend>,
    /// Shares of new connections that are refused from the start.
    #[serde(default, rename = "policy", skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicySettings>,
}

fn ring_size() -> u32 {
    lb_common::abi::DEFAULT_RING
}
fn udp_idle() -> Duration {
    Duration::from_secs(ServiceSpec::UDP_IDLE.into())
}

/// What becomes of echo requests to a service's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Echo {
    /// The edge's kernel gets them.
    #[default]
    Pass,
    /// The edge answers.
    Answer,
}

/// How a backend is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeKind {
    /// By edges, through the path that clients' packets take: a TCP handshake
    /// with the service's address. Where no edge is there that can, as `backend`.
    Path,
    /// By the manager: a TCP connection to the backend's address.
    #[serde(alias = "tcp")]
    Backend,
    /// None: an agent's word is enough. Not for backends without an agent.
    None,
}

/// `[service.health]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSettings {
    /// Default `path`, and with `port` `backend`: another port may be one of the
    /// backend's own address alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeKind>,
    /// Port that is connected to. Default: the service's or the backend's.
    pub port: Option<u16>,
    /// Default 1 s.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// Default 1 s.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Successes in a row before a backend is bound. Default 1.
    pub rise: u32,
    /// Failures in a row before it is taken out. Default 3.
    pub fall: u32,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            probe: None,
            port: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise: 1,
            fall: 3,
        }
    }
}

impl HealthSettings {
    /// How backends are probed, said or not.
    pub fn kind(&self) -> ProbeKind {
        let otherwise = if self.port.is_some() { ProbeKind::Backend } else { ProbeKind::Path };
        self.probe.unwrap_or(otherwise)
    }
}

/// `[[service.backend]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticBackend {
    pub address: SocketAddr,
    /// Default 100.
    #[serde(default = "weight")]
    pub weight: Weight,
    /// What names it in QUIC connection ids, in hexadecimal. Default none.
    pub server_id: Option<ServerId>,
}

pub(super) fn weight() -> Weight {
    100
}

/// `[[service.policy]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// Class, or `default`.
    pub class: Name,
    /// Refused share, 0 to 100.
    pub refuse_percent: f64,
    /// `reset` (default) or `silent`.
    #[serde(default)]
    pub verdict: Verdict,
    /// `flow` (default) or `client`.
    #[serde(default)]
    pub scope: Scope,
}
