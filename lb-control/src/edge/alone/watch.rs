//! What an edge without a manager makes of its probes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
};

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
    seen: BTreeMap<SocketAddr, Run>,
    /// Bindings that were taken out, as they were, and in which round.
    out: BTreeMap<BindingKey, (Binding, u64)>,
}

/// Outcomes in a row that were alike.
#[derive(Clone, Copy, Debug)]
struct Run {
    accepts: bool,
    rounds: u32,
}

/// What becomes of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Out(BindingKey, Binding),
    Back(BindingKey, Binding),
}

impl Decision {
    pub(super) fn change(&self) -> Change {
        let (Self::Out(key, binding) | Self::Back(key, binding)) = self;
        Change::PutBinding(key.clone(), *binding)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Out(key, _) => {
                write!(f, "{key} accepts no connection: it takes no new ones until it does again")
            }
            Self::Back(key, _) => write!(f, "{key} accepts connections again: it serves"),
        }
    }
}

impl Watch {
    /// Backends to probe: those that serve, and those that were taken out. Of a
    /// service without TCP none can be.
    pub(super) fn targets(&self, state: &SwitchState) -> Vec<SocketAddr> {
        let has_tcp = |service: &Name| {
            state.services.get(service).is_some_and(|spec| spec.protocol.has_tcp())
        };
        let wanted = |(key, binding): &(&BindingKey, &Binding)| {
            has_tcp(&key.service) && (binding.phase == Phase::Serve || self.out.contains_key(*key))
        };
        let targets: BTreeSet<_> =
            state.bindings.iter().filter(wanted).map(|(key, _)| key.backend).collect();
        targets.into_iter().collect()
    }

    /// One round's outcomes: whether each backend accepted a connection.
    pub(super) fn decide(
        &mut self,
        state: &SwitchState,
        outcomes: &BTreeMap<SocketAddr, bool>,
    ) -> Vec<Decision> {
        self.round += 1;
        for (&backend, &accepts) in outcomes {
            let run = self.seen.entry(backend).or_insert(Run { accepts, rounds: 0 });
            *run = Run {
                accepts,
                rounds: if run.accepts == accepts { run.rounds.saturating_add(1) } else { 1 },
            };
        }
        self.seen.retain(|backend, _| outcomes.contains_key(backend));
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
            seen.get(&key.backend).is_some_and(|run| run.accepts && run.rounds >= RISE)
        };
        let back = self.out.extract_if(.., |key, _| accepts(key));
        back.map(|(key, (binding, _))| Decision::Back(key, binding)).collect()
    }

    fn fallen(&mut self, state: &SwitchState) -> Vec<Decision> {
        let mut by_service: BTreeMap<&Name, Vec<(&BindingKey, Binding)>> = BTreeMap::new();
        for (key, &binding) in &state.bindings {
            let run = self.seen.get(&key.backend);
            let fell = run.is_some_and(|run| !run.accepts && run.rounds >= FALL);
            // One that is back has still the phase in which it was out.
            if fell && binding.phase == Phase::Serve {
                by_service.entry(&key.service).or_default().push((key, binding));
            }
        }
        let mut decisions = Vec::new();
        for (service, fallen) in by_service {
            let lately = |(key, (_, round)): &(&BindingKey, &(Binding, u64))| {
                key.service == *service && self.round - round < AT_ONCE
            };
            let lost: Vec<_> = self.out.iter().filter(lately).map(|(key, _)| key.backend).collect();
            let lost: Vec<_> =
                fallen.iter().map(|(key, _)| key.backend).chain(lost.iter().copied()).collect();
            let serving = |(key, binding): &(&BindingKey, &Binding)| {
                key.service == *service && binding.phase == Phase::Serve
            };
            let of = state.bindings.iter().filter(serving).count() + lost.len() - fallen.len();
            let machines = lost.iter().any(|backend| backend.ip() != lost[0].ip());
            if machines && lost.len() * 100 >= of * IMPLAUSIBLE {
                continue;
            }
            for (key, binding) in fallen {
                self.out.insert(key.clone(), (binding, self.round));
                let drained = Binding { phase: Phase::Drain, ..binding };
                decisions.push(Decision::Out(key.clone(), drained));
            }
        }
        decisions
    }
}

#[cfg(test)]
mod tests;
