//! Carries out the steps towards a declaration, each by what its command does.
//! A fault leaves the core half changed: this is for a copy.

use std::time::Duration;

use super::{
    super::{Core, Event, Removal, ServicePlan, clock::Timer, setup},
    Withdrawal,
    compare::Step,
};
use crate::model::{BindingKey, Change, Name, Policy, ServerId, Weight};

/// Why a step cannot be done, for people.
type Fault = String;

impl Core {
    /// Does what can be done, and returns what cannot.
    pub(super) fn carry_out(&mut self, steps: &[Step]) -> Vec<Fault> {
        // Two services may change places, and two backends their server ids.
        for step in steps {
            match step {
                Step::PutService(plan) => {
                    self.known.services.remove(&plan.spec.name);
                    self.desired.services.remove(&plan.spec.name);
                }
                Step::Put(key, _, id)
                    if self.known.bindings.get(key).is_some_and(|held| held.server_id != *id) =>
                {
                    if let Some(held) = self.known.bindings.get_mut(key) {
                        held.server_id = None;
                    }
                }
                _ => {}
            }
        }
        steps.iter().filter_map(|step| self.step_towards(step).err()).collect()
    }

    fn step_towards(&mut self, step: &Step) -> Result<(), Fault> {
        match step {
            Step::DeleteService(name) => self.delete_service(name),
            Step::PutService(plan) => return self.put_service(plan),
            Step::Withdraw(key, how) => self.withdraw(key, *how),
            Step::Remove(key, how) => self.remove_declared(key, *how),
            Step::Restore(key) => {
                self.intent.removals.remove(key);
                if let Some((agent, _)) = self.claimant(key) {
                    let id = self.given_server_id(key, &agent);
                    return self.bring_in(key, id).map_err(|why| format!("{key}: {why}"));
                }
            }
            Step::Unweigh(key) => {
                self.intent.weights.remove(key);
                self.refresh(key);
            }
            Step::Put(key, weight, id) => {
                return self.put_backend(key, *weight, *id).map_err(|why| format!("{key}: {why}"));
            }
            Step::Weigh(key, weight) => {
                self.intent.weights.insert(key.clone(), *weight);
                self.refresh(key);
                self.tell("binding.weight", key, format!("weight {weight}, declared"));
            }
            Step::SetPolicy(service, class, policy) => {
                return self.declare_policy(service, class, *policy);
            }
        }
        Ok(())
    }

    fn delete_service(&mut self, name: &Name) {
        let reason = "its service was removed by the operator";
        let keys: Vec<_> = self.of_service(name).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.forget(&key, reason);
        }
        for state in [&mut self.known, &mut self.desired] {
            // Both have had it.
            let _ = state.apply(&Change::DeleteService(name.clone()));
        }
        self.version += 1;
        self.settings.services.remove(name);
        self.losses.remove(name);
        self.clock.cancel(&Timer::Thaw(name.clone()));
        let intent = &mut self.intent;
        intent.adds.retain(|key, _| key.service != *name);
        intent.server_ids.retain(|key, _| key.service != *name);
        intent.removals.retain(|key, _| key.service != *name);
        intent.weights.retain(|key, _| key.service != *name);
        intent.drops.retain(|(service, _), _| service != name);
        if self.filed.contains_key(name) {
            intent.services.insert(name.clone(), None);
        } else {
            intent.services.remove(name);
        }
        self.tell_of_service("service.removed", name, "removed by the operator");
    }

    fn put_service(&mut self, wanted: &ServicePlan) -> Result<(), Fault> {
        let name = &wanted.spec.name;
        let before = self.settings.services.get(name).cloned();
        let mut bindings = self.known.bindings.keys().filter(|key| key.service == *name);
        if before.as_ref().is_some_and(|plan| plan.spec.ring_size != wanted.spec.ring_size)
            && bindings.next().is_some()
        {
            return Err(format!(
                "service `{name}` has backends, so that its `ring_size` cannot change: remove them \
                 first"
            ));
        }
        let change = Change::PutService(wanted.spec.clone());
        self.known.apply(&change).map_err(|error| error.to_string())?;
        self.desired.apply(&change).map_err(|error| error.to_string())?;
        self.version += 1;
        let filed = self.filed.get(name).cloned();
        let plan = wanted.over(filed.as_ref());
        if filed.as_ref() == Some(&plan) {
            self.intent.services.remove(name);
        } else {
            let declared = wanted.over(None);
            self.intent.services.insert(name.clone(), Some(declared));
        }
        self.settings.services.insert(name.clone(), plan.clone());
        if before.is_none() {
            // What the declaration has of the file's comes with the steps to come.
            let deadline = self.settings.drain_deadline;
            for &backend in plan.backends.keys() {
                let key = BindingKey { service: name.clone(), backend };
                let removal = Removal { boot: None, force: false, deadline, declared: false };
                self.intent.removals.insert(key, removal);
            }
            for class in plan.policies.keys() {
                self.put_policy(name, class, Policy::default());
            }
            self.tell_of_service("service.added", name, "declared by the operator");
            return Ok(());
        }
        let keys: Vec<_> = self.of_service(name).map(|(key, _)| key.clone()).collect();
        for key in keys {
            if before.as_ref().is_some_and(|before| before.health != plan.health) {
                self.verify_anew(&key);
            }
            self.refresh(&key);
            self.evaluate(&key);
        }
        self.tell_of_service("service.changed", name, "changed by the operator");
        Ok(())
    }

    /// A static backend that is declared no more.
    fn withdraw(&mut self, key: &BindingKey, how: Withdrawal) {
        let deadline = self.deadline(how);
        let of_file = self.in_file(key);
        self.intent.adds.remove(key);
        self.intent.server_ids.remove(key);
        self.intent.weights.remove(key);
        let record = self.bindings.get(key);
        let boot = record.and_then(|record| record.boot);
        let agent = record.and_then(|record| record.agent.clone()).filter(|_| !of_file);
        if let Some(agent) = agent {
            // Its agent still wants it, and knew it by that id before.
            let id = self.given_server_id(key, &agent);
            drop(self.identify(key, id));
            self.refresh(key);
            return;
        }
        // While it stands, that the binding goes is no loss.
        let removal = Removal { boot, force: how.force, deadline, declared: false };
        self.intent.removals.insert(key.clone(), removal);
        self.sync_probe(key);
        self.send_away(key, how.force, deadline, "no longer declared by the operator");
        if !of_file {
            // Nothing brings it back but an agent, which then may.
            self.intent.removals.remove(key);
        }
    }

    /// An agent's binding that is to stay out.
    fn remove_declared(&mut self, key: &BindingKey, how: Withdrawal) {
        let deadline = self.deadline(how);
        let boot = self.bindings.get(key).and_then(|record| record.boot);
        let boot = boot.or_else(|| self.claimant(key).map(|(_, boot)| boot));
        self.intent.adds.remove(key);
        self.intent.server_ids.remove(key);
        self.intent.weights.remove(key);
        let removal = Removal { boot, force: how.force, deadline, declared: true };
        self.intent.removals.insert(key.clone(), removal);
        self.sync_probe(key);
        self.send_away(key, how.force, deadline, "removed by the operator");
    }

    fn put_backend(
        &mut self,
        key: &BindingKey,
        weight: Weight,
        id: Option<ServerId>,
    ) -> Result<(), Fault> {
        if !self.is_probed(key) {
            return Err(setup::unprobed_reason(key));
        }
        let file = self.settings.services.get(&key.service);
        match file.and_then(|plan| plan.backends.get(&key.backend)).copied() {
            Some((_, given)) if given != id => {
                let text = |id: Option<ServerId>| id.map_or("none".to_owned(), |id| id.to_string());
                return Err(format!(
                    "its server id is that of the configuration file, {}, and not {}",
                    text(given),
                    text(id)
                ));
            }
            Some((of_file, _)) if of_file == weight => drop(self.intent.weights.remove(key)),
            Some(_) => drop(self.intent.weights.insert(key.clone(), weight)),
            None => {
                self.intent.weights.remove(key);
                self.intent.adds.insert(key.clone(), weight);
                self.intent.server_ids.remove(key);
                self.intent.server_ids.extend(id.map(|id| (key.clone(), id)));
            }
        }
        self.intent.removals.remove(key);
        self.tell("binding.added", key, format!("declared by the operator with weight {weight}"));
        self.bring_in(key, id)
    }

    fn declare_policy(
        &mut self,
        service: &Name,
        class: &Name,
        policy: Policy,
    ) -> Result<(), Fault> {
        if !self.has_class(class) {
            return Err(format!("service `{service}`: there is no class `{class}`"));
        }
        self.put_policy(service, class, policy);
        let share = policy.refuse.percent();
        let message =
            format!("{service} refuses {share} % of class {class}, declared by the operator");
        self.publish(Event {
            kind: "policy.changed",
            service: Some(service.clone()),
            message,
            ..Event::default()
        });
        Ok(())
    }

    fn deadline(&self, how: Withdrawal) -> Duration {
        how.deadline.unwrap_or(self.settings.drain_deadline)
    }

    fn tell_of_service(&mut self, kind: &'static str, service: &Name, message: &str) {
        let (service, message) = (Some(service.clone()), format!("{service}: {message}"));
        self.publish(Event { kind, service, message, ..Event::default() });
    }
}
