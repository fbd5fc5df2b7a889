//! The operator's whole intent at once: `sluice export`, `diff` and `apply`.
//!
//! Everything is tried out on a copy of the core, which takes this one's place
//! when all of it could be done. So nothing is ever half applied, a look at what
//! would be done does all that doing it does, and switches get one delta.

mod carry;
mod compare;

use std::{collections::BTreeMap, time::Duration};

pub use self::compare::{Action, Alteration};
use super::{
    Core, Done, Event, Output, Refusal, RefusalKind, RequestId, ServicePlan, SetupError,
    requests::Goal,
};
use crate::{
    config::{ClassSettings, Declaration, DeclaredRemoval, DeclaredWeight},
    model::{BindingKey, Name, ServerId, Share, Weight},
};

/// Faults that one answer names.
const FAULTS: usize = 10;

/// The operator's intent, as a [`Declaration`] has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// With their static backends and policies.
    pub services: BTreeMap<Name, ServicePlan>,
    /// In place of what agents ask for.
    pub weights: BTreeMap<BindingKey, Weight>,
    /// Agents' bindings that are to stay out.
    pub removals: BTreeMap<BindingKey, Withdrawal>,
}

/// How a binding goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Withdrawal {
    /// Its connections are broken at once.
    pub force: bool,
    /// How long they may go on; None: the manager's `drain_deadline`.
    pub deadline: Option<Duration>,
}

impl TryFrom<&Declaration> for Declared {
    type Error = SetupError;

    fn try_from(declaration: &Declaration) -> Result<Self, SetupError> {
        let mut services = BTreeMap::new();
        for service in &declaration.services {
            if services.insert(service.name.clone(), service.try_into()?).is_some() {
                return Err(SetupError::Twice(service.name.clone()));
            }
        }
        let key = |service: &Name, backend| BindingKey { service: service.clone(), backend };
        let weights = declaration.weights.iter();
        let removals = declaration.removals.iter();
        Ok(Self {
            services,
            weights: weights.map(|w| (key(&w.service, w.address), w.weight)).collect(),
            removals: removals
                .map(|r| {
                    let withdrawal = Withdrawal { force: r.force, deadline: r.deadline };
                    (key(&r.service, r.address), withdrawal)
                })
                .collect(),
        })
    }
}

impl From<&Declared> for Declaration {
    fn from(declared: &Declared) -> Self {
        let weight = |(key, &weight): (&BindingKey, &Weight)| DeclaredWeight {
            service: key.service.clone(),
            address: key.backend,
            weight,
        };
        let removal = |(key, withdrawal): (&BindingKey, &Withdrawal)| DeclaredRemoval {
            service: key.service.clone(),
            address: key.backend,
            force: withdrawal.force,
            deadline: withdrawal.deadline,
        };
        Self {
            services: declared.services.values().map(ServicePlan::settings).collect(),
            weights: declared.weights.iter().map(weight).collect(),
            removals: declared.removals.iter().map(removal).collect(),
        }
    }
}

impl Declared {
    /// Says it as [`Core::declared`] does: a static backend has its weight where
    /// it is named, and not apart.
    fn canonical(mut self, filed: &BTreeMap<Name, ServicePlan>) -> Self {
        for (name, plan) in &mut self.services {
            plan.policies.retain(|_, policy| policy.refuse != Share::NONE);
            for (&backend, (weight, _)) in &mut plan.backends {
                let key = BindingKey { service: name.clone(), backend };
                let Some(&asked) = self.weights.get(&key) else { continue };
                *weight = asked;
                // Over the file's weight an agent's counts, unless the operator's does.
                let of_file = filed.get(name).and_then(|plan| plan.backends.get(&backend));
                if of_file.is_none_or(|(of_file, _)| *of_file != asked) {
                    self.weights.remove(&key);
                }
            }
        }
        self
    }
}

impl Core {
    /// The operator's intent as it stands. What of it does not fit the
    /// configuration file is left out.
    pub fn declared(&self) -> Declared {
        let services = self.settings.services.iter();
        let known = |key: &BindingKey| self.settings.services.contains_key(&key.service);
        let weights = self.intent.weights.iter().filter(|(key, _)| known(key));
        let removals = self.intent.removals.iter().filter(|(key, removal)| {
            // That of a static backend is said by its absence. One that nothing
            // would bring back is forgotten when it has drained.
            let record = self.bindings.get(key);
            let nobodys = removal.boot.is_none() && record.is_some_and(|r| r.agent.is_none());
            let nobodys = nobodys && !removal.declared;
            known(key) && self.of_file(key).is_none() && !nobodys
        });
        let declared = Declared {
            services: services
                .map(|(name, plan)| (name.clone(), self.declared_plan(plan)))
                .collect(),
            weights: weights.map(|(key, &weight)| (key.clone(), weight)).collect(),
            removals: removals
                .map(|(key, removal)| {
                    let deadline = Some(removal.deadline);
                    (key.clone(), Withdrawal { force: removal.force, deadline })
                })
                .collect(),
        };
        declared.canonical(&self.filed)
    }

    /// The classes that a declaration's policies may speak of.
    pub fn class_settings(&self) -> Vec<ClassSettings> {
        let class = |class: &crate::model::ClassSpec| ClassSettings {
            name: class.name.clone(),
            sources: class.sources.clone(),
            dscp: class.dscp.clone(),
        };
        self.settings.classes.iter().map(class).collect()
    }

    fn declared_plan(&self, plan: &ServicePlan) -> ServicePlan {
        let service = &plan.spec.name;
        let key = |backend| BindingKey { service: service.clone(), backend };
        let of_file = plan.backends.iter().map(|(&backend, &given)| (backend, given));
        let added = self.intent.adds.iter().filter(|(key, _)| key.service == *service);
        let added = added.map(|(key, &weight)| {
            (key.backend, (weight, self.intent.server_ids.get(key).copied()))
        });
        let policies = self.desired.policies.iter().filter(|((of, _), _)| of == service);
        ServicePlan {
            backends: of_file
                .filter(|(backend, _)| !self.intent.removals.contains_key(&key(*backend)))
                .chain(added)
                .collect(),
            policies: policies.map(|((_, class), &policy)| (class.clone(), policy)).collect(),
            ..plan.clone()
        }
    }

    /// What the configuration file gives a static backend, whatever has become
    /// of it or its service since.
    fn of_file(&self, key: &BindingKey) -> Option<(Weight, Option<ServerId>)> {
        self.filed.get(&key.service)?.backends.get(&key.backend).copied()
    }

    /// Makes the intent what is declared, or says what that would be.
    pub(super) fn apply(
        &mut self,
        request: RequestId,
        declared: Declared,
        dry_run: bool,
        prune: bool,
    ) {
        match self.try_apply(declared, dry_run, prune) {
            Ok((message, alterations)) if dry_run => {
                let done = Done { message, switches: Vec::new(), alterations };
                self.out.push(Output::Reply { request, reply: Ok(done) });
            }
            Ok((message, alterations)) => {
                self.wait(request, Goal::Live(self.version), message);
                if let Some(waiting) = self.requests.get_mut(&request) {
                    waiting.alterations = alterations;
                }
            }
            Err(refusal) => self.out.push(Output::Reply { request, reply: Err(refusal) }),
        }
    }

    fn try_apply(
        &mut self,
        declared: Declared,
        dry_run: bool,
        prune: bool,
    ) -> Result<(String, Vec<Alteration>), Refusal> {
        let wanted = declared.canonical(&self.filed);
        let current = self.declared();
        let missing =
            || current.services.keys().filter(|name| !wanted.services.contains_key(*name));
        if !prune && !dry_run && missing().next().is_some() {
            let message = format!(
                "the file does not have every service: add --prune to remove {}, with all \
                 connections, or take them over from `sluice export`",
                Self::list(missing())
            );
            return Err(Refusal { kind: RefusalKind::Precondition, message });
        }
        let of_file = |key: &BindingKey| self.of_file(key).is_some();
        let (alterations, steps) = compare::compare(&current, &wanted, of_file);
        let changes = match alterations.len() {
            0 => return Ok(("nothing to change".to_owned(), alterations)),
            1 => "1 change".to_owned(),
            more => format!("{more} changes"),
        };
        let mut trial = self.clone();
        let faults = trial.carry_out(&steps);
        if !faults.is_empty() {
            let left = faults.len().saturating_sub(FAULTS);
            let mut message =
                format!("nothing was changed:\n{}", faults[..faults.len() - left].join("\n"));
            if left > 0 {
                message += &format!("\nand {left} more");
            }
            return Err(Refusal { kind: RefusalKind::Invalid, message });
        }
        if dry_run {
            return Ok((format!("{changes} to make"), alterations));
        }
        trial.saving.dirty = true;
        *self = trial;
        let message = format!("{changes} made");
        self.publish(Event {
            kind: "intent.applied",
            message: format!("{message} by applying a file"),
            ..Event::default()
        });
        Ok((message, alterations))
    }
}
