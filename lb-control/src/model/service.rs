//! Services.

use std::fmt;

use lb_common::abi;
use serde::{Deserialize, Serialize};

use super::{Name, Vip};

/// How a service's packets reach its backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// MAC rewrite, direct server return: the servers own the VIP.
    L2,
    /// Address and port rewrite both ways: the edge is the servers' gateway.
    Nat,
    /// In an IP packet, direct server return: the servers own the VIP.
    Ipip,
    /// In UDP, direct server return: the servers own the VIP.
    Gue,
}

impl Mode {
    /// Whether address and port of the packet stay as they are.
    pub fn keeps_address(self) -> bool {
        self != Self::Nat
    }

    /// Whether the packet travels in another one.
    pub fn is_tunnel(self) -> bool {
        matches!(self, Self::Ipip | Self::Gue)
    }

    /// Its name, as commands and files have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Nat => "nat",
            Self::Ipip => "ipip",
            Self::Gue => "gue",
        }
    }
}

/// What a service takes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    #[serde(rename = "tcp+udp")]
    TcpAndUdp,
}

impl Protocol {
    /// The numbers in the IP header.
    pub const fn numbers(self) -> &'static [u8] {
        match self {
            Self::Tcp => &[6],
            Self::Udp => &[17],
            Self::TcpAndUdp => &[6, 17],
        }
    }

    /// Whether a packet can be both's.
    pub fn overlaps(self, other: Self) -> bool {
        self == other || self == Self::TcpAndUdp || other == Self::TcpAndUdp
    }

    pub fn has_tcp(self) -> bool {
        self != Self::Udp
    }

    pub fn has_udp(self) -> bool {
        self != Self::Tcp
    }

    /// Its name, as commands and files have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::TcpAndUdp => "tcp+udp",
        }
    }
}

/// What stays together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Affinity {
    /// The packets of a connection.
    #[default]
    Flow,
    /// All connections of a client's address.
    Client,
}

impl Affinity {
    /// Its name, as commands and files have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Client => "client",
        }
    }
}

/// What UDP packets are to a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Udp {
    /// Each for itself: when the backends change, some flows move.
    #[default]
    Stateless,
    /// Of flows that stay with their backend while they speak.
    Tracked,
    /// Of QUIC connections, which begin with an Initial.
    Quic,
}

impl Udp {
    /// Its name, as commands and files have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stateless => "stateless",
            Self::Tracked => "tracked",
            Self::Quic => "quic",
        }
    }
}

macro_rules! display_name {
    ($($type:ty),+) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    )+};
}

display_name!(Mode, Protocol, Affinity, Udp);

/// A virtual server, as every switch is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    pub name: Name,
    pub address: Vip,
    pub protocol: Protocol,
    pub mode: Mode,
    /// Slots of the ring.
    pub ring_size: u32,
    #[serde(default)]
    pub affinity: Affinity,
    #[serde(default)]
    pub udp: Udp,
    /// Seconds of silence after which a UDP flow or QUIC connection is over.
    #[serde(default = "ServiceSpec::default_udp_idle")]
    pub udp_idle: u32,
    /// Bytes of the server ids in QUIC connection ids; 0: they name nobody.
    #[serde(default)]
    pub server_id_bytes: u8,
    /// Whether echo requests to the address are answered, and not passed to
    /// the edge's own kernel.
    #[serde(default)]
    pub echo: bool,
    /// An edge without a manager probes its backends by the way that clients'
    /// packets take; else at the backends' own addresses.
    #[serde(default)]
    pub probe_path: bool,
}

impl ServiceSpec {
    /// Seconds of silence that end a UDP flow, where nothing else is said: RFC
    /// 4787 section 4.3 (REQ-5) asks for two minutes at least.
    pub const UDP_IDLE: u32 = 120;

    /// A service of one address and port over TCP, all else as by default.
    pub fn tcp(name: Name, address: impl Into<Vip>, mode: Mode) -> Self {
        Self {
            name,
            address: address.into(),
            protocol: Protocol::Tcp,
            mode,
            ring_size: abi::DEFAULT_RING,
            affinity: Affinity::default(),
            udp: Udp::default(),
            udp_idle: Self::UDP_IDLE,
            server_id_bytes: 0,
            echo: false,
            probe_path: false,
        }
    }

    fn default_udp_idle() -> u32 {
        Self::UDP_IDLE
    }

    /// Whether some of its connections are at risk when the owner of a slot
    /// changes: others are remembered all the time, or by nobody.
    pub fn settles(&self) -> bool {
        self.protocol != Protocol::Udp || self.udp == Udp::Quic
    }
}
