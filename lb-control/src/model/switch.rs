//! What passes between the manager and a switch. The XDP edge in the same
//! process uses these over channels; over the network they travel as
//! `sluice.v1.Edges`.

use std::{fmt, time::Duration};

use super::{Change, Counters, Name, ProbeOrders, Probed, SwitchState};

/// Orders deltas: a switch refuses what is not newer than what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Fencing number of the manager's leadership.
    pub term: u64,
    /// Grows by one with each delta of a term to one switch.
    pub sequence: u64,
}

impl fmt::Display for Stamp {
    /// `term/sequence`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.term, self.sequence)
    }
}

/// Changes that become live as one commit, or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    pub stamp: Stamp,
    pub changes: Vec<Change>,
}

/// From the manager to a switch.
#[derive(Clone, Debug, PartialEq)]
pub enum ToSwitch {
    Apply(Delta),
    /// To a switch whose hello says that it probes.
    Probe(ProbeOrders),
}

/// A switch's first word: a full read of what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    pub name: Name,
    /// Of the last delta applied; zero on an empty switch.
    pub stamp: Stamp,
    pub generation: u64,
    pub state: SwitchState,
    /// For people, such as `xdp native eth0`.
    pub description: String,
    /// It can probe backends by the way that clients' packets take.
    pub probes: bool,
}

/// From a switch to the manager.
#[derive(Clone, Debug, PartialEq)]
pub enum FromSwitch {
    /// Always first.
    Hello(Hello),
    /// The delta is live.
    Applied {
        stamp: Stamp,
        generation: u64,
        /// From receipt of the delta to the generation being live.
        live_after: Duration,
    },
    /// The delta was refused as a whole.
    Refused { stamp: Stamp, reason: String },
    /// Once a second.
    Counters(Counters),
    /// Of probes that it was asked for: what is new, and now and then what is not.
    Probed(Vec<Probed>),
}
