//! What there must be once all is calm.

use lb_control::model::{BindingKey, Phase};

use super::{Invariant, Outcome, violates};
use crate::{history, scene, world::World};

impl World {
    /// Every edge holds what is decided, that is what is vouched for and well,
    /// and nothing else; and the disk has what operators asked for.
    pub fn judge_end(&self) -> Outcome {
        let Some(core) = &self.manager.core else {
            return violates(Invariant::Converges, "no manager runs");
        };
        for edge in &self.edges {
            if !edge.is_connected() || edge.state != *core.desired() {
                let what = format!(
                    "edge {} holds {}; what is decided: {}",
                    edge.name,
                    history::bindings(&edge.state.bindings),
                    history::bindings(&core.desired().bindings)
                );
                return violates(Invariant::Converges, what);
            }
        }
        for key in scene::keys() {
            let held = core.desired().bindings.get(key).map(|binding| binding.phase);
            let wanted = self.is_well(key).then_some(Phase::Serve);
            if held != wanted {
                let what = format!("{key} is in phase {held:?}, and should be in {wanted:?}");
                return violates(Invariant::Converges, what);
            }
        }
        if self.manager.disk.intent != *core.intent() {
            return violates(Invariant::IntentKept, "the disk has another intent than the core");
        }
        self.judge.promises_kept(&self.manager.disk.intent, core)
    }

    /// Whether somebody stands for a binding, nobody removed it, and it is well.
    fn is_well(&self, key: &BindingKey) -> bool {
        let intent = &self.manager.disk.intent;
        let agent = self.agents.iter().any(|agent| agent.runs && agent.binds().contains(key));
        let vouched = agent || scene::in_file(key) || intent.adds.contains_key(key);
        vouched
            && !intent.removals.contains_key(key)
            && !self.dead.contains(&key.backend)
            && self.has_way(key)
    }

    /// Whether most of the edges that probe have a way to it, or half of them.
    fn has_way(&self, key: &BindingKey) -> bool {
        let able = || (0..self.edges.len()).filter(|&edge| self.edges[edge].able);
        let open = able().filter(|&edge| !self.blocked.contains(&(edge, key.backend)));
        !scene::is_probed_by_path(key) || open.count() * 2 >= able().count()
    }
}
