//! What a switch holds beside what it should: `sluice diff --switch`.

use std::collections::BTreeSet;

use super::{Action, Alteration, Core};
use crate::model::{Binding, Name, Policy, ServiceSpec, SwitchState};

impl Core {
    /// The differences between what a switch holds, as far as it has said, and what
    /// it should; and whether it is connected.
    ///
    /// # Errors
    /// There is no such switch; says which there are.
    pub fn beside(&self, name: &Name) -> Result<(Vec<Alteration>, bool), String> {
        let switch = self.switch(name)?;
        Ok((differences(&switch.holds, &self.desired), switch.session.is_some()))
    }
}

fn differences(holds: &SwitchState, should: &SwitchState) -> Vec<Alteration> {
    let mut found = Vec::new();
    let mut note =
        |what, service: &Name, name: String, before: Option<String>, after: Option<String>| {
            let action = match (&before, &after) {
                _ if before == after => return,
                (None, _) => Action::Add,
                (_, None) => Action::Remove,
                _ => Action::Change,
            };
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            found.push(Alteration { action, what, service: service.clone(), name, before, after });
        };
    let names: BTreeSet<_> = holds.services.keys().chain(should.services.keys()).collect();
    for name in names {
        let (before, after) = (holds.services.get(name), should.services.get(name));
        if before != after {
            note("service", name, String::new(), before.map(service), after.map(service));
        }
        let keys = holds.bindings.keys().chain(should.bindings.keys());
        let keys: BTreeSet<_> = keys.filter(|key| key.service == *name).collect();
        for key in keys {
            let text = |state: &SwitchState| state.bindings.get(key).map(binding);
            note("backend", name, key.backend.to_string(), text(holds), text(should));
        }
        let policies = holds.policies.keys().chain(should.policies.keys());
        let policies: BTreeSet<_> = policies.filter(|(service, _)| service == name).collect();
        for key in policies {
            let text = |state: &SwitchState| state.policies.get(key).map(policy);
            note("policy", name, key.1.to_string(), text(holds), text(should));
        }
    }
    found
}

/// `203.0.113.10:80 tcp l2, ring 65537, by flow`
fn service(spec: &ServiceSpec) -> String {
    let ServiceSpec { address, protocol, mode, ring_size, affinity, .. } = spec;
    format!("{address} {protocol} {mode}, ring {ring_size}, by {affinity}")
}

/// `serve, weight 100`
fn binding(binding: &Binding) -> String {
    let id = binding.server_id.map(|id| format!(", server id {id}")).unwrap_or_default();
    format!("{}, weight {}{id}", binding.phase, binding.weight)
}

/// `50% reset`
fn policy(policy: &Policy) -> String {
    let verdict = match policy.verdict {
        crate::model::Verdict::Reset => "reset",
        crate::model::Verdict::Silent => "silent",
    };
    format!("{}% {verdict}", policy.refuse.percent())
}
