//! Services.

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};

use super::Name;

/// How a service's packets reach its backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// MAC rewrite, direct server return: the servers own the VIP.
    L2,
    /// Address and port rewrite both ways: the edge is the servers' gateway.
    Nat,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::L2 => "l2",
            Self::Nat => "nat",
        })
    }
}

/// IP protocol of a service.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Tcp,
}

impl Protocol {
    /// The number in the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
        })
    }
}

/// A virtual server, as every switch is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    pub name: Name,
    /// VIP and port.
    pub address: SocketAddr,
    pub protocol: Protocol,
    pub mode: Mode,
    /// Slots of the ring.
    pub ring_size: u32,
}
