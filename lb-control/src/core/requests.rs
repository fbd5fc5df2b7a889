//! Commands that were carried out and whose answer waits until the switches
//! have them live, and the intent is saved.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Alteration, Core, Done, Output, RequestId, SwitchOutcome, bindings::State, clock::Timer,
    health::Verdict,
};
use crate::model::{BindingKey, Name};

/// How long an operator waits at the most for the switches, and for a new
/// backend's health: less than the command line's own patience of 10 s, so that
/// the answer says which switch is late.
const PATIENCE: Duration = Duration::from_secs(8);

/// What an operator waits for.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    /// A version of the desired state is live.
    Live(u64),
    /// A binding serves.
    Active(BindingKey),
    /// A binding's server can be taken away.
    Removable(BindingKey),
}

#[derive(Clone, Debug)]
pub(super) struct Waiting {
    goal: Goal,
    message: String,
    decided: Duration,
    /// The save that makes it durable.
    save: u64,
    /// What the switches have said; for those that have not, nothing.
    outcomes: BTreeMap<Name, Result<Duration, String>>,
    /// What a declaration changed.
    pub(super) alterations: Vec<Alteration>,
}

impl Core {
    pub(super) fn wait(&mut self, request: RequestId, goal: Goal, message: String) {
        if !matches!(goal, Goal::Removable(_)) {
            self.clock.set(Timer::Patience(request), self.now + PATIENCE);
        }
        let waiting = Waiting {
            goal,
            message,
            decided: self.now,
            save: self.save_number(),
            outcomes: BTreeMap::new(),
            alterations: Vec::new(),
        };
        self.requests.insert(request, waiting);
    }

    /// Answers what can be answered now.
    pub(super) fn answer(&mut self) {
        let requests: Vec<RequestId> = self.requests.keys().copied().collect();
        for request in requests {
            let Some(mut waiting) = self.requests.remove(&request) else {
                continue;
            };
            if self.reached(request, &mut waiting) {
                self.reply(request, waiting);
            } else {
                self.requests.insert(request, waiting);
            }
        }
    }

    /// An operator has waited long enough.
    pub(super) fn impatient(&mut self, request: RequestId) {
        let Some(mut waiting) = self.requests.remove(&request) else {
            return;
        };
        if let Goal::Active(key) = &waiting.goal {
            let reason = self.bindings.get(key).map(|record| record.reason.clone());
            waiting.message += &format!("; not serving yet: {}", reason.unwrap_or_default());
        }
        self.reply(request, waiting);
    }

    fn reached(&mut self, request: RequestId, waiting: &mut Waiting) -> bool {
        match &waiting.goal {
            Goal::Live(_) => {}
            Goal::Removable(key) => {
                waiting.message = match self.bindings.get(key).map(|record| &record.state) {
                    None => format!("{key} is gone: its server can be taken away"),
                    Some(_) if !self.intent.removals.contains_key(key) => {
                        format!("{key} was brought back meanwhile")
                    }
                    Some(State::Broken { .. }) if self.is_removable(key) => {
                        format!("{key} is broken: its server can be taken away")
                    }
                    Some(_) => return false,
                };
                waiting.goal = Goal::Live(self.version);
                self.clock.set(Timer::Patience(request), self.now + PATIENCE);
            }
            Goal::Active(key) => match self.bindings.get(key) {
                Some(record) if record.state == State::Active => {
                    waiting.goal = Goal::Live(record.version)
                }
                Some(record) => {
                    let unhealthy = matches!(self.verdict(key), Verdict::Unhealthy(_));
                    if unhealthy {
                        waiting.message +=
                            &format!("; it will serve when it is healthy: {}", record.reason);
                        waiting.goal = Goal::Live(self.version);
                    } else {
                        return false;
                    }
                }
                None => {
                    waiting.message += "; it was removed meanwhile";
                    waiting.goal = Goal::Live(self.version);
                }
            },
        }
        let Goal::Live(version) = waiting.goal else {
            return false;
        };
        let mut all = true;
        for (name, switch) in self.switches.iter().filter(|(_, switch)| switch.session.is_some()) {
            if waiting.outcomes.contains_key(name) {
                continue;
            }
            if switch.live >= version {
                waiting.outcomes.insert(name.clone(), Ok(self.now - waiting.decided));
            } else if let Some((_, why)) =
                switch.refused.as_ref().filter(|(refused, _)| *refused >= version)
            {
                waiting.outcomes.insert(name.clone(), Err(why.clone()));
            } else {
                all = false;
            }
        }
        all && self.saving.answered >= waiting.save
    }

    fn reply(&mut self, request: RequestId, mut waiting: Waiting) {
        self.clock.cancel(&Timer::Patience(request));
        if self.saving.answered < waiting.save {
            waiting.message += "; not saved yet, so that a restart of the manager may undo it";
        } else if let Some(error) = &self.saving.error {
            waiting.message +=
                &format!("; NOT SAVED, so that a restart of the manager undoes it: {error}");
        }
        if !self.switches.values().any(|switch| switch.session.is_some()) {
            waiting.message += "; no switch is connected, it takes effect when one is";
        }
        let outcome = |(name, switch): (&Name, &super::Switch)| {
            let silent = if switch.session.is_some() {
                "not acknowledged yet"
            } else {
                "not connected; it is brought up to date when it comes back"
            };
            let live =
                waiting.outcomes.get(name).cloned().unwrap_or_else(|| Err(silent.to_owned()));
            SwitchOutcome { name: name.clone(), live }
        };
        let switches = self.switches.iter().map(outcome).collect();
        self.out.push(Output::Reply {
            request,
            reply: Ok(Done {
                message: waiting.message,
                switches,
                alterations: waiting.alterations,
            }),
        });
    }
}
