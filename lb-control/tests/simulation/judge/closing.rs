//! Connections on servers that agents close when the switches break them.

use lb_control::{
    core::Output,
    model::{BindingKey, CLOSE_WITHIN, ToAgent},
};

use super::{Invariant, Judge, Outcome, violates};
use crate::{edges::Edge, scene};

impl Judge {
    /// Notes what agents are asked to close.
    pub(super) fn note_closes(&mut self, outputs: &[Output]) {
        let until = self.now + CLOSE_WITHIN;
        for output in outputs {
            if let Output::ToAgent { message: ToAgent::Close { key, .. }, .. } = output {
                self.closes.insert(key.clone(), until);
            }
        }
    }

    /// Whether an agent may be about to close new connections of what an edge is
    /// found to serve, with those of another binding of its.
    pub(super) fn ends_with_others(&self, key: &BindingKey) -> bool {
        let asked = self.closes.iter().filter(|(_, until)| **until > self.now);
        let beside = |other: &BindingKey| {
            let mut agents = scene::agents().iter().enumerate();
            agents.any(|(agent, (_, binds))| {
                binds.contains(other) && scene::end_together(agent, other, key)
            })
        };
        asked.map(|(other, _)| other).any(beside)
    }

    /// An agent closes what it was asked to close in the step `asked`: nothing
    /// of it may be new, on any edge.
    pub fn server_side_closed(
        &self,
        agent: usize,
        key: &BindingKey,
        asked: u64,
        edges: &[Edge],
    ) -> Outcome {
        for edge in edges {
            for (other, since) in &edge.serves_since {
                if *since > asked && scene::end_together(agent, key, other) {
                    let what = format!(
                        "agent {agent} closes connections of {key}, and {other} serves again on {}",
                        edge.name
                    );
                    return violates(Invariant::CloseInTime, what);
                }
            }
        }
        Ok(())
    }
}
