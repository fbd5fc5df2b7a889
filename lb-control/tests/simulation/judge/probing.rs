//! What probes have found, as far as the manager was told.
//!
//! Of the edges that probe a binding, most decide, and of a tie the good word.
//! While an edge that can is connected, the manager's own probes say nothing. Until
//! whoever comes in another's place has spoken, the last word stands, unless no
//! edge has the binding yet.

use std::collections::BTreeMap;

use lb_control::{
    core::{Output, SessionId},
    model::{BindingKey, ProbeId, Probed, ToSwitch},
};

use super::Judge;
use crate::scene;

/// What the probes of a binding have found.
#[derive(Debug, Default)]
pub struct Probing {
    runs: BTreeMap<ProbeId, Run>,
    /// What they say together.
    word: Option<bool>,
    /// Edges have said so.
    by_path: bool,
    /// The last of its probes was stopped since the core settled.
    emptied: bool,
}

#[derive(Debug)]
struct Run {
    /// The edge's session; None: the manager itself.
    by: Option<SessionId>,
    good: u32,
    bad: u32,
    /// Enough alike in a row.
    word: Option<bool>,
}

impl Judge {
    /// Whether probes have found it well, ill, or nothing yet.
    pub(super) fn found(&self, key: &BindingKey) -> Option<bool> {
        self.probings.get(key)?.word
    }

    /// The manager's own probe has an outcome.
    pub(super) fn probe_speaks(&mut self, probe: ProbeId, good: bool) {
        self.note_outcome(probe, None, good, None);
    }

    pub(super) fn edge_probed(&mut self, session: SessionId, reports: &[Probed]) {
        for report in reports {
            self.note_outcome(
                report.probe,
                Some(session),
                report.outcome.is_ok(),
                Some(report.run),
            );
        }
    }

    fn note_outcome(
        &mut self,
        probe: ProbeId,
        by: Option<SessionId>,
        is_good: bool,
        in_a_row: Option<u32>,
    ) {
        let of_probe = |(_, probing): &(&BindingKey, &mut Probing)| {
            probing.runs.get(&probe).is_some_and(|run| run.by == by)
        };
        let Some((key, probing)) = self.probings.iter_mut().find(of_probe) else { return };
        let (key, Some(run)) = (key.clone(), probing.runs.get_mut(&probe)) else { return };
        let count = if is_good { run.good } else { run.bad };
        let count = in_a_row.unwrap_or(count + 1);
        (run.good, run.bad) = if is_good { (count, 0) } else { (0, count) };
        let health = &scene::settings().services[&key.service].health;
        if count >= if is_good { health.rise } else { health.fall } {
            run.word = Some(is_good);
        }
        self.sum_up(&key);
    }

    fn sum_up(&mut self, key: &BindingKey) {
        let is_path = self.an_edge_probes() && scene::is_probed_by_path(key);
        let Some(probing) = self.probings.get_mut(key) else { return };
        let counts = |run: &&Run| run.by.is_some() || !is_path;
        let words = || probing.runs.values().filter(counts).filter_map(|run| run.word);
        let (good, all) = (words().filter(|good| *good).count(), words().count());
        if all > 0 {
            probing.word = Some(good * 2 >= all);
            probing.by_path = probing.runs.values().any(|run| run.by.is_some());
        }
        if probing.word == Some(false) {
            self.lose(key, "its probes failed");
        }
    }

    fn an_edge_probes(&self) -> bool {
        self.edges.values().any(|known| known.probes && known.session.is_some())
    }

    /// What an edge has said goes with its session.
    pub(super) fn prober_ends(&mut self, session: SessionId) {
        for key in scene::keys() {
            let Some(probing) = self.probings.get_mut(key) else { continue };
            let before = probing.runs.len();
            probing.runs.retain(|_, run| run.by != Some(session));
            if probing.runs.len() != before {
                self.sum_up(key);
            }
        }
    }

    /// An edge that probes says hello.
    pub(super) fn prober_comes(&mut self) {
        for key in scene::keys().iter().filter(|key| scene::is_probed_by_path(key)) {
            if self.edges.values().any(|known| known.may_hold(key)) {
                continue;
            }
            if let Some(probing) = self.probings.get_mut(key).filter(|probing| !probing.by_path) {
                probing.word = None;
            }
        }
    }

    /// Follows which probes run. What the manager does itself it says at once, and
    /// what edges are to do when it `settled`: in between, probes may pass from one
    /// to the other.
    pub(super) fn note_probes(&mut self, outputs: &[Output], settled: bool) {
        let mut stopped = Vec::new();
        for output in outputs {
            match output {
                Output::StartProbe { probe, backend, .. } => {
                    let key = scene::keys().iter().find(|key| key.backend == *backend);
                    self.probe_starts(*probe, key, None);
                }
                Output::StopProbe { probe } => stopped.push(*probe),
                Output::ToSwitch { session, message: ToSwitch::Probe(orders) } => {
                    for order in &orders.start {
                        let key = scene::keys().iter().find(|key| scene::path(key) == order.path);
                        self.probe_starts(order.probe, key, Some(*session));
                    }
                    stopped.extend(&orders.stop);
                }
                _ => {}
            }
        }
        for probing in self.probings.values_mut() {
            let before = probing.runs.len();
            probing.runs.retain(|probe, _| !stopped.contains(probe));
            probing.emptied |= probing.runs.is_empty() && before > 0;
            if settled && std::mem::take(&mut probing.emptied) && probing.runs.is_empty() {
                // Nobody stands for it: whoever does next is verified from zero.
                *probing = Probing::default();
            }
        }
    }

    fn probe_starts(&mut self, probe: ProbeId, key: Option<&BindingKey>, by: Option<SessionId>) {
        let Some(key) = key else { return };
        let run = Run { by, good: 0, bad: 0, word: None };
        self.probings.entry(key.clone()).or_default().runs.insert(probe, run);
    }
}
