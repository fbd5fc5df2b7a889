//! Two agents with one name, and agents that speak again after their end.
//!
//! | what says hello | while an older session of that name | outcome |
//! | --- | --- | --- |
//! | the same start of the agent | lives or not | it replaces the older session: its connection was lost unnoticed |
//! | another start | has ended or was silent for its timeout | it is welcome |
//! | another start | leaves | it is welcome: the older one makes room |
//! | another start | lives | refused until that ends or falls silent: it may be another server |

use std::time::Duration;

use super::{Core, agents::Agent};
use crate::model::Name;

/// Agents whose last heartbeat is remembered after their end.
const MOST: usize = 16_384;
/// How long a refused twin is worth an alarm: it tries again within seconds.
const RECENT: Duration = Duration::from_secs(30);

/// Another start of an agent that was refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Twin {
    boot: u64,
    at: Duration,
}

impl Core {
    /// Whether an agent of this name is alive and is not the one that says
    /// hello now; the answer is what that is told.
    pub(super) fn refuse_twin(&mut self, name: &Name, boot: u64) -> Option<String> {
        let now = self.now;
        let alive = |agent: &&mut Agent| agent.boot != boot && !agent.leaving;
        let agent = self.agents.get_mut(name).filter(alive)?;
        let told = agent.twin.replace(Twin { boot, at: now }).is_some_and(|twin| twin.boot == boot);
        let timeout = agent.timeout;
        if !told {
            let message = format!(
                "a second agent named `{name}` is refused while the first is heard: give each a \
                 name of its own"
            );
            self.publish_agent("agent.refused", message);
        }
        Some(format!(
            "another agent named `{name}` is connected and heard: give each agent a name of its \
             own (`name` in [agent]); one that is gone gives way after {timeout:?} of silence"
        ))
    }

    /// Names that two agents want at this time.
    pub(super) fn twins(&self) -> impl Iterator<Item = &Name> {
        let recent = |twin: Twin| self.now.saturating_sub(twin.at) < RECENT;
        self.agents
            .iter()
            .filter(move |(_, agent)| agent.twin.is_some_and(recent))
            .map(|(name, _)| name)
    }

    /// Remembers an agent's last heartbeat, so that its old ones are known as
    /// such if somebody repeats them.
    pub(super) fn remember(&mut self, name: &Name, agent: &Agent) {
        if self.heard.len() >= MOST && !self.heard.contains_key(name) {
            self.heard.pop_first();
        }
        self.heard.insert(name.clone(), (agent.boot, agent.last_sequence));
    }

    /// The last heartbeat that this start of an agent has sent.
    pub(super) fn last_heard(&mut self, name: &Name, boot: u64) -> u64 {
        match self.heard.remove(name) {
            Some((before, sequence)) if before == boot => sequence,
            _ => 0,
        }
    }
}
