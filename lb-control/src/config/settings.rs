//! What can be set. Every field's doc comment says what it does, its unit and
//! its default.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    AgentPoll, AllowSettings, FlapDamping, LimitSettings, NotifySettings, SlowStart,
    SwitchSettings, duration,
};
use crate::model::{
    Affinity, Mode, Name, Prefix, Protocol, Scope, ServerId, ServiceSpec, Udp, Verdict, Vip, Weight,
};

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Read by `sluice run` and `sluice manager`.
    #[serde(default)]
    pub manager: ManagerSettings,
    /// Read by `sluice run` and `sluice edge`.
    pub edge: Option<EdgeSettings>,
    /// Read by `sluice agent`.
    pub agent: Option<AgentSettings>,
    /// Certificates for what travels over the network.
    pub tls: Option<TlsSettings>,
    /// Virtual servers.
    #[serde(default, rename = "service")]
    pub services: Vec<ServiceSettings>,
    /// External L4 switches. Read by `sluice run` and `sluice manager`.
    #[serde(default, rename = "switch")]
    pub switches: Vec<SwitchSettings>,
    /// Groups of clients, in the order in which they are tried.
    #[serde(default, rename = "class")]
    pub classes: Vec<ClassSettings>,
}

/// `[manager]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ManagerSettings {
    /// Where agents, edges and remote command lines connect. Default
    /// `127.0.0.1:7400`. An address other than loopback needs `[tls]`, or
    /// `insecure = true`.
    pub listen: SocketAddr,
    /// Accept plain connections from other hosts. Anybody who can reach the
    /// port can then change the configuration. Default false.
    pub insecure: bool,
    /// Where monitors ask for `/metrics`, `/healthz` and `/readyz`, over plain
    /// HTTP and whoever they are: they see names, addresses and counts, and
    /// change nothing. Default: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Unix socket of the local command line. Default `/run/sluice/sluice.sock`.
    pub socket: PathBuf,
    /// Where the operator's commands are kept. Default `/var/lib/sluice/intent.json`.
    pub intent: PathBuf,
    /// How long a started manager listens before it removes what nobody
    /// vouches for. Default 5 s.
    #[serde(with = "duration")]
    pub learning: Duration,
    /// Heartbeats an agent may miss: it is lost after `interval` times this of
    /// silence. Default 4.
    pub missed_heartbeats: u32,
    /// A service of which this share, in percent, is lost within
    /// `freeze_window` keeps what it has, until enough is back or
    /// `sluice thaw`; 0: none does. Default 50.
    pub freeze_percent: f64,
    /// Default 5 s.
    #[serde(with = "duration")]
    pub freeze_window: Duration,
    /// How long a lost backend's connections go on before they are broken. Default 30 s.
    #[serde(with = "duration")]
    pub down_grace: Duration,
    /// How long a graceful removal lets connections go on, where the command
    /// does not say. Default 60 s.
    #[serde(with = "duration")]
    pub drain_deadline: Duration,
    /// How long a broken binding stays on the switches, so that its clients
    /// learn by RST. Default 60 s.
    #[serde(with = "duration")]
    pub break_linger: Duration,
    /// Backends that are lost over and over.
    pub flap_damping: FlapDamping,
    /// Events kept for `sluice events`. Default 10000.
    pub keep_events: usize,
    /// Who may do what over the network, with `[tls]`. Default: nobody
    /// anything. The unix socket is for whom its file permissions let in.
    pub allow: Vec<AllowSettings>,
    /// How much each peer may ask for.
    pub limits: LimitSettings,
}

impl Default for ManagerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
            insecure: false,
            metrics: None,
            socket: "/run/sluice/sluice.sock".into(),
            intent: "/var/lib/sluice/intent.json".into(),
            learning: Duration::from_secs(5),
            missed_heartbeats: 4,
            freeze_percent: 50.0,
            freeze_window: Duration::from_secs(5),
            down_grace: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(60),
            break_linger: Duration::from_secs(60),
            flap_damping: FlapDamping::default(),
            keep_events: 10_000,
            allow: Vec::new(),
            limits: LimitSettings::default(),
        }
    }
}

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// Native where the driver has it, else generic; the choice is reported.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the network stack: slower, works with every driver.
    Generic,
}

/// `[edge]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSettings {
    /// Name among switches. Default `edge`.
    #[serde(default = "edge_name")]
    pub name: Name,
    /// Interfaces that the program is attached to.
    pub interfaces: Vec<String>,
    /// Default `auto`.
    #[serde(default)]
    pub xdp: XdpMode,
    /// Manager to connect to, `HOST:PORT`; read by `sluice edge` only.
    pub manager: Option<String>,
    /// Where monitors ask this edge for `/metrics`, `/healthz` and `/readyz`, over
    /// plain HTTP and whoever they are. Default: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Directory in a bpffs, where program and maps outlive this process.
    /// Default `/sys/fs/bpf/sluice`.
    #[serde(default = "pin_dir")]
    pub pin: PathBuf,
    /// File with the flow hash's secret, 32 hex digits, the same on all edges
    /// of a site; made when it is missing. Default `/var/lib/sluice/flow.key`.
    #[serde(default = "flow_key")]
    pub flow_key: PathBuf,
    /// Flows that can be remembered while services are moving. Default 262144.
    #[serde(default = "flows")]
    pub flows: u32,
    /// Flows that can be remembered by their SYN alone. Default 262144.
    #[serde(default = "syn_flows")]
    pub syn_flows: u32,
    /// UDP flows that services with `udp = "tracked"` have. Default 262144.
    #[serde(default = "udp_flows")]
    pub udp_flows: u32,
    /// Sources of tunnelled packets, one prefix for each family at most: the
    /// bits after the prefix vary with the flow. An IPv6 prefix has 96 bits at
    /// most. Default `["198.18.0.0/15", "100::/96"]`.
    #[serde(default = "tunnel_sources")]
    pub tunnel_sources: Vec<Prefix>,
    /// ICMP errors that each CPU may send in a second. Default 1000.
    #[serde(default = "icmp_answers")]
    pub icmp_answers: u32,
    /// Ring slots for all services together, of which each needs three times
    /// its ring. Default 4194432.
    #[serde(default = "ring_pool")]
    pub ring_pool: u32,
    /// How long a connection may be silent and still be kept through a change.
    /// Default 7440 s (RFC 5382 section 5, REQ-5: not less than 2 h 4 min).
    #[serde(default = "idle", with = "duration")]
    pub idle: Duration,
    /// Whether connections are kept through changes. Without it those on slots
    /// that a change moves go to their new owner at once, which does not know
    /// them, as with balancers that keep no table: for comparison. Default true.
    #[serde(default = "tracking")]
    pub tracking: bool,
    /// How often the admission decision is drawn anew for the same flow or
    /// client. Default 300 s.
    #[serde(default = "epoch", with = "duration")]
    pub admission_epoch: Duration,
    /// How often what the kernel has is compared with what this edge has put
    /// there, and put right; 0: never. Default 10 s.
    #[serde(default = "verify", with = "duration")]
    pub verify: Duration,
}

fn edge_name() -> Name {
    "edge".parse().expect("a valid name")
}
fn pin_dir() -> PathBuf {
    "/sys/fs/bpf/sluice".into()
}
fn flow_key() -> PathBuf {
    "/var/lib/sluice/flow.key".into()
}
fn flows() -> u32 {
    lb_common::abi::DEFAULT_FLOWS
}
fn syn_flows() -> u32 {
    lb_common::abi::DEFAULT_SYN_FLOWS
}
fn udp_flows() -> u32 {
    lb_common::abi::DEFAULT_UDP_FLOWS
}
fn tunnel_sources() -> Vec<Prefix> {
    ["198.18.0.0/15", "100::/96"].map(|prefix| prefix.parse().expect("a prefix")).to_vec()
}
fn icmp_answers() -> u32 {
    lb_common::abi::DEFAULT_ANSWERS
}
fn ring_pool() -> u32 {
    lb_common::abi::DEFAULT_RING_POOL
}
fn idle() -> Duration {
    Duration::from_secs(7440)
}
fn tracking() -> bool {
    true
}
fn epoch() -> Duration {
    Duration::from_secs(300)
}
fn verify() -> Duration {
    Duration::from_secs(10)
}

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

fn weight() -> Weight {
    100
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

/// `[tls]`: mutual TLS. Both sides show a certificate of the same authority.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// Authority that signs the peers' certificates, PEM.
    pub ca: PathBuf,
    /// Our certificate, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Name the manager's certificate must carry; default: the host of `manager`.
    pub server_name: Option<String>,
}

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

/// How the manager probes a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeKind {
    /// A TCP connection to the backend's address.
    #[default]
    Tcp,
    /// None: an agent's word is enough. Not for backends without an agent.
    None,
}

/// `[service.health]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSettings {
    /// Default `tcp`.
    pub probe: ProbeKind,
    /// Port that is connected to. Default: the backend's.
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
            probe: ProbeKind::Tcp,
            port: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise: 1,
            fall: 3,
        }
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

/// `[[class]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSettings {
    pub name: Name,
    /// Source prefixes; none: any source.
    #[serde(default)]
    pub sources: Vec<Prefix>,
    /// DSCP values, 0 to 63; none: any.
    #[serde(default)]
    pub dscp: Vec<u8>,
}
