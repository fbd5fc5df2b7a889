//! The changes of a run: random, and decided by the seed alone.

use std::{collections::BTreeSet, time::Duration};

use fastrand::Rng;

use super::{Options, ledger::Binding};

/// Longer than any run.
pub(super) const NO_DEADLINE: Duration = Duration::from_secs(3600);
/// Most changes at once.
const BURST: usize = 8;

/// What an operator, or a fault, does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add(Binding, u16),
    /// Removes a server whose connections go on, until its application has them
    /// end after this time; without it they go on for good.
    Drain(Binding, Option<Duration>),
    /// Removes a server whose connections go on until this time is over.
    Deadline(Binding, Duration),
    Force(Binding),
    Weight(Binding, u16),
    /// A share of a service's new connections to refuse, in percent.
    Refuse(usize, u8),
    /// A server's agent dies and starts anew.
    Agent(usize),
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Edge,
    Manager,
    Both,
}

/// What is done in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All of them side by side.
    Changes(Vec<Change>),
    /// The same, and somebody is killed this long after they began, and started
    /// anew after some time away.
    Kill { changes: Vec<Change>, whom: Whom, after: Duration, away: Duration },
    /// Nothing, for long enough that moved slots can settle.
    Calm,
}

impl Change {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Add(..) => "add",
            Self::Drain(..) => "drain",
            Self::Deadline(..) => "remove_with_deadline",
            Self::Force(..) => "remove_by_force",
            Self::Weight(..) => "weight",
            Self::Refuse(..) => "drop",
            Self::Agent(..) => "agent_restart",
        }
    }

    /// What two changes at once must not both be about.
    fn subject(&self) -> (usize, usize) {
        match *self {
            Self::Add(binding, _)
            | Self::Drain(binding, _)
            | Self::Deadline(binding, _)
            | Self::Force(binding)
            | Self::Weight(binding, _) => binding,
            Self::Refuse(service, _) => (service, usize::MAX),
            Self::Agent(server) => (usize::MAX, server),
        }
    }
}

/// The changes of a run, one step after the other.
#[derive(Debug)]
pub(super) struct Changes {
    rng: Rng,
    /// By service and server: the weight of those that are bound.
    weights: Vec<Vec<Option<u16>>>,
    refusing: Vec<bool>,
    left: usize,
    /// Changes between two restarts, and two calms.
    every: [isize; 2],
    /// Until the next of each; less than 0 where a burst went beyond it.
    until: [isize; 2],
}

impl Changes {
    pub(super) fn new(options: &Options, services: usize) -> Self {
        let every =
            [options.restarts, options.calms].map(|times| (options.changes / (times + 1)) as isize);
        Self {
            rng: Rng::with_seed(options.seed),
            weights: vec![vec![Some(100); options.servers]; services],
            refusing: vec![false; services],
            left: options.changes,
            every,
            until: every,
        }
    }

    /// A share of each service's servers always takes new connections.
    fn least(&self) -> usize {
        self.weights[0].len().div_ceil(2)
    }

    fn draw(&mut self) -> Change {
        let service = self.rng.usize(..self.weights.len());
        let of_service = &self.weights[service];
        let with = |wanted: fn(Option<u16>) -> bool| -> Vec<usize> {
            (0..of_service.len()).filter(|&server| wanted(of_service[server])).collect()
        };
        let bound = with(|weight| weight.is_some());
        let gone = with(|weight| weight.is_none());
        let serving = with(|weight| weight.is_some_and(|weight| weight > 0));
        let spare = serving.len() > self.least();
        let any = |rng: &mut Rng, of: &[usize]| (service, of[rng.usize(..of.len())]);
        let rng = &mut self.rng;
        match rng.u8(..100) {
            0..30 if spare => {
                let binding = any(rng, &serving);
                let seconds = Duration::from_secs;
                match rng.u8(..10) {
                    0..4 => Change::Drain(binding, Some(Duration::from_millis(rng.u64(..3000)))),
                    4..6 => Change::Drain(binding, None),
                    6..8 => Change::Deadline(binding, seconds(rng.u64(1..5))),
                    _ => Change::Force(binding),
                }
            }
            0..58 if !gone.is_empty() => {
                let weight = [50, 100, 100, 200][rng.usize(..4)];
                Change::Add(any(rng, &gone), weight)
            }
            90..95 => Change::Refuse(service, if self.refusing[service] { 0 } else { 30 }),
            95.. => Change::Agent(rng.usize(..of_service.len())),
            _ => {
                let binding = any(rng, &bound);
                // Somebody must take what this one does not.
                let none = spare && rng.u8(..5) == 0;
                Change::Weight(binding, if none { 0 } else { rng.u16(1..300) })
            }
        }
    }

    fn note(&mut self, change: &Change) {
        match *change {
            Change::Add((service, server), weight) | Change::Weight((service, server), weight) => {
                self.weights[service][server] = Some(weight);
            }
            Change::Drain((service, server), _)
            | Change::Deadline((service, server), _)
            | Change::Force((service, server)) => self.weights[service][server] = None,
            Change::Refuse(service, percent) => self.refusing[service] = percent > 0,
            Change::Agent(_) => {}
        }
    }

    /// Different commands, each about something else; or one that is none.
    fn burst(&mut self, most: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut subjects = BTreeSet::new();
        while changes.len() < most.min(self.left) {
            let change = self.draw();
            if matches!(change, Change::Agent(_)) {
                if most == 1 {
                    changes.push(change);
                }
            } else if subjects.insert(change.subject()) {
                self.note(&change);
                changes.push(change);
            }
        }
        self.left -= changes.len();
        changes
    }
}

impl Iterator for Changes {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.left == 0 {
            return None;
        }
        if self.until[1] <= 0 {
            self.until[1] += self.every[1];
            return Some(Step::Calm);
        }
        let most = if self.rng.u8(..10) < 6 { 1 } else { self.rng.usize(2..=BURST) };
        let kill = self.until[0] <= 0;
        let changes = self.burst(if kill { BURST } else { most });
        for until in &mut self.until {
            *until -= changes.len() as isize;
        }
        if !kill {
            return Some(Step::Changes(changes));
        }
        self.until[0] += self.every[0];
        let rng = &mut self.rng;
        Some(Step::Kill {
            changes,
            whom: match rng.u8(..10) {
                0..7 => Whom::Edge,
                7..8 => Whom::Manager,
                _ => Whom::Both,
            },
            after: Duration::from_micros(rng.u64(..60_000)),
            away: Duration::from_millis(rng.u64(..800)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(seed: u64) -> Options {
        Options { seed, ..Options::long() }
    }

    #[test]
    fn the_seed_decides() {
        let steps = |seed| Changes::new(&options(seed), 5).collect::<Vec<_>>();
        assert_eq!(steps(1), steps(1));
        assert_ne!(steps(1), steps(2));
    }

    #[test]
    fn every_kind_of_change_is_there_and_somebody_always_serves() {
        let options = options(3);
        let mut changes = Changes::new(&options, 5);
        let mut kinds = BTreeSet::new();
        let (mut count, mut kills, mut calms) = (0, 0, 0);
        while let Some(step) = changes.next() {
            let of_step = match step {
                Step::Changes(changes) => changes,
                Step::Kill { changes, .. } => {
                    kills += 1;
                    changes
                }
                Step::Calm => {
                    calms += 1;
                    continue;
                }
            };
            assert!(!of_step.is_empty());
            count += of_step.len();
            kinds.extend(of_step.iter().map(Change::kind));
            for service in &changes.weights {
                let serving = service.iter().flatten().filter(|&&weight| weight > 0).count();
                assert!(serving >= changes.least());
            }
        }
        assert_eq!(count, options.changes);
        assert_eq!(kinds.len(), 7);
        assert!(kills >= options.restarts - 1 && calms >= options.calms - 1, "{kills} {calms}");
    }
}
