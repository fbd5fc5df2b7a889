//! What passes between the manager and a switch. The XDP edge in the same
//! process uses these over channels; over the network they travel as
//! `sluice.v1.Edges`.

use std::{fmt, time::Duration};

use super::{Change, Counters, Name, SwitchState};

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
}

/// A full read of what a switch holds: its first word in a session. Said again,
/// it tells what somebody else has changed: the manager undoes that by a delta.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    pub name: Name,
    /// Of the last delta that was applied when the state was read; zero on a
    /// switch that is, or has become, empty. A switch answers every delta that it
    /// has taken before it reads anew.
    pub stamp: Stamp,
    pub generation: u64,
    pub state: SwitchState,
    /// For people, such as `xdp native eth0`.
    pub description: String,
}

impl FromSwitch {
    /// The most that are told of at once.
    pub const MOST_LACKS: usize = 100;
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
    /// What it should do and has no way to, for people: all of it, whenever it is
    /// something else than before.
    Lacks(Vec<String>),
    /// It was changed behind the manager's back.
    Drifted(Drift),
}

/// What somebody else has changed on a switch that looks after itself: what it
/// holds is what it was given, or it will say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    pub changes: u64,
    /// For people: the first few of them.
    pub what: String,
    /// Everything is again as it was.
    pub repaired: bool,
}
