//! What a server says by DFP (see [`dfp`](crate::dfp)).

use std::{fmt, net::Ipv4Addr};

use super::Weight;

/// One server, as DFP knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DfpServer {
    /// 0: any.
    pub port: u16,
    /// 6: TCP, 17: UDP, 0: any.
    pub protocol: u8,
    pub address: Ipv4Addr,
}

/// How the connection to a DFP agent stands, as `slbDfpAgentState` of CISCO-SLB-MIB
/// has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DfpState {
    /// Nothing was tried yet.
    #[default]
    NotOpen = 1,
    /// It was lost, or could not be had; the next try is due soon.
    Trying = 2,
    Connecting = 3,
    Open = 4,
    /// All tries failed. It is tried on all the same.
    Failed = 5,
    /// It wants signed messages.
    SecurityError = 6,
}

impl DfpState {
    /// As the MIB writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotOpen => "notOpen",
            Self::Trying => "trying",
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::Failed => "failed",
            Self::SecurityError => "securityError",
        }
    }

    /// What it said counts no longer.
    pub const fn is_lost(self) -> bool {
        matches!(self, Self::Failed | Self::SecurityError)
    }
}

impl fmt::Display for DfpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What comes of a DFP agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromDfp {
    /// The connection stands otherwise; why, for people.
    State(DfpState, String),
    /// What some servers want. Of the others nothing is said, unless it begins `anew`:
    /// then what was said of them in an earlier connection counts no longer.
    Weights { weights: Vec<(DfpServer, Weight)>, anew: bool },
}
