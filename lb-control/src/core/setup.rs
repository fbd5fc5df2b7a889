//! The state that a manager starts with: the file, and the intent laid over it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use imbl::OrdMap;

use super::{
    Core, CoreSettings, Event, Intent, Saving, ServicePlan, SetupError,
    authority::Authority,
    bindings::{Record, State},
    clock::{Clock, Timer},
    feedback::Feedback,
    standing::Standings,
    why::Trail,
};
use crate::model::{
    Binding, BindingKey, CLOSE_WITHIN, Change, Name, Phase, ServerId, StateError, SwitchState,
};

impl Core {
    /// A manager that has just started, at moment zero.
    ///
    /// `intent.term` is the term of this leadership: it must already be saved.
    ///
    /// # Errors
    /// The configuration file contradicts itself. What of the intent does not
    /// fit the file is kept, has no effect, and is shown as an alarm.
    pub fn new(settings: CoreSettings, intent: Intent) -> Result<Self, SetupError> {
        let filed = settings.services.clone();
        let mut settings = settings;
        let mut known = lay(&settings)?;
        let mut misfits = Vec::new();
        if !intent.services.is_empty() {
            let declared = CoreSettings { services: declared(&filed, &intent), ..settings.clone() };
            match lay(&declared) {
                Ok(state) => (known, settings) = (state, declared),
                Err(error) => {
                    misfits.push(format!("the declared services have no effect: {error}"));
                }
            }
        }
        misfits.extend(overlay(&mut known, &intent, &settings));
        let keys: Vec<_> = known.bindings.keys().cloned().collect();
        let feedback = settings.dfp.iter().map(|dfp| (dfp.name.clone(), Feedback::new(dfp)));
        let feedback = feedback.collect();
        let authority = Authority::new(settings.allow.clone(), settings.limits.clone());
        let mut core = Self {
            desired: SwitchState { bindings: OrdMap::new(), ..known.clone() },
            known,
            settings,
            filed,
            intent,
            saving: Saving::default(),
            now: Duration::ZERO,
            clock: Clock::default(),
            version: 1,
            bindings: BTreeMap::new(),
            draining: BTreeSet::new(),
            standings: Standings::default(),
            losses: BTreeMap::new(),
            agents: BTreeMap::new(),
            feedback,
            heard: BTreeMap::new(),
            flaps: BTreeMap::new(),
            switches: BTreeMap::new(),
            sessions: BTreeMap::new(),
            authority,
            probes: BTreeMap::new(),
            orders: BTreeMap::new(),
            last_probe: 0,
            closing: BTreeMap::new(),
            requests: BTreeMap::new(),
            misfits,
            trail: Trail::default(),
            refusals: BTreeMap::new(),
            out: Vec::new(),
        };
        core.clock.set(Timer::Learned, core.settings.learning);
        if core.intent.term > 1 {
            core.clock.set(Timer::Inherited, CLOSE_WITHIN);
        }
        core.publish(Event {
            kind: "manager.started",
            message: format!(
                "term {}; learning for {:?}",
                core.intent.term, core.settings.learning
            ),
            ..Event::default()
        });
        for message in core.misfits.clone() {
            core.publish(Event { kind: "intent.ignored", message, ..Event::default() });
        }
        for key in keys {
            let reason = "waiting for its health to be verified".to_owned();
            core.standings.note(&key, None, Some(&State::Pending));
            core.bindings
                .insert(key.clone(), Record { reason, ..Record::new(State::Pending, core.now) });
            core.refresh(&key);
            core.sync_probe(&key);
        }
        Ok(core)
    }
}

/// The services that there are: the file's, and the operator's in their place.
fn declared(filed: &BTreeMap<Name, ServicePlan>, intent: &Intent) -> BTreeMap<Name, ServicePlan> {
    let mut services = filed.clone();
    for (name, service) in &intent.services {
        match service {
            Some(plan) => {
                services.insert(name.clone(), plan.over(filed.get(name)));
            }
            None => drop(services.remove(name)),
        }
    }
    services
}

/// What a switch holds of services, with every static backend.
fn lay(settings: &CoreSettings) -> Result<SwitchState, StateError> {
    let mut known = SwitchState::default();
    known.apply(&Change::PutClasses(settings.classes.clone()))?;
    for plan in settings.services.values() {
        known.apply(&Change::PutService(plan.spec.clone()))?;
    }
    for (service, plan) in &settings.services {
        for (&backend, &(_, server_id)) in &plan.backends {
            known.apply(&put(&BindingKey { service: service.clone(), backend }, server_id))?;
        }
        for (class, &policy) in &plan.policies {
            let (service, class) = (service.clone(), class.clone());
            known.apply(&Change::PutPolicy { service, class, policy })?;
        }
    }
    Ok(known)
}

/// A binding's place in the table of known bindings; its weight and phase say nothing there.
pub(super) fn put(key: &BindingKey, server_id: Option<ServerId>) -> Change {
    Change::PutBinding(key.clone(), Binding { weight: 0, phase: Phase::Drain, server_id })
}

/// Lays the intent over the file's state; returns what does not fit.
fn overlay(known: &mut SwitchState, intent: &Intent, settings: &CoreSettings) -> Vec<String> {
    let mut misfits = Vec::new();
    for key in intent.removals.keys() {
        known.bindings.remove(key);
    }
    for key in intent.adds.keys() {
        let unprobed = settings.services.get(&key.service).is_some_and(|plan| !plan.is_probed());
        let error = if unprobed {
            Some(unprobed_reason(key))
        } else {
            let server_id = intent.server_ids.get(key).copied();
            known.apply(&put(key, server_id)).err().map(|error: StateError| error.to_string())
        };
        misfits
            .extend(error.map(|error| format!("the added backend {key} has no effect: {error}")));
    }
    for ((service, class), &policy) in &intent.drops {
        let change = Change::PutPolicy { service: service.clone(), class: class.clone(), policy };
        if let Err(error) = known.apply(&change) {
            misfits.push(format!("the drop on {service}, class {class}, has no effect: {error}"));
        }
    }
    misfits
}

pub(super) fn unprobed_reason(key: &BindingKey) -> String {
    format!(
        "service `{}` has `health.probe = \"none\"`, so only an agent can vouch for {}",
        key.service, key.backend
    )
}
