//! `sluice add`, `remove`, `weight` and `drop`.

use serde::Serialize;

use super::{optional, seconds};
use crate::proto::v1;

/// What became of a command.
#[derive(Debug, Serialize)]
pub struct ChangeView {
    /// What was done, for people.
    pub message: String,
    /// There is a switch, and every one has it live.
    pub live: bool,
    pub switches: Vec<OutcomeView>,
}

/// What became of a command on one switch.
#[derive(Debug, Serialize)]
pub struct OutcomeView {
    pub name: String,
    pub live: bool,
    /// From the manager's decision to the switch's acknowledgement.
    pub live_after_seconds: Option<f64>,
    /// Why it is not live.
    pub error: Option<String>,
}

impl From<v1::ChangeReply> for ChangeView {
    fn from(reply: v1::ChangeReply) -> Self {
        let switches: Vec<OutcomeView> = reply.switches.into_iter().map(Into::into).collect();
        Self {
            message: reply.message,
            live: !switches.is_empty() && switches.iter().all(|switch| switch.live),
            switches,
        }
    }
}

impl From<v1::SwitchOutcome> for OutcomeView {
    fn from(outcome: v1::SwitchOutcome) -> Self {
        Self {
            name: outcome.name,
            live: outcome.live,
            live_after_seconds: outcome.live.then(|| seconds(outcome.live_after_nanos)),
            error: optional(outcome.error),
        }
    }
}
