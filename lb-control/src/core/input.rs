//! What the core is told.

use std::{net::IpAddr, time::Duration};

use super::Declared;
use crate::model::{
    BindingKey, FromAgent, FromDfp, FromSwitch, Name, Origin, Policy, ProbeId, ServerId, Weight,
};

/// One connection of an agent or a switch, as the surroundings number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One operator's command, as the surroundings number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time passed.
    Tick,
    /// A connection is there, before its first message. One that says nothing
    /// of whom it is with has proved nothing.
    Opened {
        session: SessionId,
        origin: Origin,
    },
    /// A connection that TLS refused.
    Stranger {
        source: IpAddr,
        reason: String,
    },
    /// A session sends more than it may; the messages too many are left out.
    Excess {
        session: SessionId,
    },
    Agent {
        session: SessionId,
        message: FromAgent,
    },
    Switch {
        session: SessionId,
        message: FromSwitch,
    },
    /// A switch that the manager itself connects to is out of reach, and why.
    Unreachable {
        switch: Name,
        why: String,
    },
    /// A session's connection ended.
    Closed {
        session: SessionId,
    },
    /// A DFP agent of the settings.
    Dfp {
        agent: Name,
        message: FromDfp,
    },
    /// The outcome of one of the manager's own probes, with the cause when it failed.
    Probed {
        probe: ProbeId,
        outcome: Result<(), String>,
    },
    /// The intent of that number, and with it all before, was saved or not.
    Saved {
        number: u64,
        outcome: Result<(), String>,
    },
    Operator {
        request: RequestId,
        by: Origin,
        command: Command,
    },
}

/// What an operator can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Nothing: who asks wants to know whether he may look.
    Look,
    /// Bind a backend, or bring one back that is draining.
    Add {
        key: BindingKey,
        weight: Weight,
        server_id: Option<ServerId>,
    },
    /// Take a backend out.
    Remove {
        key: BindingKey,
        /// Break its connections now.
        force: bool,
        /// How long existing connections may go on.
        deadline: Option<Duration>,
        /// Answer only when its server can be taken away.
        wait: bool,
    },
    SetWeight {
        key: BindingKey,
        weight: Weight,
    },
    /// Let a frozen service go on: what is missing is taken down.
    Thaw {
        service: Name,
    },
    /// Refuse a share of a service's new connections.
    Drop {
        service: Name,
        /// None: every class.
        class: Option<Name>,
        policy: Policy,
    },
    /// Make the whole intent what is declared: all of it, or nothing.
    Apply {
        declared: Box<Declared>,
        /// Only say what would be done.
        dry_run: bool,
        /// Remove services that are not declared; without it they are a fault.
        prune: bool,
    },
}
