//! The operator's commands.

use std::time::Duration;

use super::{
    Command, Core, Done, Event, Output, Refusal, RefusalKind, Removal, RequestId,
    bindings::{Stage, State},
    requests::Goal,
    setup,
};
use crate::model::{
    BindingKey, Change, DEFAULT_CLASS, Name, Origin, Policy, ServerId, Share, Weight,
};

/// What a command aims at, and what was done, for people.
type Accepted = Result<(Goal, String), Refusal>;

fn refuse<T>(kind: RefusalKind, message: String) -> Result<T, Refusal> {
    Err(Refusal { kind, message })
}

impl Core {
    pub(super) fn operator(&mut self, request: RequestId, by: &Origin, command: Command) {
        if let Err(refusal) = self.may_command(by, &command) {
            self.out.push(Output::Reply { request, reply: Err(refusal) });
            return;
        }
        let accepted = match command {
            Command::Look => {
                self.out.push(Output::Reply { request, reply: Ok(Done::default()) });
                return;
            }
            Command::Apply { declared, dry_run, prune } => {
                return self.apply(request, *declared, dry_run, prune);
            }
            Command::Add { key, weight, server_id } => self.add(key, weight, server_id),
            Command::Remove { key, force, deadline, wait } => {
                self.remove(&key, force, deadline, wait)
            }
            Command::SetWeight { key, weight } => self.set_weight(&key, weight),
            Command::Thaw { service } => self.thaw_by_operator(&service),
            Command::Drop { service, class, policy } => self.drop_share(&service, class, policy),
        };
        match accepted {
            Ok((goal, message)) => self.wait(request, goal, message),
            Err(refusal) => self.out.push(Output::Reply { request, reply: Err(refusal) }),
        }
    }

    fn add(&mut self, key: BindingKey, weight: Weight, server_id: Option<ServerId>) -> Accepted {
        self.check_service(&key.service)?;
        let claimant = self.claimant(&key);
        if claimant.is_none() && !self.in_file(&key) && !self.is_probed(&key) {
            return refuse(RefusalKind::Invalid, setup::unprobed_reason(&key));
        }
        let removed = self.intent.removals.contains_key(&key);
        let is_new = !self.bindings.contains_key(&key);
        let is_static = claimant.is_none() && !self.in_file(&key);
        let server_id = if is_static {
            server_id.or_else(|| self.server_id(&key))
        } else {
            let agent = claimant.as_ref().map(|(agent, _)| agent);
            self.check_server_id(&key, agent, server_id)?
        };
        match self.bindings.get(&key) {
            Some(record) if !removed && self.vouched(&key) => {
                let (state, weight) = (record.state.name(), record.weight);
                let message = match record.state {
                    State::Active => format!(
                        "{key} is already active with weight {weight}: use `sluice weight {} {} N` \
                         to change it",
                        key.service, key.backend
                    ),
                    _ => format!("{key} is already there, and is {state}: {}", record.reason),
                };
                return refuse(RefusalKind::Exists, message);
            }
            Some(_) => self.identify(&key, server_id),
            None => self.admit(&key, server_id),
        }
        .or_else(|why| refuse(RefusalKind::Invalid, why))?;
        self.intent.removals.remove(&key);
        self.intent.weights.remove(&key);
        if let (Some((agent, boot)), Some(record)) = (claimant, self.bindings.get_mut(&key)) {
            record.agent = Some(agent);
            record.boot = Some(boot);
        }
        if is_static {
            self.intent.adds.insert(key.clone(), weight);
            self.intent.server_ids.extend(server_id.map(|id| (key.clone(), id)));
        } else if self.own_weight(&key) != Some(weight) {
            self.intent.weights.insert(key.clone(), weight);
        }
        self.saving.dirty = true;
        self.tell("binding.added", &key, format!("added by the operator with weight {weight}"));
        self.take_in(&key, is_new);
        let message = format!("added {key} with weight {weight}");
        Ok((Goal::Active(key), message))
    }

    /// Makes a binding that is vouched for known, and has it serve once it is well.
    ///
    /// # Errors
    /// Says why the service cannot have it.
    pub(super) fn bring_in(
        &mut self,
        key: &BindingKey,
        server_id: Option<ServerId>,
    ) -> Result<(), String> {
        let is_new = !self.bindings.contains_key(key);
        if is_new {
            self.admit(key, server_id)?;
        } else {
            self.identify(key, server_id)?;
        }
        let claimant = self.claimant(key);
        if let (Some((agent, boot)), Some(record)) = (claimant, self.bindings.get_mut(key))
            && record.agent.is_none()
        {
            record.agent = Some(agent);
            record.boot = Some(boot);
        }
        self.take_in(key, is_new);
        Ok(())
    }

    fn take_in(&mut self, key: &BindingKey, is_new: bool) {
        if is_new {
            self.enter(key, State::Pending, "waiting for its health to be verified");
        }
        self.sync_probe(key);
        self.refresh(key);
        self.evaluate(key);
    }

    /// The server id that an agent or the file gives: a command gives no other.
    fn check_server_id(
        &self,
        key: &BindingKey,
        agent: Option<&Name>,
        asked: Option<ServerId>,
    ) -> Result<Option<ServerId>, Refusal> {
        let by_agent = agent.and_then(|name| self.agents.get(name)?.binds.get(key)?.server_id);
        let given = by_agent.or_else(|| self.server_id_in_file(key));
        let Some(asked) = asked.filter(|_| asked != given) else { return Ok(given) };
        let who = match agent {
            Some(agent) => format!("agent `{agent}`"),
            None => "the configuration file".to_owned(),
        };
        let gives = given.map_or("none".to_owned(), |id| id.to_string());
        let message = format!(
            "{key} gets its server id from {who}, which gives {gives}: set {asked} there, or leave \
             out --server-id"
        );
        refuse(RefusalKind::Invalid, message)
    }

    fn remove(
        &mut self,
        key: &BindingKey,
        force: bool,
        deadline: Option<Duration>,
        wait: bool,
    ) -> Accepted {
        self.check_service(&key.service)?;
        let record = self.check_binding(key)?;
        let deadline = deadline.unwrap_or(self.settings.drain_deadline);
        // One that a switch has brought back was removed from somebody before.
        let before = || self.intent.removals.get(key).and_then(|removal| removal.boot);
        let boot = record.boot.or_else(before);
        self.intent.adds.remove(key);
        self.intent.server_ids.remove(key);
        self.intent.weights.remove(key);
        self.intent
            .removals
            .insert(key.clone(), Removal { boot, force, deadline, declared: false });
        self.saving.dirty = true;
        self.sync_probe(key);
        self.send_away(key, force, deadline, "removed by the operator");
        let message = match self.bindings.get(key).map(|record| &record.state) {
            None => format!("removed {key}"),
            Some(State::Draining { until }) => {
                let left = until.saturating_sub(self.now);
                format!("{key} drains: no new connections, the others have {left:?}")
            }
            Some(_) => format!("{key} is broken: its connections are reset"),
        };
        let goal = if wait { Goal::Removable(key.clone()) } else { Goal::Live(self.version) };
        Ok((goal, message))
    }

    /// What a binding that is to go does first.
    pub(super) fn send_away(
        &mut self,
        key: &BindingKey,
        force: bool,
        deadline: Duration,
        reason: &str,
    ) {
        let Some(record) = self.bindings.get(key) else { return };
        match record.state.clone() {
            State::Pending | State::Down(Stage::Off) => self.forget(key, reason),
            State::Active | State::Paused | State::Unknown(_) | State::Draining { .. } => {
                let state = self.leaving(force, deadline);
                self.enter(key, state, reason);
            }
            State::Down(Stage::Grace { until }) => {
                let left = until.saturating_sub(self.now);
                let state = self.leaving(force, deadline.min(left));
                self.enter(key, state, reason);
            }
            State::Down(Stage::Breaking { until }) | State::Broken { until } => {
                self.enter(key, State::Broken { until }, reason);
            }
        }
    }

    fn set_weight(&mut self, key: &BindingKey, weight: Weight) -> Accepted {
        self.check_service(&key.service)?;
        self.check_binding(key)?;
        if self.intent.removals.contains_key(key) {
            let message = format!(
                "{key} is being removed: bring it back with `sluice add {} {} --weight {weight}`",
                key.service, key.backend
            );
            return refuse(RefusalKind::Precondition, message);
        }
        self.intent.weights.insert(key.clone(), weight);
        self.saving.dirty = true;
        self.refresh(key);
        self.tell("binding.weight", key, format!("weight {weight}, by the operator"));
        let none = if weight == 0 { ": it takes no new connections" } else { "" };
        Ok((Goal::Live(self.version), format!("{key} has weight {weight}{none}")))
    }

    fn thaw_by_operator(&mut self, service: &Name) -> Accepted {
        self.check_service(service)?;
        let Some(gone) = self.thaw(service, "thawed by the operator") else {
            let message =
                format!("service `{service}` is not frozen: `sluice status` shows which are");
            return refuse(RefusalKind::Precondition, message);
        };
        let message = format!("{service} is thawed; {gone} binding(s) that are missing go");
        Ok((Goal::Live(self.version), message))
    }

    fn drop_share(&mut self, service: &Name, class: Option<Name>, policy: Policy) -> Accepted {
        self.check_service(service)?;
        let classes: Vec<Name> = match class {
            Some(class) => {
                if !self.has_class(&class) {
                    let known: Vec<_> = self.classes().collect();
                    let message = format!(
                        "there is no class `{class}`; this manager has: {}",
                        Self::list(known.iter())
                    );
                    return refuse(RefusalKind::NotFound, message);
                }
                vec![class]
            }
            None => self.classes().collect(),
        };
        for class in &classes {
            self.put_policy(service, class, policy);
        }
        let share = policy.refuse.percent();
        let of = match classes.as_slice() {
            [class] => format!("class {class}"),
            _ => "every class".to_owned(),
        };
        let message = if policy.refuse == Share::NONE {
            format!("{service} refuses none of the new connections of {of}")
        } else {
            format!("{service} refuses {share} % of the new connections of {of}")
        };
        self.publish(Event {
            kind: "policy.changed",
            service: Some(service.clone()),
            message: format!("{message}, by the operator"),
            ..Event::default()
        });
        Ok((Goal::Live(self.version), message))
    }

    pub(super) fn put_policy(&mut self, service: &Name, class: &Name, policy: Policy) {
        let key = (service.clone(), class.clone());
        let plan = self.settings.services.get(service);
        let base = plan.and_then(|plan| plan.policies.get(class)).copied().unwrap_or_default();
        if base == policy {
            self.intent.drops.remove(&key);
        } else {
            self.intent.drops.insert(key.clone(), policy);
        }
        self.saving.dirty = true;
        let before = self.desired.policies.get(&key).copied().unwrap_or_default();
        let change = Change::PutPolicy { service: service.clone(), class: class.clone(), policy };
        // Service and class are known, so that the change fits.
        if before != policy && self.desired.apply(&change).is_ok() {
            self.version += 1;
        }
    }

    pub(super) fn has_class(&self, class: &Name) -> bool {
        self.classes().any(|known| known == *class)
    }

    /// Every class, the default class last.
    fn classes(&self) -> impl Iterator<Item = Name> {
        let default = DEFAULT_CLASS.parse().ok();
        self.settings.classes.iter().map(|class| class.name.clone()).chain(default)
    }

    pub(super) fn check_service(&self, service: &Name) -> Result<(), Refusal> {
        if self.settings.services.contains_key(service) {
            return Ok(());
        }
        let known = Self::list(self.settings.services.keys());
        refuse(
            RefusalKind::NotFound,
            format!("there is no service `{service}`; this manager has: {known}"),
        )
    }

    pub(super) fn check_binding(&self, key: &BindingKey) -> Result<&super::Record, Refusal> {
        const MOST: usize = 20;
        self.bindings.get(key).ok_or_else(|| {
            let backends =
                self.of_service(&key.service).map(|(other, _)| other.backend.to_string());
            let mut known: Vec<_> = backends.take(MOST + 1).collect();
            if known.len() > MOST {
                known[MOST] = "...".to_owned();
            }
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!(
                "service `{}` has no backend {}; it has: {known}",
                key.service, key.backend
            );
            Refusal { kind: RefusalKind::NotFound, message }
        })
    }

    /// The agent that asks for a binding, honoured or not, and its boot.
    pub(super) fn claimant(&self, key: &BindingKey) -> Option<(Name, u64)> {
        let asks =
            |(_, agent): &(&Name, &super::Agent)| !agent.leaving && agent.binds.contains_key(key);
        self.agents.iter().find(asks).map(|(name, agent)| (name.clone(), agent.boot))
    }
}
