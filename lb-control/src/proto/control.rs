//! `control.proto`: commands in, views out.

use std::time::Duration;

use super::{
    common::{policy_to, scope, verdict},
    v1,
    wire::{WireError, address, key, name, nanos, server_id, server_id_text, share, weight},
};
use crate::{
    core::{
        Action, Alteration, BackendView, ClassView, Command, Done, ServiceView, StatusView,
        SwitchOutcome, SwitchView,
    },
    model::{Name, Policy},
};

impl TryFrom<v1::AddRequest> for Command {
    type Error = WireError;

    fn try_from(request: v1::AddRequest) -> Result<Self, WireError> {
        Ok(Self::Add {
            key: key(&request.service, &request.backend)?,
            weight: weight(request.weight)?,
            server_id: server_id(&request.server_id)?,
        })
    }
}

impl TryFrom<v1::RemoveRequest> for Command {
    type Error = WireError;

    fn try_from(request: v1::RemoveRequest) -> Result<Self, WireError> {
        Ok(Self::Remove {
            key: key(&request.service, &request.backend)?,
            force: request.force,
            deadline: request.has_deadline.then(|| Duration::from_nanos(request.deadline_nanos)),
            wait: request.wait,
        })
    }
}

impl TryFrom<v1::WeightRequest> for Command {
    type Error = WireError;

    fn try_from(request: v1::WeightRequest) -> Result<Self, WireError> {
        Ok(Self::SetWeight {
            key: key(&request.service, &request.backend)?,
            weight: weight(request.weight)?,
        })
    }
}

impl TryFrom<v1::ThawRequest> for Command {
    type Error = WireError;

    fn try_from(request: v1::ThawRequest) -> Result<Self, WireError> {
        Ok(Self::Thaw { service: name("service", &request.service)? })
    }
}

impl TryFrom<v1::DropRequest> for Command {
    type Error = WireError;

    fn try_from(request: v1::DropRequest) -> Result<Self, WireError> {
        Ok(Self::Drop {
            service: name("service", &request.service)?,
            class: optional("class", &request.class)?,
            policy: Policy {
                refuse: share(request.refuse_ppm)?,
                verdict: verdict(request.verdict)?,
                scope: scope(request.scope)?,
            },
        })
    }
}

/// A name, or nothing.
fn optional(field: &str, text: &str) -> Result<Option<Name>, WireError> {
    if text.is_empty() { Ok(None) } else { name(field, text).map(Some) }
}

impl v1::ListRequest {
    /// The service that is asked for; None: all.
    ///
    /// # Errors
    /// It is no name.
    pub fn wanted(&self) -> Result<Option<Name>, WireError> {
        optional("service", &self.service)
    }
}

impl v1::CountersRequest {
    /// The switch that is asked for; None: the sum.
    ///
    /// # Errors
    /// It is no name.
    pub fn wanted(&self) -> Result<Option<Name>, WireError> {
        optional("switch_name", &self.switch_name)
    }
}

impl v1::SwitchRequest {
    /// The switch that is asked for.
    ///
    /// # Errors
    /// It is no name.
    pub fn wanted(&self) -> Result<Name, WireError> {
        name("name", &self.name)
    }
}

impl v1::EventsRequest {
    /// The service, backend and switch whose events are asked for, as events
    /// write them; empty: all.
    ///
    /// # Errors
    /// One of them is none.
    pub fn wanted(&self) -> Result<(String, String, String), WireError> {
        let text = |name: Option<Name>| name.map(String::from).unwrap_or_default();
        let backend = match self.backend.as_str() {
            "" => String::new(),
            backend => address("backend", backend)?.to_string(),
        };
        let service = text(optional("service", &self.service)?);
        Ok((service, backend, text(optional("switch_name", &self.switch_name)?)))
    }
}

impl From<Done> for v1::ChangeReply {
    fn from(done: Done) -> Self {
        Self {
            message: done.message,
            switches: done.switches.into_iter().map(v1::SwitchOutcome::from).collect(),
        }
    }
}

impl From<Done> for v1::ApplyReply {
    fn from(mut done: Done) -> Self {
        let alterations = std::mem::take(&mut done.alterations);
        Self {
            alterations: alterations.into_iter().map(v1::Alteration::from).collect(),
            change: Some(done.into()),
        }
    }
}

impl From<Alteration> for v1::Alteration {
    fn from(alteration: Alteration) -> Self {
        let action = match alteration.action {
            Action::Add => "add",
            Action::Change => "change",
            Action::Remove => "remove",
        };
        Self {
            action: action.to_owned(),
            what: alteration.what.to_owned(),
            service: alteration.service.into(),
            name: alteration.name,
            before: alteration.before,
            after: alteration.after,
        }
    }
}

impl From<SwitchOutcome> for v1::SwitchOutcome {
    fn from(outcome: SwitchOutcome) -> Self {
        Self {
            name: outcome.name.to_string(),
            live: outcome.live.is_ok(),
            live_after_nanos: outcome.live.as_ref().map_or(0, |after| nanos(*after)),
            error: outcome.live.err().unwrap_or_default(),
        }
    }
}

impl From<StatusView> for v1::StatusReply {
    /// Version and uptime are the surroundings' to fill in.
    fn from(view: StatusView) -> Self {
        Self {
            version: String::new(),
            term: view.term,
            uptime_nanos: 0,
            learning_left_nanos: nanos(view.learning_left),
            services: count(view.services),
            backends_active: count(view.backends_active),
            backends_total: count(view.backends_total),
            agents: count(view.agents),
            switches_connected: count(view.switches_connected),
            switches_total: count(view.switches_total),
            alarms: view.alarms,
        }
    }
}

impl From<ServiceView> for v1::ServiceView {
    fn from(view: ServiceView) -> Self {
        let policy = |(class, policy): &(Name, Policy)| policy_to(&view.spec.name, class, *policy);
        Self {
            service: Some((&view.spec).into()),
            backends_active: count(view.active),
            backends_total: count(view.total),
            policies: view.policies.iter().map(policy).collect(),
            moving: view.moving,
        }
    }
}

impl From<BackendView> for v1::BackendView {
    fn from(view: BackendView) -> Self {
        Self {
            service: view.service.to_string(),
            backend: view.backend.to_string(),
            weight: view.weight.into(),
            state: view.state.to_owned(),
            reason: view.reason,
            since_nanos: nanos(view.age),
            agent: view.agent.map(String::from).unwrap_or_default(),
            connections: view.connections,
            removable: view.removable,
            deadline_left_nanos: view.deadline_left.map_or(0, nanos),
            server_id: server_id_text(view.server_id),
            unreachable: view.unreachable.unwrap_or_default(),
            effective_weight: view.effective_weight.into(),
            load: view.load,
            hold_left_nanos: view.hold_left.map_or(0, nanos),
        }
    }
}

impl From<SwitchView> for v1::SwitchView {
    fn from(view: SwitchView) -> Self {
        Self {
            name: view.name.to_string(),
            description: view.description,
            connected: view.connected,
            generation: view.generation,
            term: view.live.term,
            sequence_sent: view.sequence_sent,
            sequence_live: view.live.sequence,
            last_live_nanos: nanos(view.last_live),
            last_error: view.last_error,
            lacks: view.lacks,
            lag_nanos: view.lag.map(nanos),
            refill_age_nanos: view.refill.map(|(age, _)| nanos(age)),
            refill_changes: view.refill.map_or(0, |(_, changes)| count(changes).into()),
            drifts: view.drifts,
            drift: view.drift.map(|drift| v1::DriftView {
                age_nanos: nanos(drift.age),
                changes: drift.changes,
                what: drift.what,
                mended: drift.mended,
            }),
        }
    }
}

impl From<ClassView> for v1::ClassView {
    fn from(view: ClassView) -> Self {
        Self { class: Some((&view.class).into()), admitted: view.admitted, refused: view.refused }
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
