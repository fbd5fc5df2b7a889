//! What tells two declarations apart, for people and as steps.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{Declared, Withdrawal};
use crate::{
    core::ServicePlan,
    model::{BindingKey, Name, Policy, Scope, ServerId, Verdict, Weight},
};

/// One difference, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alteration {
    pub action: Action,
    /// `service`, `setting`, `backend`, `weight`, `removal` or `policy`.
    pub what: &'static str,
    pub service: Name,
    /// Which one of the service: an address, a class, a setting; empty for the
    /// service itself.
    pub name: String,
    /// How it is; empty where it is not.
    pub before: String,
    /// How it is to be; empty where it is not to be.
    pub after: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Add,
    Change,
    Remove,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    DeleteService(Name),
    /// The service alone, without its backends and policies.
    PutService(Box<ServicePlan>),
    /// A static backend goes.
    Withdraw(BindingKey, Withdrawal),
    /// An agent's binding goes.
    Remove(BindingKey, Withdrawal),
    /// An agent's binding may come back.
    Restore(BindingKey),
    /// What its agent asks for counts again.
    Unweigh(BindingKey),
    Put(BindingKey, Weight, Option<ServerId>),
    Weigh(BindingKey, Weight),
    SetPolicy(Name, Name, Policy),
}

/// What is to be done, and in which order: what goes first makes room.
#[derive(Default)]
struct Plan {
    alterations: Vec<Alteration>,
    deleted: Vec<Step>,
    services: Vec<Step>,
    going: Vec<Step>,
    coming: Vec<Step>,
}

/// The way from one declaration to another. `of_file` says of a binding whether
/// the configuration file has it as a static backend.
pub(super) fn compare(
    current: &Declared,
    wanted: &Declared,
    of_file: impl Fn(&BindingKey) -> bool,
) -> (Vec<Alteration>, Vec<Step>) {
    let mut plan = Plan::default();
    let names: BTreeSet<&Name> = current.services.keys().chain(wanted.services.keys()).collect();
    for name in names {
        match (current.services.get(name), wanted.services.get(name)) {
            (Some(before), None) => {
                let what = place(before);
                plan.note("service", name, String::new(), Some(what), None);
                plan.deleted.push(Step::DeleteService(name.clone()));
            }
            (before, Some(after)) => {
                plan.service(name, before, after);
                plan.backends(name, before, after, wanted, &of_file);
                plan.policies(name, before, after);
                plan.bindings(name, current, wanted, &of_file);
            }
            (None, None) => {}
        }
    }
    let Plan { alterations, deleted, services, going, coming } = plan;
    (alterations, [deleted, services, going, coming].concat())
}

impl Plan {
    fn note(
        &mut self,
        what: &'static str,
        service: &Name,
        name: String,
        before: Option<String>,
        after: Option<String>,
    ) {
        let action = match (&before, &after) {
            (None, _) => Action::Add,
            (Some(_), None) => Action::Remove,
            (Some(_), Some(_)) => Action::Change,
        };
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let service = service.clone();
        self.alterations.push(Alteration { action, what, service, name, before, after });
    }

    fn service(&mut self, name: &Name, before: Option<&ServicePlan>, after: &ServicePlan) {
        let Some(before) = before else {
            self.note("service", name, String::new(), None, Some(place(after)));
            self.services.push(Step::PutService(Box::new(after.clone())));
            return;
        };
        let (old, new) = (settings(before), settings(after));
        if old == new {
            return;
        }
        for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            let (before, after) = (old.get(key).cloned(), new.get(key).cloned());
            if before != after {
                self.note("setting", name, key.clone(), before, after);
            }
        }
        self.services.push(Step::PutService(Box::new(after.clone())));
    }

    fn backends(
        &mut self,
        service: &Name,
        before: Option<&ServicePlan>,
        after: &ServicePlan,
        wanted: &Declared,
        of_file: &impl Fn(&BindingKey) -> bool,
    ) {
        let none = BTreeMap::new();
        let old = before.map_or(&none, |plan| &plan.backends);
        let key = |backend: &SocketAddr| BindingKey { service: service.clone(), backend: *backend };
        for (backend, given) in old.iter().filter(|(b, _)| !after.backends.contains_key(*b)) {
            let key = key(backend);
            let removal = wanted.removals.get(&key).copied();
            self.note("backend", service, backend.to_string(), Some(said(given)), None);
            if removal.is_none() || of_file(&key) {
                self.going.push(Step::Withdraw(key, removal.unwrap_or_default()));
            }
        }
        for (backend, given) in &after.backends {
            let before = old.get(backend);
            if before != Some(given) {
                let (weight, id) = *given;
                self.note(
                    "backend",
                    service,
                    backend.to_string(),
                    before.map(said),
                    Some(said(given)),
                );
                self.coming.push(Step::Put(key(backend), weight, id));
            }
        }
    }

    fn policies(&mut self, service: &Name, before: Option<&ServicePlan>, after: &ServicePlan) {
        let none = BTreeMap::new();
        let old = before.map_or(&none, |plan| &plan.policies);
        for class in old.keys().chain(after.policies.keys()).collect::<BTreeSet<_>>() {
            let (before, after) = (old.get(class), after.policies.get(class));
            if before != after {
                let policy = after.copied().unwrap_or_default();
                self.note(
                    "policy",
                    service,
                    class.to_string(),
                    before.map(refusal),
                    after.map(refusal),
                );
                self.coming.push(Step::SetPolicy(service.clone(), class.clone(), policy));
            }
        }
    }

    /// What is said of agents' bindings.
    fn bindings(
        &mut self,
        service: &Name,
        current: &Declared,
        wanted: &Declared,
        of_file: &impl Fn(&BindingKey) -> bool,
    ) {
        let of = |key: &&BindingKey| key.service == *service;
        let is_static = |key: &BindingKey| {
            wanted.services.get(service).is_some_and(|s| s.backends.contains_key(&key.backend))
        };
        for (key, withdrawal) in wanted.removals.iter().filter(|(key, _)| of(key)) {
            if !of_file(key) && !current.removals.contains_key(key) {
                let how = Some(leave(withdrawal));
                self.note("removal", service, key.backend.to_string(), None, how);
                self.going.push(Step::Remove(key.clone(), *withdrawal));
            }
        }
        for (key, withdrawal) in current.removals.iter().filter(|(key, _)| of(key)) {
            if !wanted.removals.contains_key(key) {
                let how = Some(leave(withdrawal));
                self.note("removal", service, key.backend.to_string(), how, None);
                if !is_static(key) {
                    self.coming.push(Step::Restore(key.clone()));
                }
            }
        }
        let keys: BTreeSet<_> =
            current.weights.keys().chain(wanted.weights.keys()).filter(of).collect();
        for key in keys {
            let (before, after) = (current.weights.get(key), wanted.weights.get(key));
            if before == after {
                continue;
            }
            let text = |weight: Option<&Weight>| weight.map(ToString::to_string);
            self.note("weight", service, key.backend.to_string(), text(before), text(after));
            match after {
                Some(&weight) => self.coming.push(Step::Weigh(key.clone(), weight)),
                None => self.going.push(Step::Unweigh(key.clone())),
            }
        }
    }
}

/// Where a service is, and how packets reach its backends.
fn place(plan: &ServicePlan) -> String {
    let spec = &plan.spec;
    format!("{} {} {}", spec.address, spec.protocol, spec.mode)
}

fn said((weight, id): &(Weight, Option<ServerId>)) -> String {
    match id {
        Some(id) => format!("weight {weight}, server id {id}"),
        None => format!("weight {weight}"),
    }
}

fn refusal(policy: &Policy) -> String {
    let verdict = match policy.verdict {
        Verdict::Reset => "reset",
        Verdict::Silent => "silent",
    };
    let scope = match policy.scope {
        Scope::Flow => "flow",
        Scope::Client => "client",
    };
    format!("refuse {} %, {verdict}, by {scope}", policy.refuse.percent())
}

fn leave(withdrawal: &Withdrawal) -> String {
    match withdrawal {
        Withdrawal { force: true, .. } => "by force".to_owned(),
        Withdrawal { deadline: Some(deadline), .. } => format!("within {deadline:?}"),
        Withdrawal { deadline: None, .. } => "gracefully".to_owned(),
    }
}

/// A service's own settings, as the file writes them: `health.rise` and `3`.
fn settings(plan: &ServicePlan) -> BTreeMap<String, String> {
    let alone =
        ServicePlan { backends: BTreeMap::new(), policies: BTreeMap::new(), ..plan.clone() };
    let mut flat = BTreeMap::new();
    // It is made of what TOML can hold.
    if let Ok(toml::Value::Table(table)) = toml::Value::try_from(alone.settings()) {
        flatten("", table, &mut flat);
    }
    flat
}

fn flatten(prefix: &str, table: toml::Table, flat: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        match value {
            toml::Value::Table(table) => flatten(&format!("{path}."), table, flat),
            value => drop(flat.insert(path, value.to_string())),
        }
    }
}
