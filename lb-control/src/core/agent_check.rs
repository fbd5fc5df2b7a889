//! How a binding stands, in a line of HAProxy's agent-check (HAProxy's configuration
//! manual, section 5.2, `agent-check`):
//!
//! | the binding | line |
//! | --- | --- |
//! | serves | `up 75%`: its weight beside the heaviest that serves in its service |
//! | drains, or is held back | `up 0% # why` |
//! | is down, broken, removed, or was never verified | `down # why` |
//! | is not known, or it is too early to say | `unknown # why` |
//!
//! A line says everything, so that none depends on those before it. The words `ready`,
//! `drain` and `maint` are left to who operates the balancer: `ready` ends a `maint` or
//! `drain` that he has set (tried with HAProxy 2.6.12). By `unknown`, a word that it
//! has no meaning for, HAProxy leaves a server as it is (tried likewise): a manager that
//! has just begun, or was asked for the wrong name, takes no server out.

use super::{
    Core,
    bindings::{Record, State},
};
use crate::model::BindingKey;

/// The longest cause, in characters.
const MOST: usize = 120;

impl Core {
    /// The line for a balancer that asks, with its end.
    pub fn agent_check(&self, key: &BindingKey) -> String {
        let (word, why) = self.agent_word(key);
        let why: String = why.chars().filter(|c| !c.is_control()).take(MOST).collect();
        if why.is_empty() { format!("{word}\n") } else { format!("{word} # {why}\n") }
    }

    fn agent_word(&self, key: &BindingKey) -> (String, String) {
        let plain = |word: &str, why: &str| (word.to_owned(), why.to_owned());
        if !self.settings.services.contains_key(&key.service) {
            return plain("unknown", "there is no such service");
        }
        let Some(record) = self.bindings.get(key) else {
            return match self.intent.removals.contains_key(key) {
                true => plain("down", "removed by the operator"),
                false => plain("unknown", "the service has no such backend"),
            };
        };
        match &record.state {
            State::Pending if self.learning() => {
                plain("unknown", "the manager learns who is there")
            }
            State::Unknown(_) => plain("unknown", &record.reason),
            State::Active => {
                (format!("up {}%", self.share_of_heaviest(key, record)), String::new())
            }
            State::Paused | State::Draining { .. } => plain("up 0%", &record.reason),
            State::Pending | State::Down(_) | State::Broken { .. } => plain("down", &record.reason),
        }
    }

    /// In percent; never nothing of something.
    fn share_of_heaviest(&self, key: &BindingKey, record: &Record) -> u64 {
        let serving = self.of_service(&key.service).filter(|(_, r)| r.state == State::Active);
        let weights = serving.map(|(key, record)| self.effective_weight(key, record.weight));
        let heaviest = u64::from(weights.max().unwrap_or(0)).max(1);
        let weight = u64::from(self.effective_weight(key, record.weight));
        (weight * 100).div_ceil(heaviest)
    }
}
