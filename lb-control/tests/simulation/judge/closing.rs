//! Connections on servers that agents close when the switches break them.

use lb_control::model::BindingKey;

use super::{Invariant, Judge, Outcome, violates};
use crate::{edges::Edge, scene};

impl Judge {
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
