//! Bindings that a switch holds and this manager does not know: it may have
//! started a moment ago, and their agents may speak any moment.

use std::collections::BTreeSet;

use super::{Core, bindings::State, freeze::Loss};
use crate::model::{Binding, BindingKey, Phase};

impl Core {
    /// Bindings that were found on a switch and that nobody vouches for.
    pub(super) fn unvouched(&self) -> impl Iterator<Item = BindingKey> {
        self.bindings
            .iter()
            .filter(|(key, record)| matches!(record.state, State::Unknown(_)) && !self.vouched(key))
            .map(|(key, _)| key.clone())
    }

    /// Drains it, or breaks it where that had begun.
    pub(super) fn retire_unvouched(&mut self, key: &BindingKey) {
        let Some(record) = self.bindings.get(key) else {
            return;
        };
        let broken = record.state.phase() == Some(Phase::Break);
        let reason = "nobody vouches for it";
        self.tell("binding.unvouched", key, reason.to_owned());
        let state = if broken {
            State::Broken { until: self.now + self.settings.break_linger }
        } else {
            State::Draining { until: self.now + self.settings.drain_deadline }
        };
        self.enter(key, state, reason);
    }

    /// What agents that are still here have said that they leave.
    pub(super) fn left(&self) -> BTreeSet<BindingKey> {
        let claims = self.agents.values().flat_map(|agent| {
            agent.binds.iter().map(|(key, claim)| (key, agent.leaving || claim.has_left()))
        });
        claims.filter(|(_, left)| *left).map(|(key, _)| key.clone()).collect()
    }

    /// A switch holds a binding that is not desired; `left`: its agent has said
    /// that it leaves it, so that it is no loss.
    pub(super) fn found(&mut self, key: &BindingKey, mut binding: Binding, left: bool) {
        if binding.phase == Phase::Serve && self.is_asked_to_close(key) {
            // What begins now would be closed with what is being broken.
            binding.phase = Phase::Drain;
        }
        if !self.settings.services.contains_key(&key.service) {
            return; // The file no longer has the service: it goes with all it has.
        }
        match self.bindings.get(key) {
            Some(record) if record.state == State::Pending => {
                self.enter(key, State::Unknown(binding), "found on a switch; being verified");
                if self.vouched(key) {
                    self.evaluate(key);
                } else {
                    // Whoever would vouch for it has said already that it goes.
                    self.take_leave(key, "found on a switch, and its agent leaves");
                }
                return;
            }
            Some(_) => return,
            None => {}
        }
        let state = State::Unknown(binding);
        let how = "found on a switch";
        let created = self
            .create(key, binding.server_id, state.clone(), how)
            // Its id may be another's by now; its connections stay its own.
            .or_else(|_| self.create(key, None, state, how));
        if let Err(error) = created {
            self.tell("binding.misfit", key, format!("found on a switch, cannot stay: {error}"));
            return;
        }
        if let Some(removal) = self.intent.removals.get(key).copied() {
            let force = removal.force || binding.phase == Phase::Break;
            let state = self.leaving(force, removal.deadline);
            self.enter(key, state, "removed by the operator");
        } else if left {
            self.retire_unvouched(key);
        } else if !self.learning() && binding.phase == Phase::Serve {
            self.lose(key, None, Loss::Unvouched);
        } else if !self.learning() {
            self.retire_unvouched(key);
        }
    }
}
