//! What the core asks of its surroundings.

use std::{net::SocketAddr, time::Duration};

use super::{Alteration, Intent, RequestId, SessionId};
use crate::{
    config::HealthSettings,
    model::{Name, ProbeId, Stamp, ToAgent, ToSwitch},
};

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    ToAgent {
        session: SessionId,
        message: ToAgent,
    },
    ToSwitch {
        session: SessionId,
        message: ToSwitch,
    },
    /// End a session; `reason` is for the peer.
    Close {
        session: SessionId,
        reason: String,
    },
    /// Connect to an address until told to stop, and report each outcome.
    StartProbe {
        probe: ProbeId,
        backend: SocketAddr,
        health: HealthSettings,
    },
    StopProbe {
        probe: ProbeId,
    },
    Reply {
        request: RequestId,
        reply: Result<Done, Refusal>,
    },
    Publish(Event),
    /// Save the intent and report back under this number. A later number
    /// makes an earlier one unnecessary.
    Save {
        number: u64,
        intent: Box<Intent>,
    },
}

/// Something that an operator may want to know of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Counts events from the manager's start, from 1. The core gives it.
    pub sequence: u64,
    /// The event that this one follows from, where one does. The core finds it.
    pub cause: Option<u64>,
    /// Dotted: `binding.active`, `agent.lost`, `switch.refilled`, ...
    pub kind: &'static str,
    pub service: Option<Name>,
    pub backend: Option<SocketAddr>,
    pub switch: Option<Name>,
    /// For people.
    pub message: String,
    /// Of `delta.live` and `switch.refused`.
    pub delta: Option<Carried>,
}

/// A delta's outcome, and what it was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    pub stamp: Stamp,
    /// It carried what the events after the first of these numbers decided, up
    /// to the second.
    pub events: (u64, u64),
    /// From being sent to being acknowledged; None: it was refused.
    pub live_after: Option<Duration>,
}

/// A command that was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What was done, for people.
    pub message: String,
    /// Every switch that the manager knows.
    pub switches: Vec<SwitchOutcome>,
    /// What a declaration changed, or would change.
    pub alterations: Vec<Alteration>,
}

/// What became of a command on one switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchOutcome {
    pub name: Name,
    /// From the decision to the acknowledgement, or why it is not live.
    pub live: Result<Duration, String>,
}

/// A command that was not carried out: nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub kind: RefusalKind,
    /// What is wrong and what to do.
    pub message: String,
}

/// What a program may tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The service, class or backend does not exist.
    NotFound,
    /// It is there already.
    Exists,
    /// It does not fit the present state.
    Precondition,
    /// It does not fit the service.
    Invalid,
    /// Whoever asks may not.
    Denied,
}
