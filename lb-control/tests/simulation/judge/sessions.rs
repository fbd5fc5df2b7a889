//! Which sessions of agents count, as far as the manager was told.
//!
//! An agent's start keeps its name for as long as it is heard: another start is
//! sent away, and until then vouches for nothing.

use lb_control::{
    core::{Output, SessionId},
    model::AgentHello,
};

use super::{Invariant, Judge, Outcome, violates, vouching::Voucher};
use crate::scene;

impl Judge {
    /// An agent has said hello: it is welcome, or was sent away.
    pub(super) fn hello_answered(&mut self, outputs: &[Output]) -> Outcome {
        let Some((session, hello)) = self.hello.take() else { return Ok(()) };
        let ends =
            |output: &Output| matches!(output, Output::Close { session: of, .. } if *of == session);
        let welcome = !outputs.iter().any(ends);
        let older = self.vouchers.get(&hello.name).filter(|older| older.boot != hello.boot);
        // Whether one that was silent for just that long is gone is the tick's to say.
        let heard = older.is_some_and(|older| {
            !older.leaving && (!welcome || self.now < older.heard + scene::TIMEOUT)
        });
        if welcome == heard {
            let name = &hello.name;
            let what = if welcome {
                format!("a start of agent {name} takes the place of another that is heard")
            } else {
                format!("agent {name} is sent away, and no other start of it is heard")
            };
            return violates(Invariant::VouchedStays, what);
        }
        if welcome {
            self.agent_comes(session, &hello);
        }
        Ok(())
    }

    fn agent_comes(&mut self, session: SessionId, hello: &AgentHello) {
        let old = self.vouchers.remove(&hello.name);
        let same = old.as_ref().filter(|old| old.boot == hello.boot);
        let before = self.gone.remove(&hello.name).filter(|(boot, _)| *boot == hello.boot);
        let voucher = Voucher {
            session,
            boot: hello.boot,
            sequence: same.map_or(before.map_or(0, |(_, last)| last), |old| old.sequence),
            heard: self.now,
            leaving: same.is_some_and(|old| old.leaving),
            words: hello.binds.iter().map(|bind| (bind.key.clone(), None)).collect(),
        };
        let gone = old.into_iter().flat_map(|old| old.words.into_keys());
        let gone: Vec<_> = gone.filter(|key| !voucher.words.contains_key(key)).collect();
        self.excuse_all(gone, "its agent no longer asks for it");
        let step = self.step;
        for key in voucher.words.keys() {
            let facts = self.facts(key);
            facts.claimed = step;
            if facts.removed_boot != Some(hello.boot) {
                facts.removed_boot = None;
            }
            self.promises.claimed(key);
        }
        self.vouchers.insert(hello.name.clone(), voucher);
    }

    pub(super) fn voucher_ends(&mut self, session: SessionId, by_peer: bool) {
        let ended = self.vouchers.iter().find(|(_, voucher)| voucher.session == session);
        let Some((name, voucher)) = ended else { return };
        let name = name.clone();
        // Its old heartbeats are no sign of life.
        self.gone.insert(name.clone(), (voucher.boot, voucher.sequence));
        if by_peer {
            let left = voucher.leaving;
            let keys = voucher.words.keys().filter(|key| !self.is_static(key)).cloned();
            let keys: Vec<_> = keys.collect();
            if left {
                self.excuse_all(keys, "its agent left");
            } else {
                self.lose_all(keys, "its agent's connection ended");
            }
        }
        self.vouchers.remove(&name);
    }
}
