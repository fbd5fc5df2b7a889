//! What is lost together is not believed at once.
//!
//! When a good part of a service is lost within a moment, the manager suspects
//! itself: its network, or whatever all agents lean on. It freezes the service,
//! which then keeps on the switches what it had (static stability), and raises
//! an alarm. A kept binding is in state unknown. The operator's commands, and
//! what an agent says of itself when it leaves, act on a frozen service too.
//!
//! It thaws at once when nothing is missing any more, by itself when for a
//! while no more is missing than could be lost one by one, or by command.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use super::{
    Core, Event,
    bindings::{Record, State},
    clock::Timer,
    health::Verdict,
};
use crate::model::{Binding, BindingKey, Name, Phase};

/// A service's losses.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    /// Bindings that were lost lately: where, when, and the state that this
    /// was answered with.
    recent: BTreeMap<BindingKey, (Machine, Duration, State)>,
    frozen: Option<Frozen>,
}

#[derive(Clone, Debug)]
struct Frozen {
    /// For people.
    why: String,
    /// Bindings that are kept though they are lost, and how they were lost.
    kept: BTreeMap<BindingKey, (Machine, Loss)>,
}

/// What fails as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// The host of an agent.
    Of(Name),
    At(IpAddr),
}

/// How a binding was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Who vouched for it is gone, or says that it is not well.
    Down(String),
    /// It was found on a switch, and nobody vouches for it.
    Unvouched,
}

impl Loss {
    fn cause(&self) -> &str {
        match self {
            Self::Down(cause) => cause,
            Self::Unvouched => "nobody vouches for it",
        }
    }
}

impl Core {
    /// A binding is lost, which nobody asked for. `agent` vouched for it. Only
    /// one that serves is missed: another was on its way out when it was found.
    pub(super) fn lose(&mut self, key: &BindingKey, agent: Option<&Name>, loss: Loss) {
        let serves = |record: &Record| record.state.phase() == Some(Phase::Serve);
        if !self.bindings.get(key).is_some_and(serves) {
            self.take_down(key, &loss);
            return;
        }
        let machine =
            agent.map_or(Machine::At(key.backend.ip()), |agent| Machine::Of(agent.clone()));
        if self.is_frozen(&key.service) {
            self.keep(key, machine, loss);
            return;
        }
        self.take_down(key, &loss);
        let Some(state) = self.bindings.get(key).map(|record| record.state.clone()) else {
            return;
        };
        let losses = self.losses.entry(key.service.clone()).or_default();
        losses.recent.insert(key.clone(), (machine, self.now, state));
        let lost = losses.recent.len();
        // Some of those count no more, and more than those that serve may stand.
        if self.is_much(lost, self.standings.active(&key.service)) {
            self.suspect(&key.service);
        }
    }

    fn take_down(&mut self, key: &BindingKey, loss: &Loss) {
        match loss {
            Loss::Down(cause) => self.down(key, cause),
            Loss::Unvouched => self.retire_unvouched(key),
        }
    }

    /// Freezes a service of which too much is lost for that to be likely.
    fn suspect(&mut self, service: &Name) {
        let since = self.now.saturating_sub(self.settings.freeze_window);
        let Some(losses) = self.losses.get_mut(service) else { return };
        let bindings = &self.bindings;
        losses.recent.retain(|key, (_, at, state)| {
            *at >= since && bindings.get(key).is_some_and(|record| record.state == *state)
        });
        let missing: Vec<_> = losses
            .recent
            .iter()
            .map(|(key, (machine, ..))| (key.clone(), machine.clone()))
            .collect();
        if !self.is_implausible(service, missing.iter().map(|(_, machine)| machine)) {
            return;
        }
        let of = missing.len() + self.standing(service, |_| false);
        let why = format!("{} of {of} bindings were lost at once", missing.len());
        self.freeze(service, why);
        for (key, machine) in missing {
            let reason = self.bindings.get(&key).map(|record| record.reason.clone());
            self.keep(&key, machine, Loss::Down(reason.unwrap_or_default()));
        }
    }

    /// Whether that much of a service is not lost by chance: a share of it, and
    /// more than one machine.
    fn is_implausible<'a>(
        &self,
        service: &Name,
        mut missing: impl Iterator<Item = &'a Machine> + Clone,
    ) -> bool {
        let count = missing.clone().count();
        let first = missing.next();
        let several = missing.any(|machine| Some(machine) != first);
        let frozen = self.frozen(service);
        let kept = |key: &BindingKey| frozen.is_some_and(|frozen| frozen.kept.contains_key(key));
        several && self.is_much(count, self.standing(service, kept))
    }

    /// Whether so many losses are many beside so many bindings that stand.
    fn is_much(&self, lost: usize, stand: usize) -> bool {
        let share = self.settings.freeze_percent;
        share > 0.0 && lost as f64 * 100.0 >= share * (lost + stand) as f64
    }

    fn freeze(&mut self, service: &Name, why: String) {
        self.publish(Event {
            kind: "service.frozen",
            service: Some(service.clone()),
            message: format!(
                "{why}: it keeps what it has; see whether these are gone, and if so let them go \
                 with `sluice thaw {service}`"
            ),
            ..Event::default()
        });
        let losses = self.losses.entry(service.clone()).or_default();
        losses.recent.clear();
        losses.frozen = Some(Frozen { why, kept: BTreeMap::new() });
    }

    /// Leaves a lost binding of a frozen service as it was, or puts it back.
    fn keep(&mut self, key: &BindingKey, machine: Machine, loss: Loss) {
        let Some(record) = self.bindings.get(key) else { return };
        let found = match record.state {
            State::Unknown(found) => found,
            _ => Binding {
                weight: record.weight,
                phase: Phase::Serve,
                server_id: self.server_id(key),
            },
        };
        let state = State::Unknown(found);
        let reason = format!("kept, its service is frozen: {}", loss.cause());
        if record.state != state || record.reason != reason {
            self.enter(key, state, &reason);
        }
        let losses = self.losses.get_mut(&key.service);
        if let Some(frozen) = losses.and_then(|losses| losses.frozen.as_mut()) {
            frozen.kept.insert(key.clone(), (machine, loss));
        }
    }

    /// The learning period is over: takes down what nobody vouches for, but no
    /// implausible part of a service.
    pub(super) fn lose_unvouched(&mut self, unvouched: Vec<BindingKey>) {
        let mut by_service: BTreeMap<Name, Vec<BindingKey>> = BTreeMap::new();
        for key in unvouched {
            let serves = |record: &Record| record.state.phase() == Some(Phase::Serve);
            if self.bindings.get(&key).is_some_and(serves) {
                by_service.entry(key.service.clone()).or_default().push(key);
            } else {
                self.retire_unvouched(&key);
            }
        }
        for (service, missing) in by_service {
            let machine = |key: &BindingKey| Machine::At(key.backend.ip());
            let machines: Vec<_> = missing.iter().map(machine).collect();
            if !self.is_frozen(&service) && self.is_implausible(&service, machines.iter()) {
                let of = missing.len() + self.standing(&service, |_| false);
                let why = format!("nobody vouches for {} of {of} bindings", missing.len());
                self.freeze(&service, why);
            }
            for key in missing {
                if self.is_frozen(&service) {
                    self.keep(&key, machine(&key), Loss::Unvouched);
                } else {
                    self.take_down(&key, &Loss::Unvouched);
                }
            }
        }
    }

    /// Sees which frozen services need be so no longer, where something changed.
    pub(super) fn review_frozen(&mut self) {
        for service in self.standings.take_changed() {
            self.review(&service);
        }
    }

    fn review(&mut self, service: &Name) {
        let bindings = &self.bindings;
        let Some(frozen) = self.losses.get_mut(service).and_then(|l| l.frozen.as_mut()) else {
            return;
        };
        let is_kept = |record: &Record| matches!(record.state, State::Unknown(_));
        frozen.kept.retain(|key, _| bindings.get(key).is_some_and(is_kept));
        let missing: Vec<_> = frozen.kept.values().map(|(machine, _)| machine.clone()).collect();
        let timer = Timer::Thaw(service.clone());
        if missing.is_empty() {
            self.thaw(service, "nothing is missing any more");
        } else if self.is_implausible(service, missing.iter()) {
            self.clock.cancel(&timer);
        } else if self.clock.at(&timer).is_none() {
            self.clock.set(timer, self.now + self.settings.freeze_window);
        }
    }

    /// Lets a frozen service go on as others do: what is missing is taken down.
    /// Says how many those were; None where it was not frozen.
    pub(super) fn thaw(&mut self, service: &Name, why: &str) -> Option<usize> {
        let Frozen { kept, .. } = self.losses.get_mut(service)?.frozen.take()?;
        self.losses.remove(service);
        self.clock.cancel(&Timer::Thaw(service.clone()));
        // Whose agent is back is verified, as after any start.
        let is_missing = |(key, _): &(BindingKey, _)| {
            matches!(self.verdict(key), Verdict::Unvouched | Verdict::Unhealthy(_))
        };
        let missing: Vec<_> = kept.into_iter().filter(is_missing).collect();
        self.publish(Event {
            kind: "service.thawed",
            service: Some(service.clone()),
            message: format!("{why}; {} binding(s) that are missing go", missing.len()),
            ..Event::default()
        });
        for (key, (_, loss)) in &missing {
            self.take_down(key, loss);
        }
        Some(missing.len())
    }

    pub(super) fn is_frozen(&self, service: &Name) -> bool {
        self.frozen(service).is_some()
    }

    fn frozen(&self, service: &Name) -> Option<&Frozen> {
        self.losses.get(service)?.frozen.as_ref()
    }

    /// Services that are frozen, and why.
    pub(super) fn frozen_services(&self) -> impl Iterator<Item = (&Name, &str, usize)> {
        self.losses.iter().filter_map(|(service, losses)| {
            let frozen = losses.frozen.as_ref()?;
            Some((service, frozen.why.as_str(), frozen.kept.len()))
        })
    }
}
