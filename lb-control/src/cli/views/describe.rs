//! `sluice describe`: one document of these.

use serde::Serialize;

use super::{
    BackendCountView, BackendView, CountersView, EventView, ServiceView, SwitchView, seconds,
};
use crate::proto::v1;

/// One backend in one service.
#[derive(Debug, Serialize)]
pub struct BackendDescription {
    #[serde(flatten)]
    pub backend: BackendView,
    /// Who has it: `agent`, `command` or `file`; `nobody` where it was found on a
    /// switch, is removed, or its agent is gone.
    pub source: String,
    /// The agent that vouches for it, while it is connected.
    pub agent_session: Option<AgentView>,
    /// The agent's check; `null` before its first word.
    pub check: Option<WordView>,
    pub application: Option<ApplicationView>,
    /// The first of the probes; `null` where nobody probes it.
    pub probe: Option<ProbeView>,
    /// The DFP agent that may speak of it.
    pub dfp: Option<DfpView>,
    /// The manager's probe, or those of edges.
    pub probes: Vec<ProbeView>,
    pub switches: Vec<HeldView>,
    /// The last ones, oldest first.
    pub events: Vec<EventView>,
}

/// An agent's session.
#[derive(Debug, Serialize)]
pub struct AgentView {
    pub name: String,
    /// Since its last heartbeat.
    pub heard_seconds: f64,
    /// It is lost after this silence.
    pub timeout_seconds: f64,
    /// Bindings that it asks for.
    pub binds: u32,
    pub leaving: bool,
}

/// What a check or a probe says.
#[derive(Debug, Serialize)]
pub struct WordView {
    pub healthy: bool,
    /// Why not.
    pub cause: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ApplicationView {
    /// `ready`, `drain`, `leave` or `failed`.
    pub word: String,
    pub cause: Option<String>,
    /// That it asks for; `null`: that of its bind.
    pub weight: Option<u32>,
    pub weight_percent: u32,
}

#[derive(Debug, Serialize)]
pub struct ProbeView {
    /// What is asked for a connection.
    pub address: String,
    /// `null` before the first.
    pub last: Option<WordView>,
    /// Outcomes in a row that were like the last one.
    pub run: u32,
    /// The edge that probes; `null`: the manager.
    pub switch: Option<String>,
    /// `backend`, its own address; or the mode of its service, as packets of
    /// clients go through it.
    pub way: String,
}

/// A DFP agent on a server.
#[derive(Debug, Serialize)]
pub struct DfpView {
    pub name: String,
    pub address: String,
    /// `notOpen`, `trying`, `connecting`, `open`, `failed` or `securityError`.
    pub state: String,
    /// How long it has been in this state.
    pub since_seconds: f64,
    /// Why it is not open.
    pub reason: Option<String>,
    /// What the backend weighs by its word, or for want of it; `null`: what it would
    /// without.
    pub weight: Option<u32>,
}

/// What one switch holds of a backend.
#[derive(Debug, Serialize)]
pub struct HeldView {
    pub switch: String,
    pub connected: bool,
    /// It holds what it should.
    pub in_step: bool,
    /// `serve`, `drain` or `break`; `null`: it does not hold it.
    pub phase: Option<&'static str>,
    pub weight: Option<u32>,
    /// What brought it; `null` where it is not live, was there before, or is too
    /// long ago to be known.
    pub live: Option<LiveView>,
    /// As last reported.
    pub counters: Option<BackendCountView>,
}

#[derive(Debug, Serialize)]
pub struct LiveView {
    pub term: u64,
    pub sequence: u64,
    pub generation: u64,
    /// Since then.
    pub since_seconds: f64,
    /// From the delta's being sent; `null` where the switch had it already.
    pub live_after_seconds: Option<f64>,
}

/// One service.
#[derive(Debug, Serialize)]
pub struct ServiceDescription {
    #[serde(flatten)]
    pub service: ServiceView,
    pub backends: Vec<BackendView>,
    /// Sums over all switches, of this service alone.
    pub counters: CountersView,
    /// What needs attention.
    pub alarms: Vec<String>,
    /// The last ones, oldest first.
    pub events: Vec<EventView>,
}

/// One switch.
#[derive(Debug, Serialize)]
pub struct SwitchDescription {
    #[serde(flatten)]
    pub switch: SwitchView,
    pub counters: CountersView,
    /// What needs attention.
    pub alarms: Vec<String>,
    /// The last ones, oldest first.
    pub events: Vec<EventView>,
}

impl BackendDescription {
    pub fn new(description: v1::BackendDescription, events: Vec<EventView>) -> Self {
        Self {
            backend: description.view.unwrap_or_default().into(),
            source: description.source,
            agent_session: description.agent.map(Into::into),
            check: description.check.map(Into::into),
            application: description.application.map(Into::into),
            probe: description.probe.map(Into::into),
            dfp: description.dfp.map(Into::into),
            probes: description.probes.into_iter().map(Into::into).collect(),
            switches: description.held.into_iter().map(Into::into).collect(),
            events,
        }
    }
}

impl From<v1::AgentView> for AgentView {
    fn from(view: v1::AgentView) -> Self {
        Self {
            name: view.name,
            heard_seconds: seconds(view.heard_nanos),
            timeout_seconds: seconds(view.timeout_nanos),
            binds: view.binds,
            leaving: view.leaving,
        }
    }
}

impl From<v1::HealthWord> for WordView {
    fn from(word: v1::HealthWord) -> Self {
        Self { healthy: word.healthy, cause: super::optional(word.cause) }
    }
}

impl From<v1::ApplicationView> for ApplicationView {
    fn from(view: v1::ApplicationView) -> Self {
        Self {
            word: view.word,
            cause: super::optional(view.cause),
            weight: view.weight,
            weight_percent: view.weight_percent,
        }
    }
}

impl From<v1::ProbeView> for ProbeView {
    fn from(view: v1::ProbeView) -> Self {
        Self {
            address: view.address,
            last: view.last.map(Into::into),
            run: view.run,
            switch: super::optional(view.switch_name),
            way: view.way,
        }
    }
}

impl From<v1::DfpView> for DfpView {
    fn from(view: v1::DfpView) -> Self {
        Self {
            name: view.name,
            address: view.address,
            state: view.state,
            since_seconds: seconds(view.since_nanos),
            reason: super::optional(view.reason),
            weight: view.weight,
        }
    }
}

impl From<v1::HeldView> for HeldView {
    fn from(view: v1::HeldView) -> Self {
        let phase = view.binding.as_ref().map(|binding| match binding.phase() {
            v1::Phase::Serve | v1::Phase::Unspecified => "serve",
            v1::Phase::Drain => "drain",
            v1::Phase::Break => "break",
        });
        Self {
            switch: view.switch_name,
            connected: view.connected,
            in_step: view.in_step,
            phase,
            weight: view.binding.map(|binding| binding.weight),
            live: view.live.map(Into::into),
            counters: view.counts.map(Into::into),
        }
    }
}

impl From<v1::LiveView> for LiveView {
    fn from(view: v1::LiveView) -> Self {
        Self {
            term: view.term,
            sequence: view.sequence,
            generation: view.generation,
            since_seconds: seconds(view.age_nanos),
            live_after_seconds: view.after_nanos.map(seconds),
        }
    }
}
