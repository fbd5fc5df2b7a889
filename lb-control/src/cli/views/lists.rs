//! `sluice get`: an array of these.

use serde::Serialize;

use super::{optional, seconds};
use crate::proto::v1;

/// One service.
#[derive(Debug, Serialize)]
pub struct ServiceView {
    pub name: String,
    /// VIP and port.
    pub address: String,
    /// `tcp`.
    pub protocol: &'static str,
    /// What stays together: the packets of a `flow`, or of a `client`.
    pub affinity: &'static str,
    /// What UDP packets are: `stateless`, `tracked` or `quic`.
    pub udp: &'static str,
    pub udp_idle_seconds: u32,
    /// Bytes of the server ids in QUIC connection ids; 0: they name nobody.
    pub server_id_bytes: u32,
    /// Whether echo requests to the address are answered.
    pub answers_echo: bool,
    /// `l2` or `nat`.
    pub mode: &'static str,
    pub ring_size: u32,
    pub backends_active: u32,
    pub backends_total: u32,
    /// Connections that a change has put at risk are being tracked.
    pub moving: bool,
    /// Only those that refuse something.
    pub policies: Vec<PolicyView>,
}

/// The share of one class's new connections that a service refuses.
#[derive(Debug, Serialize)]
pub struct PolicyView {
    pub class: String,
    /// 0 to 100.
    pub refuse_percent: f64,
    /// `reset` or `silent`.
    pub verdict: &'static str,
    /// `flow` or `client`.
    pub by: &'static str,
}

/// One backend in one service.
#[derive(Debug, Serialize)]
pub struct BackendView {
    pub service: String,
    /// Address and port.
    pub address: String,
    pub weight: u32,
    /// `pending`, `active`, `draining`, `down`, `broken` or `unknown`.
    pub state: String,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// How long it has been in this state.
    pub since_seconds: f64,
    /// The agent that vouches for it; `null`: the manager's own probes do.
    pub agent: Option<String>,
    pub connections: u64,
    /// Removed, and no switch sends its server anything any more: no connection
    /// is left, or what was left is broken.
    pub removable: bool,
    /// While draining: until what remains is reset.
    pub deadline_left_seconds: Option<f64>,
    /// What names it in QUIC connection ids, in hexadecimal.
    pub server_id: Option<String>,
    /// Which switch cannot send packets to it, and why; `null`: all can.
    pub unreachable: Option<String>,
    /// What the switches hold: less where its application asks for a share of it,
    /// or it starts slowly.
    pub effective_weight: u32,
    /// As its agent reports it.
    pub load: Option<f64>,
    /// Until a backend that flaps may serve again; `null`: it is not held out.
    pub hold_left_seconds: Option<f64>,
}

/// One switch.
#[derive(Debug, Serialize)]
pub struct SwitchView {
    pub name: String,
    pub connected: bool,
    /// Kind and driver mode.
    pub description: String,
    /// Of the configuration that packets see.
    pub generation: u64,
    pub term: u64,
    /// Of the last delta sent, and of the last one that is live.
    pub sequence_sent: u64,
    pub sequence_live: u64,
    /// Last delta: from being sent to being acknowledged.
    pub last_live_seconds: Option<f64>,
    pub last_error: Option<String>,
    /// How long it has not held what it should; `null`: it does.
    pub lag_seconds: Option<f64>,
    /// When it was last filled or brought up to date from a full read; `null`: never.
    pub last_refill: Option<RefillView>,
    /// What it should do and has no way to.
    pub lacks: Vec<String>,
    /// How often it was found changed behind the manager's back.
    pub drifts: u64,
    /// The last time; `null`: never.
    pub last_drift: Option<DriftView>,
}

/// A full read of a switch that was followed by changes.
#[derive(Debug, Serialize)]
pub struct RefillView {
    pub age_seconds: f64,
    pub changes: u64,
}

/// What was found changed behind the manager's back.
#[derive(Debug, Serialize)]
pub struct DriftView {
    /// Since it was noticed.
    pub age_seconds: f64,
    pub changes: u64,
    /// The first few of them.
    pub what: String,
    /// The switch holds again what it should.
    pub mended: bool,
}

/// One class of clients.
#[derive(Debug, Serialize)]
pub struct ClassView {
    pub name: String,
    /// Prefixes; empty: any source.
    pub sources: Vec<String>,
    /// Empty: any.
    pub dscp: Vec<u32>,
    /// New connections let in.
    pub admitted: u64,
    /// New connections refused.
    pub refused: u64,
}

impl From<v1::ServiceView> for ServiceView {
    fn from(view: v1::ServiceView) -> Self {
        let service = view.service.unwrap_or_default();
        Self {
            protocol: match service.protocol() {
                v1::Protocol::Tcp => "tcp",
                v1::Protocol::Udp => "udp",
                v1::Protocol::TcpAndUdp => "tcp+udp",
                v1::Protocol::Unspecified => "",
            },
            mode: match service.mode() {
                v1::Mode::L2 => "l2",
                v1::Mode::Nat => "nat",
                v1::Mode::Ipip => "ipip",
                v1::Mode::Gue => "gue",
                v1::Mode::Unspecified => "",
            },
            affinity: match service.affinity() {
                v1::Affinity::Flow | v1::Affinity::Unspecified => "flow",
                v1::Affinity::Client => "client",
            },
            udp: match service.udp() {
                v1::Udp::Stateless | v1::Udp::Unspecified => "stateless",
                v1::Udp::Tracked => "tracked",
                v1::Udp::Quic => "quic",
            },
            udp_idle_seconds: service.udp_idle,
            server_id_bytes: service.server_id_bytes,
            answers_echo: service.echo,
            name: service.name,
            address: service.address,
            ring_size: service.ring_size,
            backends_active: view.backends_active,
            backends_total: view.backends_total,
            moving: view.moving,
            policies: view.policies.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<v1::Policy> for PolicyView {
    fn from(policy: v1::Policy) -> Self {
        Self {
            verdict: match policy.verdict() {
                v1::Verdict::Reset | v1::Verdict::Unspecified => "reset",
                v1::Verdict::Silent => "silent",
            },
            by: match policy.scope() {
                v1::Scope::Flow | v1::Scope::Unspecified => "flow",
                v1::Scope::Client => "client",
            },
            refuse_percent: f64::from(policy.refuse_ppm) / 10_000.0,
            class: policy.class,
        }
    }
}

impl From<v1::BackendView> for BackendView {
    fn from(view: v1::BackendView) -> Self {
        let left = |nanos| (nanos > 0).then(|| seconds(nanos));
        Self {
            service: view.service,
            address: view.backend,
            weight: view.weight,
            effective_weight: view.effective_weight,
            load: view.load,
            hold_left_seconds: left(view.hold_left_nanos),
            reason: optional(view.reason),
            since_seconds: seconds(view.since_nanos),
            agent: optional(view.agent),
            connections: view.connections,
            removable: view.removable,
            deadline_left_seconds: left(view.deadline_left_nanos),
            unreachable: optional(view.unreachable),
            state: view.state,
            server_id: optional(view.server_id),
        }
    }
}

impl From<v1::SwitchView> for SwitchView {
    fn from(view: v1::SwitchView) -> Self {
        let answered = view.last_live_nanos > 0;
        Self {
            name: view.name,
            connected: view.connected,
            description: view.description,
            generation: view.generation,
            term: view.term,
            sequence_sent: view.sequence_sent,
            sequence_live: view.sequence_live,
            last_live_seconds: answered.then(|| seconds(view.last_live_nanos)),
            last_error: optional(view.last_error),
            lag_seconds: view.lag_nanos.map(seconds),
            last_refill: view
                .refill_age_nanos
                .map(|age| RefillView { age_seconds: seconds(age), changes: view.refill_changes }),
            lacks: view.lacks,
            drifts: view.drifts,
            last_drift: view.drift.map(|drift| DriftView {
                age_seconds: seconds(drift.age_nanos),
                changes: drift.changes,
                what: drift.what,
                mended: drift.mended,
            }),
        }
    }
}

impl From<v1::ClassView> for ClassView {
    fn from(view: v1::ClassView) -> Self {
        let class = view.class.unwrap_or_default();
        Self {
            name: class.name,
            sources: class.sources,
            dscp: class.dscp,
            admitted: view.admitted,
            refused: view.refused,
        }
    }
}
