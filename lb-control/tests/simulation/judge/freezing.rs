//! Frozen services: what is lost together is kept until it is back, or until
//! somebody lets it go.
//!
//! What the manager was told bounds from both sides what it may make of it: a
//! service may be frozen only if, by the most that can be read from that, an
//! implausible part of it was lost; and must be, if by the least.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use lb_control::{
    core::Output,
    model::{BindingKey, Name, Phase},
};

use super::{Facts, Invariant, Judge, Outcome, violates};
use crate::scene;

/// A loss that was delivered while the binding served.
#[derive(Clone, Debug)]
pub struct Lost {
    at: Duration,
    step: u64,
    /// Who vouched for it until then.
    agent: Option<Name>,
}

/// What fails as one: an agent's host, or an address.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Machine<'a> {
    Of(&'a Name),
    At(IpAddr),
}

/// Whether so many losses on so many machines are too many beside what stands.
fn is_implausible(lost: usize, machines: usize, stand: usize) -> bool {
    machines > 1 && lost as f64 * 100.0 >= scene::FREEZE_PERCENT * (lost + stand) as f64
}

impl Judge {
    /// The services that are frozen.
    pub fn frozen(&self) -> Vec<Name> {
        self.frozen.iter().cloned().collect()
    }

    pub(super) fn is_frozen(&self, service: &Name) -> bool {
        self.frozen.contains(service)
    }

    /// The manager is told that a binding is lost. That is a reason to take it
    /// from serving, unless its service is frozen.
    pub(super) fn lose(&mut self, key: &BindingKey, why: &'static str) {
        let agent = self.vouchers.iter().find(|(_, voucher)| voucher.words.contains_key(key));
        let lost =
            Lost { at: self.now, step: self.step, agent: agent.map(|(name, _)| name.clone()) };
        let found = self.found.contains(key);
        let facts = self.facts(key);
        if facts.phase == Some(Phase::Serve) || found {
            facts.lost = Some(lost);
        }
        if !self.is_frozen(&key.service) {
            self.excuse(key, why);
        }
    }

    pub(super) fn lose_all(
        &mut self,
        keys: impl IntoIterator<Item = BindingKey>,
        why: &'static str,
    ) {
        keys.into_iter().for_each(|key| self.lose(&key, why));
    }

    /// Whether it may go on though nobody vouches for it, or serve again.
    pub(super) fn is_kept(&self, key: &BindingKey) -> bool {
        self.is_frozen(&key.service) && self.keys.get(key).is_some_and(|facts| facts.lost.is_some())
    }

    /// Notes which services are frozen and thawed, and judges whether they may be.
    pub(super) fn freezing_said(&mut self, outputs: &[Output]) -> Outcome {
        self.thawed.clear();
        for output in outputs {
            let Output::Publish(event) = output else { continue };
            let Some(service) = &event.service else { continue };
            match event.kind {
                "service.frozen" => {
                    if !self.freezes || !self.may_freeze(service) {
                        let what = format!("{service} is frozen, and that much was not lost");
                        return violates(Invariant::UnvouchedGoes, what);
                    }
                    self.frozen.insert(service.clone());
                }
                "service.thawed" => {
                    self.frozen.remove(service);
                    self.thawed.insert(service.clone());
                    self.excuse_kept(service);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn is_recent(&self, at: Duration) -> bool {
        at + scene::FREEZE_WINDOW >= self.now
    }

    fn of_service(&self, service: &Name) -> impl Iterator<Item = (&BindingKey, &Facts)> {
        self.keys.iter().filter(move |(key, _)| key.service == *service)
    }

    fn may_freeze(&self, service: &Name) -> bool {
        let mut machines = BTreeSet::new();
        let (mut lost, mut stand) = (0, 0);
        for (key, facts) in self.of_service(service) {
            if let Some(loss) = facts.lost.as_ref().filter(|loss| self.is_recent(loss.at)) {
                lost += 1;
                machines.insert(match &loss.agent {
                    Some(agent) => Machine::Of(agent),
                    None => Machine::At(key.backend.ip()),
                });
            } else if facts.phase == Some(Phase::Serve) {
                stand += 1;
            }
        }
        is_implausible(lost, machines.len(), stand)
    }

    /// What was lost and was not heard of again goes when its service thaws.
    fn excuse_kept(&mut self, service: &Name) {
        let step = self.step;
        let gone = |key: &&BindingKey| self.may_be_gone(key, false);
        let of_service = scene::keys().iter().filter(|key| key.service == *service);
        let gone: Vec<_> = of_service.clone().filter(gone).cloned().collect();
        for key in of_service {
            // What is lost in this moment is a loss of its own.
            let facts = self.facts(key);
            facts.lost = facts.lost.take().filter(|lost| lost.step == step);
            facts.went = None;
        }
        self.excuse_all(gone, "its service thaws");
    }

    /// A binding is in another phase than before.
    pub(super) fn note_loss(&mut self, key: &BindingKey, before: Option<Phase>) {
        let (step, frozen) = (self.step, self.is_frozen(&key.service));
        let thawed = self.thawed.contains(&key.service);
        let facts = self.facts(key);
        let served = before == Some(Phase::Serve);
        let told = |lost: &&Lost| served && !thawed && lost.step == step && lost.agent.is_some();
        facts.went = facts.lost.as_ref().filter(told).cloned();
        if facts.phase == Some(Phase::Serve) && !frozen {
            facts.lost = None;
        }
    }

    /// What must be frozen by now is.
    pub(super) fn must_freeze(&self) -> Outcome {
        let services = scene::settings().services.keys();
        for service in services.filter(|service| self.freezes && !self.is_frozen(service)) {
            let mut machines = BTreeSet::new();
            let (mut lost, mut stand) = (0, 0);
            // Each loss is weighed by what stood when it was told.
            let is_new =
                |facts: &Facts| facts.went.as_ref().is_some_and(|went| went.step == self.step);
            if !self.of_service(service).any(|(_, facts)| is_new(facts)) {
                continue;
            }
            for (key, facts) in self.of_service(service) {
                let drains = facts.phase == Some(Phase::Drain) && !facts.removed;
                let went = facts.went.as_ref().filter(|went| drains && self.is_recent(went.at));
                if let Some(went) = went {
                    lost += 1;
                    machines.insert(&went.agent);
                } else if facts.phase == Some(Phase::Serve)
                    || self.is_static(key)
                    || self.vouchers_of(key).next().is_some()
                {
                    stand += 1;
                }
            }
            if is_implausible(lost, machines.len(), stand) {
                let what =
                    format!("{lost} bindings of {service} are lost at once, and it is not frozen");
                return violates(Invariant::VouchedStays, what);
            }
        }
        Ok(())
    }
}
