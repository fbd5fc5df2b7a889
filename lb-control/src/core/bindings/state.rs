//! How a binding can stand, and what follows from that alone.

use std::time::Duration;

use crate::model::{Binding, Phase};

/// How a binding stands. What the switches hold follows from it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) enum State {
    /// Vouched for, not verified yet: not on the switches.
    Pending,
    /// Serving.
    Active,
    /// Well, but without new connections for now: its application wants none,
    /// or it flaps. It keeps those that it has for as long as they like.
    Paused,
    /// Keeps its connections until they end or the moment comes.
    Draining { until: Duration },
    /// Its backend is not well, or whoever vouched for it is gone.
    Down(Stage),
    /// A removed binding whose connections are being reset.
    Broken { until: Duration },
    /// Found on a switch: left as it is until someone vouches for it.
    Unknown(Binding),
}

/// What happens to the connections of a binding that is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) enum Stage {
    /// They go on: it may come back.
    Grace { until: Duration },
    /// They are reset.
    Breaking { until: Duration },
    /// There are none: it is off the switches.
    Off,
}

impl State {
    /// What people and agents see.
    pub(in crate::core) fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Paused | Self::Draining { .. } => "draining",
            Self::Down(_) => "down",
            Self::Broken { .. } => "broken",
            Self::Unknown(_) => "unknown",
        }
    }

    pub(in crate::core) fn phase(&self) -> Option<Phase> {
        match self {
            Self::Pending | Self::Down(Stage::Off) => None,
            Self::Active => Some(Phase::Serve),
            Self::Paused | Self::Draining { .. } | Self::Down(Stage::Grace { .. }) => {
                Some(Phase::Drain)
            }
            Self::Down(Stage::Breaking { .. }) | Self::Broken { .. } => Some(Phase::Break),
            Self::Unknown(found) => Some(found.phase),
        }
    }

    /// Whether its connections are reset.
    pub(in crate::core) fn is_breaking(&self) -> bool {
        matches!(self, Self::Down(Stage::Breaking { .. }) | Self::Broken { .. })
    }

    /// When the state ends by itself.
    pub(super) fn until(&self) -> Option<Duration> {
        match self {
            Self::Draining { until }
            | Self::Broken { until }
            | Self::Down(Stage::Grace { until } | Stage::Breaking { until }) => Some(*until),
            Self::Pending
            | Self::Active
            | Self::Paused
            | Self::Down(Stage::Off)
            | Self::Unknown(_) => None,
        }
    }

    /// The kind of event that entering it is; None where nobody would care.
    pub(super) fn event(&self) -> Option<&'static str> {
        match self {
            Self::Pending => Some("binding.pending"),
            Self::Active => Some("binding.active"),
            Self::Paused => Some("binding.paused"),
            Self::Draining { .. } => Some("binding.draining"),
            Self::Down(Stage::Grace { .. }) => Some("binding.down"),
            Self::Down(Stage::Breaking { .. }) | Self::Broken { .. } => Some("binding.broken"),
            Self::Down(Stage::Off) => None,
            Self::Unknown(_) => Some("binding.unknown"),
        }
    }
}
