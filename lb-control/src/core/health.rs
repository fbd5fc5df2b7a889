//! The verdict over all who vouch for a binding.

use super::{
    Core,
    bindings::{Stage, State},
};
use crate::model::BindingKey;

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

impl Core {
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
        let probe = self.is_probed(key).then(|| record.probes.word.clone());
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
}
