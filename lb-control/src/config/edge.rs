//! The XDP edge.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::duration;
use crate::model::{Name, Prefix};

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
pub(super) fn tunnel_sources() -> Vec<Prefix> {
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
