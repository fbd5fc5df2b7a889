//! Who stands for a binding, and whose word counts of its weight and its server id:
//! the operator, its agent, a DFP agent or the file.

use super::{Core, agents::Claim};
use crate::model::{BindingKey, Name, ServerId, Weight};

impl Core {
    /// Whether anybody stands for it, so that health may bring it to serve.
    pub(super) fn vouched(&self, key: &BindingKey) -> bool {
        if self.intent.removals.contains_key(key) {
            return false;
        }
        match self.bindings.get(key).and_then(|record| record.agent.as_ref()) {
            Some(agent) => self.agents.get(agent).is_some_and(|agent| {
                !agent.leaving && !agent.binds.get(key).is_some_and(Claim::has_left)
            }),
            None => self.is_static(key),
        }
    }

    /// Whether the file or a command has it.
    pub(super) fn is_static(&self, key: &BindingKey) -> bool {
        !self.intent.removals.contains_key(key)
            && (self.intent.adds.contains_key(key) || self.in_file(key))
    }

    pub(super) fn in_file(&self, key: &BindingKey) -> bool {
        let plan = self.settings.services.get(&key.service);
        plan.is_some_and(|plan| plan.backends.contains_key(&key.backend))
    }

    /// The weight that counts: what an operator has set in place of others, what a
    /// DFP agent reports, and else its own.
    pub(super) fn given_weight(&self, key: &BindingKey) -> Option<Weight> {
        let by_operator = self.intent.weights.get(key).copied();
        by_operator.or_else(|| self.fed_weight(key)).or_else(|| self.own_weight(key))
    }

    /// The weight that it was added with, asked for by its agent, or has in the file.
    pub(super) fn own_weight(&self, key: &BindingKey) -> Option<Weight> {
        let by_command = || self.intent.adds.get(key).copied();
        let by_agent = || {
            let agent = self.bindings.get(key)?.agent.as_ref()?;
            let claim = self.agents.get(agent)?.binds.get(key)?;
            Some(claim.application.weight.unwrap_or(claim.weight))
        };
        let by_file =
            || Some(self.settings.services.get(&key.service)?.backends.get(&key.backend)?.0);
        by_command().or_else(by_agent).or_else(by_file)
    }

    /// The server id that counts, likewise; `agent` asks for the binding.
    pub(super) fn given_server_id(&self, key: &BindingKey, agent: &Name) -> Option<ServerId> {
        let by_command = || self.intent.server_ids.get(key).copied();
        let by_agent = || self.agents.get(agent)?.binds.get(key)?.server_id;
        by_command().or_else(by_agent).or_else(|| self.server_id_in_file(key))
    }

    pub(super) fn server_id_in_file(&self, key: &BindingKey) -> Option<ServerId> {
        self.settings.services.get(&key.service)?.backends.get(&key.backend)?.1
    }
}
