//! What applications say of themselves.
//!
//! Each report holds an application's last word, so that what it means follows
//! from that word alone: one that is lost, repeated or late does no harm.

use super::{
    Core,
    agents::Claim,
    bindings::{Stage, State},
};
use crate::model::{Application, Availability, BindingKey, Name, Weight};

impl Claim {
    /// Its application wants no part in the service.
    pub(super) fn has_left(&self) -> bool {
        matches!(self.application.availability, Availability::Leave { .. })
    }

    /// Its health: the application's own word comes first.
    pub(super) fn word(&self) -> Option<Result<(), String>> {
        match &self.application.availability {
            failed @ Availability::Failed { .. } => Some(Err(failed.reason())),
            _ => self.health.clone(),
        }
    }
}

impl Core {
    /// A report came: acts on what the application says otherwise than `before`.
    pub(super) fn application(&mut self, name: &Name, key: &BindingKey, before: &Application) {
        let changed = |claim: &&Claim| claim.application != *before && self.is_owned(name, key);
        let Some(claim) = self.claim_of(name, key).filter(changed) else {
            return;
        };
        let now = claim.application.clone();
        if now.availability != before.availability {
            self.available(name, key, &before.availability, &now.availability);
        }
        if (now.weight, now.percent) != (before.weight, before.percent) {
            let weight = self.given_weight(key).unwrap_or_default();
            let mut message = format!("weight {weight}");
            if now.percent != 100 {
                message += &format!(", {} % of it", now.percent);
            }
            self.tell("binding.weight", key, format!("{message}, by its application"));
            self.refresh(key);
        }
    }

    fn available(
        &mut self,
        name: &Name,
        key: &BindingKey,
        before: &Availability,
        now: &Availability,
    ) {
        let kind = match now {
            Availability::Ready => "application.ready",
            Availability::Drain { .. } => "application.drain",
            Availability::Leave { .. } => "application.leave",
            Availability::Failed { .. } => "application.failed",
        };
        self.tell(kind, key, format!("agent `{name}`: {}", now.reason()));
        let failed = |one| matches!(one, &Availability::Failed { .. });
        if failed(before) && !failed(now) {
            self.verify_anew(key);
        }
        if matches!(now, Availability::Leave { .. }) {
            self.take_leave(key, &now.reason());
        } else {
            self.sync_probe(key);
        }
    }

    /// A binding's agent or application says that it goes: no new connections,
    /// and the others have the time of any graceful removal.
    pub(super) fn take_leave(&mut self, key: &BindingKey, reason: &str) {
        self.sync_probe(key);
        let Some(record) = self.bindings.get(key) else {
            return;
        };
        match record.state {
            State::Active | State::Paused | State::Unknown(_) => {
                let until = self.now + self.settings.drain_deadline;
                self.enter(key, State::Draining { until }, reason);
            }
            State::Pending | State::Down(Stage::Off) if !self.is_static(key) => {
                self.forget(key, reason)
            }
            _ => {}
        }
    }

    /// Whether its application itself says that it has failed: that is no loss
    /// to be suspicious of.
    pub(super) fn has_failed(&self, key: &BindingKey) -> bool {
        let agent = self.bindings.get(key).and_then(|record| record.agent.as_ref());
        let claim = agent.and_then(|name| self.claim_of(name, key));
        claim.is_some_and(|claim| {
            matches!(claim.application.availability, Availability::Failed { .. })
        })
    }

    /// Why a healthy binding gets no new connections all the same.
    pub(super) fn held_back(&self, key: &BindingKey) -> Option<String> {
        let record = self.bindings.get(key)?;
        let claim = record.agent.as_ref().and_then(|name| self.claim_of(name, key));
        match claim.map(|claim| &claim.application.availability) {
            Some(drain @ Availability::Drain { .. }) => Some(drain.reason()),
            _ => self.damped(key),
        }
    }

    /// What of its weight a binding gets on the switches: the share that its
    /// application asks for, and less while it starts slowly. Never nothing of
    /// something, unless it asks for nothing.
    pub(super) fn effective_weight(&self, key: &BindingKey, weight: Weight) -> Weight {
        let Some(record) = self.bindings.get(key) else {
            return weight;
        };
        let claim = record.agent.as_ref().and_then(|name| self.claim_of(name, key));
        let percent = claim.map_or(100, |claim| claim.application.percent);
        if weight == 0 || percent == 0 {
            return 0;
        }
        let (part, whole) = self.start_share(key);
        let share = u64::from(weight) * u64::from(percent) * part / (100 * whole);
        Weight::try_from(share.max(1)).unwrap_or(Weight::MAX)
    }

    fn claim_of(&self, name: &Name, key: &BindingKey) -> Option<&Claim> {
        self.agents.get(name)?.binds.get(key)
    }

    /// Whether this agent is the one that vouches for a binding.
    pub(super) fn is_owned(&self, name: &Name, key: &BindingKey) -> bool {
        self.bindings.get(key).is_some_and(|record| record.agent.as_ref() == Some(name))
    }
}
