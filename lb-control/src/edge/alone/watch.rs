//! What an edge without a manager makes of its probes.

use std::{collections::BTreeMap, fmt};

use crate::model::{Binding, BindingKey, Change, Name, Phase, SwitchState};

/// Failures in a row that take a backend out, and successes that bring it back.
const FALL: u32 = 3;
const RISE: u32 = 2;
/// Rounds within which losses count as one event.
const AT_ONCE: u64 = 5;
/// A service of which this share in percent is lost at once keeps it: the edge
/// suspects itself.
const IMPLAUSIBLE: usize = 50;

/// What has been seen since the manager went.
#[derive(Debug, Default)]
pub(super) struct Watch {
    round: u64,
    seen: BTreeMap<BindingKey, Run>,
    /// Bindings that were taken out, as they were, and in which round.
    out: BTreeMap<BindingKey, (Binding, u64)>,
}

/// Outcomes in a row that were alike.
#[derive(Clone, Debug)]
struct Run {
    outcome: Result<(), String>,
    rounds: u32,
}

/// What becomes of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// And why.
    Out(BindingKey, Binding, String),
    Back(BindingKey, Binding),
}

impl Decision {
    pub(super) fn change(&self) -> Change {
        let (Self::Out(key, binding, _) | Self::Back(key, binding)) = self;
        Change::PutBinding(key.clone(), *binding)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Out(key, _, why) => write!(
                f,
                "{key} accepts no connection, and takes no new ones until it does again: {why}"
            ),
            Self::Back(key, _) => write!(f, "{key} accepts connections again: it serves"),
        }
    }
}

impl Watch {
    /// Bindings to probe: those that serve, and those that were taken out.
    pub(super) fn wanted(&self, state: &SwitchState) -> Vec<BindingKey> {
        let wanted = |(key, binding): &(&BindingKey, &Binding)| {
            binding.phase == Phase::Serve || self.out.contains_key(*key)
        };
        state.bindings.iter().filter(wanted).map(|(key, _)| key.clone()).collect()
    }

    /// One round's outcomes: whether each accepted a connection, and why not.
    pub(super) fn decide(
        &mut self,
        state: &SwitchState,
        outcomes: &BTreeMap<BindingKey, Result<(), String>>,
    ) -> Vec<Decision> {
        self.round += 1;
        for (key, outcome) in outcomes {
            let before = self.seen.get(key);
            let alike = before.filter(|run| run.outcome.is_ok() == outcome.is_ok());
            let rounds = alike.map_or(1, |run| run.rounds.saturating_add(1));
            self.seen.insert(key.clone(), Run { outcome: outcome.clone(), rounds });
        }
        self.seen.retain(|key, _| outcomes.contains_key(key));
        // What somebody else has changed meanwhile is not ours any more.
        self.out.retain(|key, _| {
            state.bindings.get(key).is_some_and(|binding| binding.phase == Phase::Drain)
        });
        let mut decisions = self.back();
        decisions.extend(self.fallen(state));
        decisions
    }

    fn back(&mut self) -> Vec<Decision> {
        let seen = &self.seen;
        let accepts = |key: &BindingKey| {
            seen.get(key).is_some_and(|run| run.outcome.is_ok() && run.rounds >= RISE)
        };
        let back = self.out.extract_if(.., |key, _| accepts(key));
        back.map(|(key, (binding, _))| Decision::Back(key, binding)).collect()
    }

    fn fallen(&mut self, state: &SwitchState) -> Vec<Decision> {
        let mut by_service: BTreeMap<&Name, Vec<(&BindingKey, Binding, String)>> = BTreeMap::new();
        for (key, &binding) in &state.bindings {
            let run = self.seen.get(key).filter(|run| run.rounds >= FALL);
            let why = run.and_then(|run| run.outcome.clone().err());
            // One that is back has still the phase in which it was out.
            if let Some(why) = why.filter(|_| binding.phase == Phase::Serve) {
                by_service.entry(&key.service).or_default().push((key, binding, why));
            }
        }
        let mut decisions = Vec::new();
        for (service, fallen) in by_service {
            let lately = |(key, (_, round)): &(&BindingKey, &(Binding, u64))| {
                key.service == *service && self.round - round < AT_ONCE
            };
            let lost: Vec<_> = self.out.iter().filter(lately).map(|(key, _)| key.backend).collect();
            let lost: Vec<_> =
                fallen.iter().map(|(key, ..)| key.backend).chain(lost.iter().copied()).collect();
            let serving = |(key, binding): &(&BindingKey, &Binding)| {
                key.service == *service && binding.phase == Phase::Serve
            };
            let of = state.bindings.iter().filter(serving).count() + lost.len() - fallen.len();
            let machines = lost.iter().any(|backend| backend.ip() != lost[0].ip());
            if machines && lost.len() * 100 >= of * IMPLAUSIBLE {
                continue;
            }
            for (key, binding, why) in fallen {
                self.out.insert(key.clone(), (binding, self.round));
                let drained = Binding { phase: Phase::Drain, ..binding };
                decisions.push(Decision::Out(key.clone(), drained, why));
            }
        }
        decisions
    }
}

#[cfg(test)]
mod tests;
