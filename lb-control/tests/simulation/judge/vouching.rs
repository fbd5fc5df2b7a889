//! Who vouches for a binding, as far as the manager was told.
//!
//! [`Judge::excuse`] is the one place where something delivered becomes a
//! reason to take a binding from serving, and [`Judge::may_serve`] the one that
//! says whether it may go on.

use std::{collections::BTreeMap, time::Duration};

use lb_control::{
    core::{Core, SessionId},
    model::{BindingKey, FromAgent, Heartbeat, Phase},
};

use super::{Facts, Invariant, Judge, Outcome, violates};
use crate::scene;

/// An agent with a session, as its messages have it.
#[derive(Debug)]
pub struct Voucher {
    pub(super) session: SessionId,
    pub(super) boot: u64,
    pub(super) sequence: u64,
    pub(super) heard: Duration,
    pub(super) leaving: bool,
    /// Its word on each of its bindings, once it has given one.
    pub(super) words: BTreeMap<BindingKey, Option<bool>>,
}

impl Judge {
    pub(super) fn excuse(&mut self, key: &BindingKey, why: &'static str) {
        let now = self.now;
        self.facts(key).excused = Some((now, why));
    }

    pub(super) fn excuse_all(
        &mut self,
        keys: impl IntoIterator<Item = BindingKey>,
        why: &'static str,
    ) {
        keys.into_iter().for_each(|key| self.excuse(&key, why));
    }

    /// Whether the manager's own probes vouch for it, agent or not.
    pub(super) fn is_static(&self, key: &BindingKey) -> bool {
        self.keys.get(key).map_or(scene::in_file(key), |facts| {
            facts.added || (scene::in_file(key) && !facts.removed)
        })
    }

    pub(super) fn vouchers_of(&self, key: &BindingKey) -> impl Iterator<Item = &Voucher> {
        self.vouchers.values().filter(move |voucher| voucher.words.contains_key(key))
    }

    pub(super) fn time_passes(&mut self) {
        let now = self.now;
        if !self.learned && now >= self.started + scene::settings().learning {
            (self.learned, self.learned_at) = (true, now);
        }
        let silent = self.vouchers.values().filter(|v| v.heard + scene::TIMEOUT <= now);
        let silent: Vec<_> = silent.flat_map(|v| v.words.keys().cloned()).collect();
        self.lose_all(silent, "its agent was silent for too long");
        self.excuse_unclaimed();
    }

    /// Once the manager has listened for long enough, what nobody claims may go.
    pub(super) fn excuse_unclaimed(&mut self) {
        if !self.learned {
            return;
        }
        for key in scene::keys() {
            // The agent that leaves may be the one of several that is believed,
            // and what it leaves drains though the operator added it.
            let leaves = self.vouchers_of(key).any(|voucher| voucher.leaving);
            let unclaimed = self.vouchers_of(key).next().is_none() && !self.is_static(key);
            if leaves {
                self.excuse(key, "the learning period is over, and its agent leaves");
            } else if unclaimed {
                self.lose(key, "the learning period is over, and nobody vouches for it");
            }
        }
    }

    /// What an edge is found to serve, though the manager was told otherwise.
    pub(super) fn excuse_found(&mut self) {
        self.excuse_unclaimed();
        let closed = self.found.iter().filter(|key| self.ends_with_others(key));
        let closed: Vec<_> = closed.cloned().collect();
        self.excuse_all(closed, "it was found to serve, and what ends there is being closed");
        let learning = self.is_learning();
        let ill = |key: &&BindingKey| self.may_be_gone(key, learning);
        let ill: Vec<_> = self.found.iter().filter(ill).cloned().collect();
        self.lose_all(ill, "it was found to serve, and is not well");
    }

    fn is_learning(&self) -> bool {
        self.now <= self.started + scene::settings().learning
    }

    pub(super) fn agent_speaks(&mut self, session: SessionId, message: &FromAgent) {
        match message {
            FromAgent::Hello(hello) => self.hello = Some((session, hello.clone())),
            FromAgent::Heartbeat(heartbeat) => self.agent_beats(session, heartbeat),
            FromAgent::Leave { .. } => {
                let of_session = |voucher: &&mut Voucher| voucher.session == session;
                let Some(voucher) = self.vouchers.values_mut().find(of_session) else { return };
                voucher.leaving = true;
                let keys: Vec<_> = voucher.words.keys().cloned().collect();
                for key in &keys {
                    // Its time to drain begins.
                    self.facts(key).since = self.now;
                }
                self.excuse_all(keys, "its agent leaves");
            }
            FromAgent::Closed { .. } => {}
        }
    }

    fn agent_beats(&mut self, session: SessionId, heartbeat: &Heartbeat) {
        let now = self.now;
        let of_session = |voucher: &&mut Voucher| voucher.session == session;
        let Some(voucher) = self.vouchers.values_mut().find(of_session) else { return };
        if heartbeat.sequence <= voucher.sequence {
            return; // Repeated, late or replayed: no sign of life.
        }
        voucher.sequence = heartbeat.sequence;
        voucher.heard = now;
        let mut bad = Vec::new();
        for report in &heartbeat.reports {
            if let Some(word) = voucher.words.get_mut(&report.key) {
                *word = Some(report.health.is_ok());
                bad.extend(report.health.is_err().then(|| report.key.clone()));
            }
        }
        self.lose_all(bad, "its agent says that it is not well");
    }

    /// Whether, as far as the manager was told, it may go on serving.
    fn may_serve(&self, key: &BindingKey) -> bool {
        self.is_kept(key) || self.stands(key, self.is_learning())
    }

    /// Whether it may not: of several agents any may be the one that is believed,
    /// and one that is silent is so until the next tick.
    pub(super) fn may_be_gone(&self, key: &BindingKey, learning: bool) -> bool {
        let ill = self.vouchers_of(key).any(|voucher| voucher.words[key] == Some(false));
        ill || scene::is_contested(key) || !self.stands(key, learning)
    }

    /// Whether somebody vouches for it and nobody has found it ill.
    fn stands(&self, key: &BindingKey, learning: bool) -> bool {
        let alive =
            |voucher: &&Voucher| !voucher.leaving && voucher.heard + scene::TIMEOUT >= self.now;
        let mut vouchers = self.vouchers_of(key).filter(alive).peekable();
        let unclaimed = learning || self.is_static(key);
        let vouched = match vouchers.peek() {
            None => unclaimed,
            // Only one of several agents is believed, and none until its next word.
            Some(_) if unclaimed && scene::is_contested(key) => true,
            Some(_) => vouchers.any(|voucher| voucher.words[key] != Some(false)),
        };
        vouched && self.found(key) != Some(false)
    }

    /// Whether everyone who is to verify it has found it well.
    fn is_verified(&self, key: &BindingKey) -> bool {
        let verified = !scene::is_probed(key) || self.found(key) == Some(true);
        let mut vouchers = self.vouchers_of(key).filter(|voucher| !voucher.leaving);
        let contradicted = vouchers.any(|voucher| voucher.words[key] == Some(false));
        let vouched = self.vouchers_of(key).any(|voucher| voucher.words[key] == Some(true))
            || (self.is_static(key) && (!contradicted || scene::is_contested(key)));
        vouched && verified
    }

    /// Follows what is decided, and judges what begins to serve.
    pub(super) fn note_phases(&mut self, core: &Core) -> Outcome {
        let desired = &core.desired().bindings;
        for key in scene::keys() {
            let phase = desired.get(key).map(|binding| binding.phase);
            let before = self.keys.get(key).and_then(|facts| facts.phase);
            if before == phase {
                continue;
            }
            if phase == Some(Phase::Serve) {
                let kept = self.found.contains(key)
                    && (!self.learned
                        || self.is_static(key)
                        || self.vouchers_of(key).next().is_some())
                    || self.is_kept(key);
                if !kept && !self.is_verified(key) {
                    let what = format!("{key} begins to serve and is not verified");
                    return violates(Invariant::UnvouchedGoes, what);
                }
                if self.facts(key).removed_boot.is_some() && !kept {
                    let what = format!("{key} was removed by an operator and serves again");
                    return violates(Invariant::IntentKept, what);
                }
            }
            let (now, step) = (self.now, self.step);
            let facts = self.facts(key);
            (facts.phase, facts.since) = (phase, now);
            if phase == Some(Phase::Serve) {
                facts.served = step;
            }
            self.note_loss(key, before);
        }
        Ok(())
    }

    pub(super) fn look_at_bindings(&self) -> Outcome {
        for (key, facts) in &self.keys {
            let what = match facts.phase {
                Some(Phase::Serve) if !self.may_serve(key) => "serves, and nobody vouches for it",
                Some(Phase::Drain) if self.stays_too_long(facts) => "drains for too long",
                Some(Phase::Break) if self.stays_too_long(facts) => "is broken for too long",
                _ => continue,
            };
            let since = facts.since;
            return violates(Invariant::UnvouchedGoes, format!("{key} {what}, since {since:?}"));
        }
        Ok(())
    }

    fn stays_too_long(&self, facts: &Facts) -> bool {
        let settings = scene::settings();
        let limit = if facts.phase == Some(Phase::Break) {
            settings.break_linger
        } else {
            settings.drain_deadline.max(settings.down_grace).max(facts.deadline)
        };
        let began = facts.since.max(facts.removed_at).max(self.learned_at);
        // What it was found in is left until the manager has listened, and
        // whoever vouches for it has spoken: so many bad probes may be needed.
        let found = settings.learning + Duration::from_secs(4);
        let found_at = facts.found.max(self.started).max(self.resumed);
        let found = if began <= found_at + found { found } else { Duration::ZERO };
        self.now > began + limit + found
    }
}
