//! What each edge was told, and what it holds.

use std::time::Duration;

use lb_control::{
    core::{Core, SessionId},
    model::{
        BindingKey, CLOSE_WITHIN, Change, Delta, FromSwitch, Phase, Stamp, SwitchState, ToSwitch,
    },
};

use super::{Invariant, Judge, Outcome, violates};
use crate::{edges::Edge, scene};

/// Decisions that an edge may still be handed.
const KEPT: usize = 8;

/// One edge, as it was told and as it has said.
#[derive(Debug, Default)]
pub struct Known {
    pub session: Option<SessionId>,
    /// It has said hello to this manager.
    pub met: bool,
    /// It can probe.
    pub probes: bool,
    /// What it has said that it holds.
    holds: SwitchState,
    /// The delta that is under way, and when it was sent.
    flight: Option<(Stamp, Duration)>,
    /// It refused the last one.
    refused: bool,
    /// Of the last delta that it has acknowledged.
    live: Stamp,
    /// When it last had all that was decided.
    agreed: Duration,
    /// Of the last delta of this manager to it.
    pub last_sent: Stamp,
    /// What was decided for a stamp, and in which step.
    decided: Vec<(Stamp, SwitchState, u64)>,
    /// It said hello with what it was not last given: it was changed behind the
    /// manager's back, or the hello is an old one.
    strange: bool,
}

impl Known {
    pub fn disconnected(&mut self) {
        self.session = None;
        self.flight = None;
    }

    /// Whether it holds a binding, or is about to.
    pub fn may_hold(&self, key: &BindingKey) -> bool {
        let flight = self.flight.and_then(|(stamp, _)| Some(&self.decided(stamp)?.1));
        let states = flight.into_iter().chain([&self.holds]);
        self.met && states.into_iter().any(|state| state.bindings.contains_key(key))
    }

    fn decided(&self, stamp: Stamp) -> Option<&(Stamp, SwitchState, u64)> {
        self.decided.iter().rev().find(|(of, ..)| *of == stamp)
    }
}

impl Judge {
    pub(super) fn switch_speaks(&mut self, session: SessionId, message: &FromSwitch) {
        if let FromSwitch::Hello(hello) = message {
            let known = self.edges.entry(hello.name.clone()).or_default();
            if known.session.is_some_and(|other| other != session) {
                return; // It is sent away.
            }
            let again = known.session == Some(session);
            known.session = Some(session);
            (known.met, known.probes) = (true, hello.probes);
            let given =
                known.decided(hello.stamp).is_some_and(|(_, state, _)| *state == hello.state);
            known.strange = (again && known.strange) || !given || hello.stamp < known.live;
            known.holds = hello.state.clone();
            if !again {
                known.flight = None;
                known.refused = false;
            }
            for (key, binding) in &hello.state.bindings {
                if binding.phase == Phase::Serve {
                    self.found.push(key.clone());
                } else if self.facts(key).phase != Some(Phase::Serve) {
                    let now = self.now;
                    let facts = self.facts(key);
                    facts.excused = Some((now, "an edge was found not to serve it"));
                    facts.found = now;
                }
            }
            if hello.probes {
                self.prober_comes();
            }
            self.excuse_found();
            return;
        }
        if let FromSwitch::Probed(reports) = message {
            self.edge_probed(session, reports);
            return;
        }
        let of_session = |known: &&mut Known| known.session == Some(session);
        let Some(known) = self.edges.values_mut().find(of_session) else { return };
        match message {
            FromSwitch::Applied { stamp, .. } => {
                let Some((_, sent)) = known.flight.take_if(|(of, _)| of == stamp) else { return };
                if let Some((_, state, _)) = known.decided(*stamp) {
                    known.holds = state.clone();
                }
                (known.agreed, known.live) = (sent, *stamp);
                known.refused = false;
                known.strange = false;
            }
            FromSwitch::Refused { stamp, .. } => {
                known.refused |= known.flight.take_if(|(of, _)| of == stamp).is_some();
            }
            FromSwitch::Hello(_)
            | FromSwitch::Counters(_)
            | FromSwitch::Drifted(_)
            | FromSwitch::Lacks(_)
            | FromSwitch::Probed(_) => {}
        }
    }

    /// A delta is sent.
    pub(super) fn told(&mut self, session: SessionId, message: &ToSwitch, core: &Core) -> Outcome {
        let ToSwitch::Apply(Delta { stamp, changes }) = message else { return Ok(()) };
        let of_session = |known: &&mut Known| known.session == Some(session);
        let Some(known) = self.edges.values_mut().find(of_session) else {
            return violates(Invariant::InOrder, format!("{stamp:?} goes to nobody's session"));
        };
        if let Some((other, _)) = known.flight {
            let what = format!("{stamp:?} is sent while {other:?} is under way");
            return violates(Invariant::InOrder, what);
        }
        if *stamp <= known.last_sent {
            let what = format!("{stamp:?} is sent after {:?}", known.last_sent);
            return violates(Invariant::InOrder, what);
        }
        for change in changes.iter() {
            let (Change::PutBinding(key, _) | Change::DeleteBinding(key)) = change else {
                continue;
            };
            let serves = |state: &SwitchState| {
                state.bindings.get(key).is_some_and(|binding| binding.phase == Phase::Serve)
            };
            if known.strange || !serves(&known.holds) || serves(core.desired()) {
                continue;
            }
            let excused = self.keys.get(key).and_then(|facts| facts.excused);
            if excused.is_none_or(|(at, _)| at < known.agreed) {
                let what = format!(
                    "{key} is taken from serving; the last reason for that: {excused:?}, and the \
                     edge was up to date at {:?}",
                    known.agreed
                );
                return violates(Invariant::VouchedStays, what);
            }
        }
        let mut told = core.desired().clone();
        if self.now < self.started + CLOSE_WITHIN {
            hold_back(&mut told, &known.holds, changes);
        }
        known.last_sent = *stamp;
        known.flight = Some((*stamp, self.now));
        if known.decided.len() == KEPT {
            known.decided.remove(0);
        }
        known.decided.push((*stamp, told, self.step));
        Ok(())
    }

    /// An edge applies a delta: it must then hold what was decided.
    pub fn applies(&self, delta: &Delta, edge: &mut Edge) -> Outcome {
        let stamp = delta.stamp;
        let decided = self.edges.get(&edge.name).and_then(|known| known.decided(stamp));
        let Some((_, state, step)) = decided else {
            let what = format!("edge {} is handed {stamp:?}, which was not decided", edge.name);
            return violates(Invariant::InOrder, what);
        };
        for change in delta.changes.iter() {
            if let Err(error) = edge.state.apply(change) {
                let what = format!("{change:?} does not fit edge {}: {error}", edge.name);
                return violates(Invariant::EdgesExact, what);
            }
            if let Change::PutBinding(key, binding) = change
                && binding.phase == Phase::Serve
            {
                edge.serves_since.entry(key.clone()).or_insert(*step);
            }
        }
        let Edge { state: held, serves_since, .. } = edge;
        serves_since.retain(|key, _| {
            held.bindings.get(key).is_some_and(|binding| binding.phase == Phase::Serve)
        });
        edge.stamp = stamp;
        // What was changed and is not known of yet stays so.
        edge.tampered &= edge.state != *state;
        if edge.state != *state && !edge.tampered {
            let what = format!("edge {} with {stamp:?} holds {:?}", edge.name, edge.state.bindings);
            return violates(Invariant::EdgesExact, what);
        }
        Ok(())
    }

    /// An acknowledgement arrives: the edge must hold what it speaks of, or
    /// what came after.
    pub fn acknowledged(&self, stamp: Stamp, edge: &Edge) -> Outcome {
        let is_empty = edge.stamp == Stamp::default();
        if edge.stamp >= stamp || edge.tampered || is_empty {
            return Ok(());
        }
        let what = format!("edge {} has said {stamp:?}, and holds {:?}", edge.name, edge.stamp);
        violates(Invariant::EdgesExact, what)
    }

    /// Whether an edge has refused what it was last sent.
    pub fn is_refused(&self) -> bool {
        self.edges.values().any(|known| known.refused)
    }

    pub(super) fn look_at_edges(&mut self) {
        for known in self.edges.values_mut() {
            if known.session.is_some() && known.flight.is_none() && !known.refused {
                known.agreed = self.now;
                known.strange = false;
            }
        }
    }
}

/// A manager that has just started need not have a switch begin to serve what is
/// decided to serve: an agent may still act on what the one before it has asked.
fn hold_back(told: &mut SwitchState, holds: &SwitchState, changes: &[Change]) {
    for key in scene::keys() {
        let puts = |change: &Change| matches!(change, Change::PutBinding(of, _) if of == key);
        let serves = |state: &SwitchState| {
            state.bindings.get(key).is_some_and(|binding| binding.phase == Phase::Serve)
        };
        if !serves(told) || serves(holds) || changes.iter().any(puts) {
            continue;
        }
        match holds.bindings.get(key) {
            Some(held) => told.bindings.insert(key.clone(), *held),
            None => told.bindings.remove(key),
        };
    }
}
