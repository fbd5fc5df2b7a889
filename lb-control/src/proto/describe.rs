//! `control.proto`: what is known of one backend.

use super::{
    common::binding_to,
    v1,
    wire::{WireError, key, nanos},
};
use crate::{
    core::{AgentView, DfpView, Held, Inspection, Live, ProbeView},
    model::{Application, BindingKey},
};

impl TryFrom<v1::BackendRequest> for BindingKey {
    type Error = WireError;

    fn try_from(request: v1::BackendRequest) -> Result<Self, WireError> {
        key(&request.service, &request.backend)
    }
}

impl From<Inspection> for v1::BackendDescription {
    fn from(inspection: Inspection) -> Self {
        let Inspection { view, source, agent, check, application, probes, dfp, held } = inspection;
        let key = BindingKey { service: view.service.clone(), backend: view.backend };
        let probes: Vec<_> = probes.into_iter().map(v1::ProbeView::from).collect();
        Self {
            view: Some(view.into()),
            source: source.to_owned(),
            agent: agent.map(Into::into),
            check: check.map(word),
            application: application.map(Into::into),
            dfp: dfp.map(Into::into),
            probe: probes.first().cloned(),
            probes,
            held: held.into_iter().map(|held| held_to(&key, held)).collect(),
        }
    }
}

fn word(word: Result<(), String>) -> v1::HealthWord {
    v1::HealthWord { healthy: word.is_ok(), cause: word.err().unwrap_or_default() }
}

impl From<AgentView> for v1::AgentView {
    fn from(view: AgentView) -> Self {
        Self {
            name: view.name.to_string(),
            heard_nanos: nanos(view.heard),
            timeout_nanos: nanos(view.timeout),
            binds: u32::try_from(view.binds).unwrap_or(u32::MAX),
            leaving: view.leaving,
        }
    }
}

impl From<Application> for v1::ApplicationView {
    fn from(application: Application) -> Self {
        Self {
            word: application.availability.word().to_owned(),
            cause: application.availability.cause().to_owned(),
            weight: application.weight.map(u32::from),
            weight_percent: application.percent,
        }
    }
}

impl From<ProbeView> for v1::ProbeView {
    fn from(view: ProbeView) -> Self {
        Self {
            address: view.address.to_string(),
            last: view.last.map(word),
            run: view.run,
            switch_name: view.switch.map(String::from).unwrap_or_default(),
            way: view.path.map_or("backend", |path| path.mode.name()).to_owned(),
        }
    }
}

impl From<DfpView> for v1::DfpView {
    fn from(view: DfpView) -> Self {
        Self {
            name: view.name.to_string(),
            address: view.address.to_string(),
            state: view.state.to_string(),
            since_nanos: nanos(view.age),
            reason: view.reason,
            weight: view.weight.map(u32::from),
        }
    }
}

fn held_to(key: &BindingKey, held: Held) -> v1::HeldView {
    v1::HeldView {
        switch_name: held.switch.to_string(),
        connected: held.connected,
        in_step: held.in_step,
        binding: held.binding.map(|binding| binding_to(key, binding)),
        live: held.live.map(Into::into),
        counts: held.counts.as_ref().map(Into::into),
    }
}

impl From<Live> for v1::LiveView {
    fn from(live: Live) -> Self {
        Self {
            term: live.stamp.term,
            sequence: live.stamp.sequence,
            generation: live.generation,
            age_nanos: nanos(live.age),
            after_nanos: live.after.map(nanos),
        }
    }
}
