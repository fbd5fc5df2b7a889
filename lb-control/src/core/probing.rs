//! Who probes a binding, and what the probes say together.
//!
//! Edges ask for it through the path that their clients' packets take: up to
//! [`PROBERS`] of those that are connected and can, chosen by a hash, so that
//! each has its share of the work. Most of them decide, and of a tie the good
//! word: no edge alone takes a backend from all, as long as another sees it
//! well. An edge that has just been asked says nothing until it is sure, and the
//! word of one that goes, goes with it.
//!
//! Where no edge can, the manager connects to the backend's own address. Until
//! whoever comes in another's place has spoken, the last word stands; but what
//! no switch has yet is not brought to one by the manager's word, once an edge
//! can tell better.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
};

use super::{
    Core, Output, ProbeView,
    bindings::{Record, State},
    switches::Switch,
};
use crate::model::{
    BindingKey, Name, ProbeId, ProbeOrder, ProbeOrders, ProbePath, Probed, ToSwitch,
};

/// Edges that probe a binding: one that is mistaken is outvoted.
const PROBERS: usize = 3;

/// Who probes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum By {
    Manager,
    Switch(Name),
}

/// A running probe and what it has said so far.
#[derive(Clone, Debug)]
struct Run {
    id: ProbeId,
    by: By,
    /// Outcomes in a row that were like the last one.
    run: u32,
    last: Option<Result<(), String>>,
    /// None until `rise` successes or `fall` failures in a row.
    word: Option<Result<(), String>>,
}

/// A binding's probes.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes {
    runs: Vec<Run>,
    /// What they say together; None before they have.
    pub(super) word: Option<Result<(), String>>,
    /// An edge has said so.
    by_path: bool,
}

/// What a switch is to be told of probes, once an input is handled.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    start: BTreeMap<ProbeId, ProbeOrder>,
    stop: Vec<ProbeId>,
}

impl Run {
    fn new(id: ProbeId, by: By) -> Self {
        Self { id, by, run: 0, last: None, word: None }
    }

    fn note(&mut self, outcome: Result<(), String>, run: u32, (rise, fall): (u32, u32)) {
        self.run = run;
        if run >= if outcome.is_ok() { rise } else { fall } {
            self.word = Some(outcome.clone().map_err(|cause| match &self.by {
                By::Manager => format!("probe: {cause}"),
                By::Switch(name) => format!("probe by edge `{name}`: {cause}"),
            }));
        }
        self.last = Some(outcome);
    }

    fn follows(&self, outcome: &Result<(), String>) -> bool {
        self.last.as_ref().is_some_and(|last| last.is_ok() == outcome.is_ok())
    }
}

impl Record {
    /// Probes speak well of it, and it is not to be on the switches. A bad word of the
    /// manager's stands until an edge knows better.
    fn is_well_and_off(&self) -> bool {
        self.state.phase().is_none() && self.probes.word == Some(Ok(()))
    }
}

impl Probes {
    /// Sums up; who has not spoken yet does not count.
    fn sum_up(&mut self) {
        let spoken = || self.runs.iter().filter_map(|run| run.word.as_ref());
        let (good, all) = (spoken().filter(|word| word.is_ok()).count(), spoken().count());
        if all == 0 {
            return;
        }
        let bad = spoken().find(|word| word.is_err()).cloned();
        self.word = if good * 2 >= all { Some(Ok(())) } else { bad };
        self.by_path = self.runs.iter().any(|run| run.by != By::Manager);
    }
}

impl Core {
    /// One outcome of the manager's own probe. One that was stopped has nothing
    /// to say.
    pub(super) fn probed(&mut self, id: ProbeId, outcome: Result<(), String>) {
        self.note_probe(id, &By::Manager, outcome, None);
    }

    /// A switch's probes have found something.
    pub(super) fn switch_probed(&mut self, switch: &Name, reports: Vec<Probed>) {
        let by = By::Switch(switch.clone());
        for Probed { probe, outcome, run } in reports {
            self.note_probe(probe, &by, outcome, Some(run));
        }
    }

    fn note_probe(
        &mut self,
        id: ProbeId,
        by: &By,
        outcome: Result<(), String>,
        in_a_row: Option<u32>,
    ) {
        let Some(key) = self.probes.get(&id).cloned() else {
            return;
        };
        let Some(plan) = self.settings.services.get(&key.service) else {
            return;
        };
        let enough = (plan.health.rise, plan.health.fall);
        let Some(record) = self.bindings.get_mut(&key) else {
            return;
        };
        // Nobody speaks for another.
        let Some(run) = record.probes.runs.iter_mut().find(|run| run.id == id && run.by == *by)
        else {
            return;
        };
        let counted = if run.follows(&outcome) { run.run.saturating_add(1) } else { 1 };
        run.note(outcome, in_a_row.unwrap_or(counted), enough);
        record.probes.sum_up();
        self.evaluate(&key);
    }

    /// Has probed what is vouched for, and nothing else.
    pub(super) fn sync_probe(&mut self, key: &BindingKey) {
        let wanted = if self.is_probed(key) && self.vouched(key) {
            self.probers(key)
        } else {
            self.stop_probes(key);
            return;
        };
        let Some(record) = self.bindings.get_mut(key) else {
            return;
        };
        let is_wanted = |run: &mut Run| !wanted.contains(&run.by);
        let needless: Vec<_> = record.probes.runs.extract_if(.., is_wanted).collect();
        let new: Vec<_> = wanted
            .into_iter()
            .filter(|by| !record.probes.runs.iter().any(|run| run.by == *by))
            .collect();
        if needless.is_empty() && new.is_empty() {
            return;
        }
        let begun: Vec<_> = new.into_iter().filter_map(|by| self.start_probe(key, by)).collect();
        for run in needless {
            self.stop_probe(&run);
        }
        if let Some(record) = self.bindings.get_mut(key) {
            record.probes.runs.extend(begun);
            record.probes.sum_up();
        }
    }

    /// Who is to probe a binding.
    fn probers(&self, key: &BindingKey) -> Vec<By> {
        if self.path_of(key).is_none() {
            return vec![By::Manager];
        }
        let able = self.switches.iter().filter(|(_, switch)| switch.probes());
        let mut able: Vec<&Name> = able.map(|(name, _)| name).collect();
        if able.len() > PROBERS {
            able.select_nth_unstable_by_key(PROBERS - 1, |name| rank(name, key));
            able.truncate(PROBERS);
            able.sort_unstable();
        }
        if able.is_empty() {
            return vec![By::Manager];
        }
        able.into_iter().map(|name| By::Switch(name.clone())).collect()
    }

    fn start_probe(&mut self, key: &BindingKey, by: By) -> Option<Run> {
        let plan = self.settings.services.get(&key.service)?;
        let health = plan.health;
        self.last_probe += 1;
        let probe = ProbeId(self.last_probe);
        match &by {
            By::Manager => self.out.push(Output::StartProbe {
                probe,
                backend: probed_at(key.backend, health.port),
                health,
            }),
            By::Switch(name) => {
                let path = plan.path(key.backend)?;
                let session = self.switches.get(name)?.session?;
                let order = ProbeOrder {
                    probe,
                    path,
                    interval: health.interval,
                    timeout: health.timeout,
                    rise: health.rise,
                    fall: health.fall,
                };
                self.orders.entry(session).or_default().start.insert(probe, order);
            }
        }
        self.probes.insert(probe, key.clone());
        Some(Run::new(probe, by))
    }

    fn stop_probe(&mut self, run: &Run) {
        self.probes.remove(&run.id);
        let By::Switch(name) = &run.by else {
            self.out.push(Output::StopProbe { probe: run.id });
            return;
        };
        // One that is gone has stopped by itself.
        if let Some(session) = self.switches.get(name).and_then(|switch| switch.session) {
            let orders = self.orders.entry(session).or_default();
            if orders.start.remove(&run.id).is_none() {
                orders.stop.push(run.id);
            }
        }
    }

    /// Nobody probes it any more, and what was said counts no more.
    pub(super) fn stop_probes(&mut self, key: &BindingKey) {
        let probes = self.bindings.get_mut(key).map(|record| std::mem::take(&mut record.probes));
        for run in probes.into_iter().flat_map(|probes| probes.runs) {
            self.stop_probe(&run);
        }
    }

    /// What the probes have said so far counts no more.
    pub(super) fn verify_anew(&mut self, key: &BindingKey) {
        self.stop_probes(key);
        self.sync_probe(key);
    }

    /// Tells switches what to probe from now on.
    pub(super) fn send_orders(&mut self) {
        for (session, Orders { start, stop }) in std::mem::take(&mut self.orders) {
            if !self.sessions.contains_key(&session) || (start.is_empty() && stop.is_empty()) {
                continue;
            }
            let message =
                ToSwitch::Probe(ProbeOrders { start: start.into_values().collect(), stop });
            self.out.push(Output::ToSwitch { session, message });
        }
    }

    /// A switch that can probe has come or gone.
    pub(super) fn probers_changed(&mut self) {
        for key in self.bindings.keys().cloned().collect::<Vec<_>>() {
            if self.path_of(&key).is_some() {
                self.sync_probe(&key);
                self.evaluate(&key);
            }
        }
    }

    /// The first switch that can probe is about to get what no switch holds, or is to
    /// hold, and what only the manager has verified: that is verified through the path
    /// first.
    pub(super) fn hold_unproven(&mut self) {
        let may_be_held =
            |key: &BindingKey| self.switches.values().any(|switch| switch.may_hold(key));
        let unproven = |(key, record): &(&BindingKey, &Record)| {
            !record.probes.by_path
                && record.probes.word.is_some()
                && self.path_of(key).is_some()
                && (!may_be_held(key) || record.is_well_and_off())
        };
        let unproven: Vec<_> =
            self.bindings.iter().filter(unproven).map(|(key, _)| key.clone()).collect();
        for key in unproven {
            let Some(record) = self.bindings.get_mut(&key) else { continue };
            record.probes.word = None;
            if record.state == State::Active {
                self.enter(&key, State::Pending, "to be verified through the path of its clients");
            }
        }
    }

    /// A binding goes off the switches: what only the manager has verified is verified
    /// through the path before it comes back, where an edge can.
    pub(super) fn doubt(&mut self, key: &BindingKey) {
        let by_manager = |record: &Record| record.is_well_and_off() && !record.probes.by_path;
        if self.bindings.get(key).is_some_and(by_manager)
            && self.path_of(key).is_some()
            && self.switches.values().any(Switch::probes)
            && let Some(record) = self.bindings.get_mut(key)
        {
            record.probes.word = None;
        }
    }

    /// Edges that have found no way to what others see well: one binding, why, and
    /// how many there are.
    pub(super) fn outvoted(&self) -> BTreeMap<&Name, (&BindingKey, &str, usize)> {
        let mut outvoted = BTreeMap::new();
        for (key, record) in &self.bindings {
            if record.probes.word != Some(Ok(())) {
                continue;
            }
            for run in &record.probes.runs {
                if let (By::Switch(name), Some(Err(why))) = (&run.by, &run.word) {
                    outvoted.entry(name).or_insert((key, why.as_str(), 0)).2 += 1;
                }
            }
        }
        outvoted
    }

    /// The way by which edges probe a binding, where they are to.
    fn path_of(&self, key: &BindingKey) -> Option<ProbePath> {
        self.settings.services.get(&key.service)?.path(key.backend)
    }

    pub(super) fn is_probed(&self, key: &BindingKey) -> bool {
        self.settings.services.get(&key.service).is_some_and(|plan| plan.is_probed())
    }

    /// A binding's probes, one by one.
    pub(super) fn probe_views(&self, key: &BindingKey, probes: &Probes) -> Vec<ProbeView> {
        let plan = self.settings.services.get(&key.service);
        let address = probed_at(key.backend, plan.and_then(|plan| plan.health.port));
        let view = |run: &Run| {
            let (path, switch) = match &run.by {
                By::Manager => (None, None),
                By::Switch(name) => (self.path_of(key), Some(name.clone())),
            };
            ProbeView {
                address: path.map_or(address, |path| path.to),
                last: run.last.clone(),
                run: run.run,
                switch,
                path,
            }
        };
        probes.runs.iter().map(view).collect()
    }

    /// By which way a binding was verified, or is being: `backend`, or the mode
    /// and who probes: `gue by east, west`. None where nobody probes it.
    pub(super) fn verified_by(&self, key: &BindingKey, probes: &Probes) -> Option<String> {
        let names = probes.runs.iter().map(|run| match &run.by {
            By::Manager => None,
            By::Switch(name) => Some(name.as_str()),
        });
        let names: Option<Vec<&str>> = names.collect();
        match (names, self.path_of(key)) {
            (None, _) => Some("backend".to_owned()),
            (Some(mut names), Some(path)) if !names.is_empty() => {
                names.sort_unstable();
                Some(format!("{} by {}", path.mode, names.join(", ")))
            }
            _ => None,
        }
    }
}

/// The lowest of these probe a binding: each edge has its share, and one that
/// comes or goes moves no other's.
fn rank(switch: &Name, key: &BindingKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    (switch, key).hash(&mut hasher);
    hasher.finish()
}

/// Where the manager probes a backend: at its own port, or the one that is set.
fn probed_at(mut backend: SocketAddr, port: Option<u16>) -> SocketAddr {
    backend.set_port(port.unwrap_or(backend.port()));
    backend
}
