//! What was found on a host: plain data, so that every judgement is a function
//! of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::SystemTime,
};

use lb_common::abi::Reason;

use crate::{
    decap::survey::Survey as DecapSurvey,
    edge::survey::{Survey, Way},
    model::{Name, ServiceSpec, Share},
    xdp::interfaces::Place,
};

/// What was found, or why it could not be looked at.
pub(super) type Known<T> = Result<T, String>;

/// Everything.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub host: Host,
    pub links: Known<Vec<Link>>,
    pub addresses: Known<Vec<Address>>,
    pub sysctls: Sysctls,
    /// Of each VIP, whether the kernel takes packets to it for its own.
    pub local: BTreeMap<IpAddr, Known<bool>>,
    /// From an address of a server, the way back to a client that is anywhere.
    pub back: BTreeMap<IpAddr, Known<Option<Back>>>,
    /// Where there is an edge.
    pub edge: Option<EdgeFacts>,
    /// Where there is a server.
    pub server: Option<ServerFacts>,
    pub manager: Option<Known<Manager>>,
    /// Where there is TLS.
    pub certificates: Option<Known<Vec<Certificate>>>,
    pub now: SystemTime,
}

/// This process and its kernel.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub missing_capabilities: Vec<&'static str>,
    /// This executable has the XDP programs in it.
    pub has_programs: bool,
    /// As `uname -r` has it.
    pub release: String,
    pub new_enough: Known<bool>,
    /// The kernel tells its types.
    pub btf: bool,
    /// `net.core.bpf_jit_enable`, which only the first network namespace has.
    pub jit: Option<i64>,
    /// Types of maps and programs that the kernel was built without.
    pub lacks: Known<Vec<String>>,
    /// CPUs that run.
    pub cpus: u32,
    /// Packets that the reverse-path filter has dropped since boot.
    pub reverse_path_drops: Option<u64>,
}

/// An interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub index: u32,
    pub name: String,
    /// Of one that is no hardware: `veth`, `vlan`, `bond`.
    pub kind: Option<String>,
    pub driver: Option<String>,
    pub up: bool,
    pub carrier: bool,
    pub mac: Option<[u8; 6]>,
    /// Longest IP packet that it takes.
    pub mtu: u32,
    pub program: Option<Attached>,
    /// Index of the interface below, or of a veth's other end.
    pub lower: Option<u32>,
    /// That one is in another network namespace.
    pub elsewhere: bool,
    /// Active features, by their names in the kernel (`ethtool -k` shortens some).
    pub features: Option<BTreeSet<String>>,
    pub channels: Option<Channels>,
    /// `enum netdev_xdp_act` (linux/netdev.h); Linux 6.3 and newer tell.
    pub xdp: Option<u64>,
    /// Of a veth, whether its other end carries an XDP program.
    pub peer_program: Option<bool>,
}

/// An XDP program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    pub id: u32,
    pub place: Place,
    pub name: Option<String>,
    /// Id of the BPF link that holds it there, if one does.
    pub link: Option<u32>,
}

/// Receive queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channels {
    pub now: u32,
    pub most: u32,
    /// They are changed as `combined`, not as `rx`.
    pub combined: bool,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub link: u32,
    pub ip: IpAddr,
    pub prefix_len: u8,
}

/// Kernel parameters by their path below /proc/sys/net, such as
/// `ipv4/conf/eth0/rp_filter`.
#[derive(Clone, Debug, Default)]
pub(super) struct Sysctls(pub BTreeMap<String, i64>);

/// A way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Back {
    pub ifindex: u32,
    pub gateway: Option<IpAddr>,
}

/// What there is of an edge.
#[derive(Clone, Debug)]
pub(super) struct EdgeFacts {
    pub bpffs: Known<bool>,
    pub survey: Known<Option<Survey>>,
    /// The counters again, a second or so later.
    pub later: Vec<(Reason, u64)>,
    pub ways: Known<Vec<(IpAddr, Way)>>,
    pub claims: Known<Vec<Claim>>,
}

/// Somebody answered a question for the Ethernet address of a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub vip: IpAddr,
    pub ifindex: u32,
    pub mac: [u8; 6],
}

/// What there is of a server.
#[derive(Clone, Debug)]
pub(super) struct ServerFacts {
    /// Of the decapsulating program's pins.
    pub bpffs: Known<bool>,
    pub decap: Known<Option<DecapSurvey>>,
    pub listeners: Known<Vec<Listener>>,
    /// What the agent's own check says now, by bind.
    pub health: Vec<Result<(), String>>,
}

/// A socket that waits for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub udp: bool,
    pub address: SocketAddr,
}

/// What the manager says.
#[derive(Clone, Debug, Default)]
pub(super) struct Manager {
    pub learning: bool,
    pub alarms: Vec<String>,
    pub services: Vec<Served>,
    pub backends: Vec<Backend>,
    pub switches: Vec<Switch>,
}

/// A service, as the manager has it.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub spec: ServiceSpec,
    /// The share of new connections that each class is refused.
    pub refused: Vec<(Name, Share)>,
}

/// A backend, as the manager has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Backend {
    pub service: String,
    pub address: String,
    pub weight: u32,
    pub state: String,
    pub reason: String,
}

/// An edge, as the manager has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Switch {
    pub name: String,
    pub connected: bool,
    pub error: String,
}

/// A certificate that a connection shows or wants.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub path: PathBuf,
    pub expires: SystemTime,
}

impl Facts {
    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.as_ref().ok()?.iter().find(|link| link.name == name)
    }

    pub(super) fn link_at(&self, index: u32) -> Option<&Link> {
        self.links.as_ref().ok()?.iter().find(|link| link.index == index)
    }

    /// For people.
    pub(super) fn link_name(&self, index: u32) -> String {
        self.link_at(index).map_or_else(|| format!("#{index}"), |link| link.name.clone())
    }

    /// Interfaces that have this address.
    pub(super) fn links_of(&self, ip: IpAddr) -> impl Iterator<Item = &Link> {
        let addresses = self.addresses.as_deref().unwrap_or_default().iter();
        let those = addresses.filter(move |address| address.ip == ip);
        those.filter_map(|address| self.link_at(address.link))
    }

    /// The services that packets of this edge, or of the site, belong to: what
    /// is live, else what the manager has.
    pub(super) fn services(&self) -> Vec<ServiceSpec> {
        let tables = self.tables().map(|tables| tables.services.clone());
        let told = || match &self.manager {
            Some(Ok(manager)) => manager.services.iter().map(|s| s.spec.clone()).collect(),
            _ => Vec::new(),
        };
        tables.filter(|services| !services.is_empty()).unwrap_or_else(told)
    }

    /// What packets see on this edge.
    pub(super) fn tables(&self) -> Option<&crate::edge::survey::Tables> {
        self.edge.as_ref()?.survey.as_ref().ok()?.as_ref()?.tables.as_ref()
    }
}

impl Link {
    pub(super) fn has(&self, feature: &str) -> bool {
        self.features.as_ref().is_some_and(|features| features.contains(feature))
    }

    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    /// Driver or kind, for people.
    pub(super) fn driver_name(&self) -> &str {
        self.driver.as_deref().or(self.kind.as_deref()).unwrap_or("unknown")
    }
}

impl Sysctls {
    pub(super) fn get(&self, path: &str) -> Option<i64> {
        self.0.get(path).copied()
    }

    /// A parameter of IPv4 of which the larger counts, of the interface's value
    /// and that of `all`.
    pub(super) fn larger(&self, interface: &str, key: &str) -> Option<i64> {
        let of = |name: &str| self.get(&format!("ipv4/conf/{name}/{key}"));
        of("all").into_iter().chain(of(interface)).max()
    }
}

/// The command that sets a kernel parameter, by its path below /proc/sys/net.
/// Names with dots are written with slashes, as sysctl(8) wants them.
pub(super) fn set_sysctl(path: &str, value: i64) -> String {
    if path.contains('.') {
        format!("sysctl -w net/{path}={value}")
    } else {
        format!("sysctl -w net.{}={value}", path.replace('/', "."))
    }
}

/// `02:00:00:00:00:01`
pub(super) fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
