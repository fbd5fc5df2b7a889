//! Probes, and the verdict over all who vouch for a binding.

use std::net::SocketAddr;

use super::{
    Core, Output, ProbeId, ProbeView,
    bindings::{Stage, State},
};
use crate::model::BindingKey;

/// A running probe and what it has said so far.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) id: ProbeId,
    /// Outcomes in a row that were like the last one.
    run: u32,
    last: Option<Result<(), String>>,
    /// None until `rise` successes or `fall` failures in a row.
    word: Option<Result<(), String>>,
}

/// What is known of a binding's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody stands for it.
    Unvouched,
    /// Somebody does, but not everyone who is to verify it has spoken.
    Unverified,
    Unhealthy(String),
    Healthy,
}

impl Probe {
    fn new(id: ProbeId) -> Self {
        Self { id, run: 0, last: None, word: None }
    }

    pub(super) fn view(&self, address: SocketAddr) -> ProbeView {
        ProbeView { address, last: self.last.clone(), run: self.run }
    }

    fn note(&mut self, outcome: Result<(), String>, rise: u32, fall: u32) {
        let alike = self.last.as_ref().is_some_and(|last| last.is_ok() == outcome.is_ok());
        self.run = if alike { self.run.saturating_add(1) } else { 1 };
        if self.run >= if outcome.is_ok() { rise } else { fall } {
            self.word = Some(outcome.clone().map_err(|cause| format!("probe: {cause}")));
        }
        self.last = Some(outcome);
    }
}

impl Core {
    /// One probe's outcome. One that was stopped has nothing to say.
    pub(super) fn probed(&mut self, id: ProbeId, outcome: Result<(), String>) {
        let Some(key) = self.probes.get(&id).cloned() else {
            return;
        };
        let Some(plan) = self.settings.services.get(&key.service) else {
            return;
        };
        let (rise, fall) = (plan.health.rise, plan.health.fall);
        if let Some(probe) = self.bindings.get_mut(&key).and_then(|record| record.probe.as_mut()) {
            probe.note(outcome, rise, fall);
            self.evaluate(&key);
        }
    }

    pub(super) fn verdict(&self, key: &BindingKey) -> Verdict {
        let Some(record) = self.bindings.get(key) else {
            return Verdict::Unvouched;
        };
        if !self.vouched(key) {
            return Verdict::Unvouched;
        }
        let agent = record.agent.as_ref().map(|name| {
            let claim = self.agents.get(name)?.binds.get(key)?;
            claim.word()
        });
        let probe = self.is_probed(key).then(|| record.probe.as_ref()?.word.clone());
        let words = [agent, probe];
        let mut words = words.iter().flatten();
        if let Some(cause) = words.clone().find_map(|word| word.as_ref()?.as_ref().err()) {
            Verdict::Unhealthy(cause.clone())
        } else if words.all(|word| word.is_some()) {
            Verdict::Healthy
        } else {
            Verdict::Unverified
        }
    }

    /// It is healthy: it serves, unless something holds it back.
    pub(super) fn well(&mut self, key: &BindingKey, state: State) {
        match (state, self.held_back(key)) {
            (State::Active, None) => {}
            (_, None) if self.is_being_closed(key) => {}
            (_, None) => self.enter(key, State::Active, "healthy"),
            (State::Paused | State::Pending | State::Down(Stage::Off), Some(why)) => {
                self.explain(key, &why)
            }
            (State::Down(Stage::Breaking { .. }) | State::Broken { .. }, Some(_)) => {}
            (_, Some(why)) => self.enter(key, State::Paused, &why),
        }
    }

    /// Probes what is vouched for, and nothing else.
    pub(super) fn sync_probe(&mut self, key: &BindingKey) {
        let wanted = self.is_probed(key) && self.vouched(key);
        let Some(record) = self.bindings.get_mut(key) else {
            return;
        };
        let Some(plan) = self.settings.services.get(&key.service) else {
            return;
        };
        match (&record.probe, wanted) {
            (None, true) => {
                self.last_probe += 1;
                let probe = ProbeId(self.last_probe);
                record.probe = Some(Probe::new(probe));
                self.probes.insert(probe, key.clone());
                self.out.push(Output::StartProbe {
                    probe,
                    backend: probed_at(key.backend, plan.health.port),
                    health: plan.health,
                });
            }
            (Some(probe), false) => {
                let id = probe.id;
                record.probe = None;
                self.stop_probe(id);
            }
            _ => {}
        }
    }

    /// What the probe has said so far counts no more.
    pub(super) fn verify_anew(&mut self, key: &BindingKey) {
        if let Some(probe) = self.bindings.get_mut(key).and_then(|record| record.probe.as_mut()) {
            *probe = Probe::new(probe.id);
        }
    }

    /// Its service is probed otherwise from now on.
    pub(super) fn probe_anew(&mut self, key: &BindingKey) {
        let old = self.bindings.get_mut(key).and_then(|record| record.probe.take());
        if let Some(old) = old {
            self.stop_probe(old.id);
        }
        self.sync_probe(key);
    }

    pub(super) fn stop_probe(&mut self, probe: ProbeId) {
        self.probes.remove(&probe);
        self.out.push(Output::StopProbe { probe });
    }

    /// Where a binding is probed, if it is.
    pub(super) fn probed_at(&self, key: &BindingKey) -> SocketAddr {
        let plan = self.settings.services.get(&key.service);
        probed_at(key.backend, plan.and_then(|plan| plan.health.port))
    }

    pub(super) fn is_probed(&self, key: &BindingKey) -> bool {
        self.settings.services.get(&key.service).is_some_and(|plan| plan.is_probed())
    }
}

/// Where a backend is probed: at its own port, or the one that is set.
fn probed_at(mut backend: SocketAddr, port: Option<u16>) -> SocketAddr {
    backend.set_port(port.unwrap_or(backend.port()));
    backend
}
