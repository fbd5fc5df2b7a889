//! Agents and switches, as the world plays them.

use std::time::Duration;

use crate::{
    core::*,
    model::{Application, BindingKey, Delta, FromSwitch, Hello, Name, Stamp, SwitchState},
};

/// An agent, as the world plays it.
#[derive(Clone, Debug)]
pub(super) struct FakeAgent {
    pub(super) boot: u64,
    pub(super) binds: Vec<BindingKey>,
    pub(super) session: SessionId,
    pub(super) sequence: u64,
    pub(super) health: Result<(), String>,
    pub(super) connections: u64,
    pub(super) application: Application,
    /// It no longer heartbeats.
    pub(super) silent: bool,
    /// It leaves it unanswered when it is asked to close connections.
    pub(super) slow: bool,
}

/// A switch, as the world plays it.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeSwitch {
    pub(super) session: Option<SessionId>,
    pub(super) state: SwitchState,
    pub(super) stamp: Stamp,
    /// Why it refuses every delta.
    pub(super) refuses: Option<String>,
    /// It leaves deltas unanswered.
    pub(super) held: bool,
    pub(super) unanswered: Vec<Delta>,
    /// Every delta that came, answered or not.
    pub(super) deltas: Vec<Delta>,
}

impl FakeSwitch {
    /// A full read.
    pub(super) fn read(&self, name: Name) -> Hello {
        Hello {
            name,
            stamp: self.stamp,
            generation: self.stamp.sequence,
            state: self.state.clone(),
            description: "fake".to_owned(),
        }
    }

    pub(super) fn answer(&mut self, session: SessionId) -> Input {
        let delta = self.unanswered.pop().expect("a delta to answer");
        let stamp = delta.stamp;
        let message = match &self.refuses {
            Some(reason) => FromSwitch::Refused { stamp, reason: reason.clone() },
            None => {
                assert!(stamp > self.stamp, "{stamp:?} is not newer than {:?}", self.stamp);
                let mut state = self.state.clone();
                let misfit = delta.changes.iter().find_map(|change| state.apply(change).err());
                if let Some(error) = misfit {
                    let reason = error.to_string();
                    return Input::Switch {
                        session,
                        message: FromSwitch::Refused { stamp, reason },
                    };
                }
                self.state = state;
                self.stamp = stamp;
                let generation = stamp.sequence;
                FromSwitch::Applied { stamp, generation, live_after: Duration::from_micros(10) }
            }
        };
        Input::Switch { session, message }
    }
}
