//! Agents and switches, as the world plays them.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    core::*,
    model::{
        Application, BindingKey, Delta, FromSwitch, Hello, Name, ProbeId, ProbeOrder, ProbeOrders,
        ProbePath, Probed, Stamp, SwitchState,
    },
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
    /// It probes.
    pub(super) able: bool,
    /// What it probes, and outcomes in a row that were alike.
    pub(super) probes: BTreeMap<ProbeId, (ProbeOrder, bool, u32)>,
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
            probes: self.able,
        }
    }

    pub(super) fn ordered(&mut self, orders: ProbeOrders) {
        assert!(self.able, "a switch that cannot probe is not asked to");
        for order in orders.start {
            let before = self.probes.insert(order.probe, (order, true, 0));
            assert!(before.is_none(), "probe numbers are used once");
        }
        for probe in orders.stop {
            self.probes.remove(&probe).expect("only what runs is stopped");
        }
    }

    /// One round of its probes.
    pub(super) fn probe(&mut self, is_blocked: impl Fn(&ProbePath) -> bool) -> Vec<Probed> {
        let one = |(&probe, (order, good, run)): (&ProbeId, &mut (ProbeOrder, bool, u32))| {
            let outcome =
                if is_blocked(&order.path) { Err("no answer".to_owned()) } else { Ok(()) };
            *run = if *good == outcome.is_ok() { *run + 1 } else { 1 };
            *good = outcome.is_ok();
            Probed { probe, outcome, run: *run }
        };
        self.probes.iter_mut().map(one).collect()
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
