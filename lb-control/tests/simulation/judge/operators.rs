//! What operators asked for, what they were answered, and what was promised.

use std::{collections::BTreeMap, time::Duration};

use lb_control::{
    core::{Command, Core, Done, Intent, Output, Refusal, RequestId},
    model::{BindingKey, Name, Policy, Share, Weight},
};

use super::{Invariant, Judge, Outcome, violates};
use crate::{edges::Edge, scene};

/// A command that waits for its answer.
#[derive(Debug)]
pub struct Asked {
    command: Command,
    step: u64,
    at: Duration,
    /// No agent asked for the binding: it is the operator's alone.
    alone: bool,
}

/// What was answered as done and saved, until something later undoes it.
#[derive(Debug, Default)]
pub struct Promises {
    removed: BTreeMap<BindingKey, ()>,
    added: BTreeMap<BindingKey, Option<Weight>>,
    weights: BTreeMap<BindingKey, Weight>,
    policies: BTreeMap<(Name, Name), Policy>,
}

impl Promises {
    /// An agent's new start may bind anew what was removed.
    pub fn claimed(&mut self, key: &BindingKey) {
        self.removed.remove(key);
    }

    fn forget(&mut self, key: &BindingKey) {
        self.removed.remove(key);
        self.added.remove(key);
        self.weights.remove(key);
    }

    /// The first promise that an intent breaks.
    fn broken_by(&self, intent: &Intent) -> Option<String> {
        let kept = |key: &BindingKey| intent.removals.contains_key(key);
        for key in self.removed.keys() {
            // A removal need not be remembered where nothing brings the binding back.
            if intent.adds.contains_key(key) || (scene::in_file(key) && !kept(key)) {
                return Some(format!("{key} was removed"));
            }
        }
        for (key, weight) in &self.added {
            if kept(key) || weight.is_some_and(|weight| intent.adds.get(key) != Some(&weight)) {
                return Some(format!("{key} was added with weight {weight:?}"));
            }
        }
        for (key, weight) in &self.weights {
            if intent.weights.get(key) != Some(weight) {
                return Some(format!("{key} was given weight {weight}"));
            }
        }
        for (place @ (service, class), policy) in &self.policies {
            let base = || scene::settings().services[service].policies.get(class).copied();
            let holds = intent.drops.get(place).copied().or_else(base).unwrap_or_default();
            if holds != *policy {
                return Some(format!("{service} was to refuse {:?} of {class}", policy.refuse));
            }
        }
        None
    }
}

/// Which classes a drop speaks of.
fn classes(class: Option<&Name>) -> Vec<Name> {
    class.map_or_else(|| vec![scene::name("bots"), scene::name("default")], |c| vec![c.clone()])
}

fn key_of(command: &Command) -> Option<&BindingKey> {
    match command {
        Command::Add { key, .. } | Command::Remove { key, .. } | Command::SetWeight { key, .. } => {
            Some(key)
        }
        Command::Drop { .. } | Command::Thaw { .. } | Command::Look | Command::Apply { .. } => None,
    }
}

impl Judge {
    pub fn next_request(&mut self) -> u64 {
        self.last_request += 1;
        self.last_request
    }

    pub(super) fn asked(&mut self, request: RequestId, command: &Command) {
        let alone =
            key_of(command).is_some_and(|key| self.vouchers_of(key).all(|voucher| voucher.leaving));
        let asked = Asked { command: command.clone(), step: self.step, at: self.now, alone };
        self.requests.insert(request, asked);
    }

    /// Notes the command that was just asked for, unless it is refused.
    pub(super) fn command_taken(&mut self, outputs: &[Output]) {
        let newest = self.requests.last_key_value().filter(|(_, asked)| asked.step == self.step);
        let Some((&request, asked)) = newest else { return };
        let refused = |output: &Output| matches!(output, Output::Reply { request: of, reply: Err(_) } if *of == request);
        if outputs.iter().any(refused) {
            return;
        }
        let (command, alone) = (asked.command.clone(), asked.alone);
        if let Command::Drop { service, class, .. } = &command {
            for class in classes(class.as_ref()) {
                self.promises.policies.remove(&(service.clone(), class));
            }
        }
        let Some(key) = key_of(&command) else { return };
        let (now, step) = (self.now, self.step);
        let mut boots = self.vouchers_of(key).map(|voucher| voucher.boot);
        // A removal names one agent: where two ask for the binding, a reconnect of
        // the other one brings it back.
        let sole = !scene::is_contested(key);
        let boot = boots.next().filter(|_| sole && boots.next().is_none());
        drop(boots);
        let facts = self.facts(key);
        facts.commanded = step;
        match command {
            Command::Remove { deadline, .. } => {
                (facts.removed, facts.added, facts.removed_at) = (true, false, now);
                facts.deadline = deadline.unwrap_or(facts.deadline);
                facts.removed_boot = boot;
                facts.excused = Some((now, "the operator removed it"));
                facts.went = None;
            }
            Command::Add { .. } => {
                facts.removed = false;
                facts.added |= alone && !scene::in_file(key);
                facts.removed_boot = None;
            }
            Command::SetWeight { .. }
            | Command::Drop { .. }
            | Command::Thaw { .. }
            | Command::Look
            | Command::Apply { .. } => {}
        }
        match command {
            Command::SetWeight { .. } => drop(self.promises.weights.remove(key)),
            _ => self.promises.forget(key),
        }
    }

    pub(super) fn answered(
        &mut self,
        request: RequestId,
        reply: &Result<Done, Refusal>,
        disk: &Intent,
        edges: &[Edge],
    ) -> Outcome {
        let Some(asked) = self.requests.remove(&request) else {
            return violates(Invariant::InOrder, format!("{request:?} is answered again"));
        };
        let Ok(done) = reply else { return Ok(()) };
        self.check_live(&asked, done, edges)?;
        if done.message.to_lowercase().contains("not saved") {
            return Ok(());
        }
        self.promise(&asked);
        match self.promises.broken_by(disk) {
            Some(promise) => violates(
                Invariant::IntentKept,
                format!("{promise}, which was answered as saved: on disk is {disk:?}"),
            ),
            None => Ok(()),
        }
    }

    fn promise(&mut self, asked: &Asked) {
        let current = |key: &BindingKey| {
            self.keys.get(key).is_some_and(|facts| facts.commanded == asked.step)
        };
        match &asked.command {
            Command::Remove { key, .. } if current(key) && self.keys[key].claimed <= asked.step => {
                self.promises.removed.insert(key.clone(), ());
            }
            Command::Add { key, weight, .. } if current(key) => {
                let weight = (asked.alone && !scene::in_file(key)).then_some(*weight);
                self.promises.added.insert(key.clone(), weight);
            }
            Command::SetWeight { key, weight } if current(key) => {
                self.promises.weights.insert(key.clone(), *weight);
            }
            Command::Drop { service, class, policy } => {
                let later = self.requests.values().any(|other| {
                    matches!(&other.command, Command::Drop { service: of, .. } if of == service)
                        && other.step > asked.step
                });
                for class in classes(class.as_ref()).into_iter().filter(|_| !later) {
                    self.promises.policies.insert((service.clone(), class), *policy);
                }
            }
            _ => {}
        }
    }

    /// What is live by the answer must be so on the edges.
    fn check_live(&self, asked: &Asked, done: &Done, edges: &[Edge]) -> Outcome {
        let Some(key) = key_of(&asked.command) else { return Ok(()) };
        let facts = &self.keys[key];
        let live = |edge: &&Edge| {
            let outcome = done.switches.iter().find(|outcome| outcome.name == edge.name);
            outcome.is_some_and(|outcome| outcome.live.is_ok()) && !edge.tampered
        };
        for edge in edges.iter().filter(live) {
            let wrong = match &asked.command {
                Command::Remove { .. } => edge.serves(key) && facts.served <= asked.step,
                Command::SetWeight { weight, .. } => {
                    let held = edge.state.bindings.get(key).map(|binding| binding.weight);
                    facts.commanded == asked.step && held.is_some_and(|held| held != *weight)
                }
                _ => false,
            };
            if wrong {
                let what = format!(
                    "{:?} was answered as live on {}, which holds {:?}",
                    asked.command,
                    edge.name,
                    edge.state.bindings.get(key)
                );
                return violates(Invariant::EdgesExact, what);
            }
        }
        Ok(())
    }

    pub(super) fn look_at_requests(&self) -> Outcome {
        for (request, asked) in &self.requests {
            let due = match &asked.command {
                Command::Remove { key, wait: true, .. } => {
                    let settings = scene::settings();
                    let facts = &self.keys[key];
                    let began = asked.at.max(facts.removed_at).max(self.resumed);
                    let drain = settings.drain_deadline.max(facts.deadline);
                    began + drain + settings.break_linger + scene::PATIENCE
                }
                _ => asked.at + scene::PATIENCE,
            };
            if self.now > due {
                let what = format!("{request:?} is not answered: {:?}", asked.command);
                return violates(Invariant::InOrder, what);
            }
        }
        Ok(())
    }

    /// An intent is written: it must not say two things.
    pub fn is_whole(&self, intent: &Intent) -> Outcome {
        let removed = |key: &&BindingKey| intent.removals.contains_key(*key);
        if let Some(key) = intent.adds.keys().chain(intent.weights.keys()).find(removed) {
            let what = format!("{key} is both removed and added or weighted on disk");
            return violates(Invariant::IntentKept, what);
        }
        Ok(())
    }

    /// A manager starts with what is on disk.
    pub(super) fn promises_kept(&self, intent: &Intent, core: &Core) -> Outcome {
        if let Some(promise) = self.promises.broken_by(intent) {
            return violates(Invariant::IntentKept, format!("{promise}, and that was lost"));
        }
        self.policies_hold(core)
    }

    pub(super) fn policies_hold(&self, core: &Core) -> Outcome {
        for (place @ (service, class), policy) in &self.promises.policies {
            let held = core.desired().policies.get(place).copied().unwrap_or_default();
            if held.refuse != policy.refuse
                && (held.refuse, policy.refuse) != (Share::NONE, Share::NONE)
            {
                let what =
                    format!("{service} refuses {:?} of {class}, not {policy:?}", held.refuse);
                return violates(Invariant::IntentKept, what);
            }
        }
        Ok(())
    }
}
