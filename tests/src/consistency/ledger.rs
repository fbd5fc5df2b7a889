//! What the changes of a run may break, and whether a connection's end is
//! among it.
//!
//! Only two changes break connections, those of one backend in one service:
//! a removal by force, and a removal whose deadline passes. Only a share to
//! refuse turns new connections away.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// A server of a service, both by index.
pub(super) type Binding = (usize, usize);

/// What a connection is, as far as its client knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub service: usize,
    /// When its SYN was asked for.
    pub begun: Instant,
    /// Who answered it first.
    pub server: Option<usize>,
    /// When it last spoke.
    pub spoke: Instant,
    /// The longest that it was silent.
    pub silent: Duration,
}

/// A time in which the connections of a binding may break.
#[derive(Clone, Copy, Debug)]
struct Breaking {
    from: Instant,
    /// When it was certain that every one of them breaks at its next packet.
    live: Option<Instant>,
    /// When it was brought back. Connections from before may break for ever:
    /// their client may have been silent all the time.
    back: Option<Instant>,
}

/// What was asked for, and when.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    breaking: BTreeMap<Binding, Vec<Breaking>>,
    /// By service: from, and until.
    refusing: BTreeMap<usize, Vec<(Instant, Option<Instant>)>>,
}

impl Ledger {
    /// The operator removes a binding by force, now.
    pub(super) fn force(&mut self, binding: Binding, now: Instant) {
        self.deadline(binding, now, Duration::ZERO);
    }

    /// The operator removes a binding and gives its connections this long.
    pub(super) fn deadline(&mut self, binding: Binding, now: Instant, left: Duration) {
        let breaking = Breaking { from: now + left, live: None, back: None };
        self.breaking.entry(binding).or_default().push(breaking);
    }

    /// A removal by force is live on the edge.
    pub(super) fn forced(&mut self, binding: Binding, now: Instant) {
        if let Some(last) = self.breaking.get_mut(&binding).and_then(|all| all.last_mut()) {
            last.live.get_or_insert(now);
        }
    }

    /// The operator brought a binding back; a deadline that lay ahead all the
    /// while breaks nothing any more.
    pub(super) fn back(&mut self, binding: Binding, asked: Instant, done: Instant) {
        let Some(all) = self.breaking.get_mut(&binding) else { return };
        all.retain(|breaking| breaking.back.is_some() || breaking.from < done);
        for breaking in all {
            breaking.back.get_or_insert(asked);
        }
    }

    /// The operator asks that a service refuses a share, or none.
    pub(super) fn refuse(&mut self, service: usize, share: bool, asked: Instant, done: Instant) {
        let spans = self.refusing.entry(service).or_default();
        match spans.last_mut() {
            Some((_, until @ None)) if !share => *until = Some(done),
            Some((_, None)) => {}
            _ if share => spans.push((asked, None)),
            _ => {}
        }
    }

    /// Whether a connection that has broken by now was allowed to.
    pub(super) fn may_break(&self, flow: &Flow, now: Instant) -> bool {
        let doomed = |b: &Breaking| b.from <= now && b.back.is_none_or(|back| flow.begun <= back);
        match flow.server {
            Some(server) => {
                self.breaking.get(&(flow.service, server)).is_some_and(|all| all.iter().any(doomed))
            }
            // It never learned whose it was. New connections go to the server
            // until its removal is live.
            None => {
                let young =
                    |b: &Breaking| doomed(b) && b.live.is_none_or(|live| flow.begun <= live);
                let of_service = self.breaking.iter().filter(|((s, _), _)| *s == flow.service);
                of_service.flat_map(|(_, all)| all).any(young)
            }
        }
    }

    /// Whether a connection that was asked at `asked` and answered by its server
    /// now should have broken before.
    pub(super) fn must_break(&self, flow: &Flow, asked: Instant, now: Instant) -> bool {
        let broken = |b: &Breaking| {
            b.live.is_some_and(|live| live < asked && flow.begun <= live)
                && b.back.is_none_or(|back| back > now)
        };
        let of = |server| self.breaking.get(&(flow.service, server));
        flow.server.and_then(of).is_some_and(|all| all.iter().any(broken))
    }

    /// Whether a connection that was refused by now was allowed to be.
    pub(super) fn may_refuse(&self, flow: &Flow, now: Instant) -> bool {
        let covers = |&(from, until): &(Instant, Option<Instant>)| {
            from <= now && until.is_none_or(|until| flow.begun <= until)
        };
        self.refusing.get(&flow.service).is_some_and(|spans| spans.iter().any(covers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WWW: Binding = (0, 3);

    fn times() -> impl Fn(u64) -> Instant {
        let begun = Instant::now();
        move |seconds| begun + Duration::from_secs(seconds)
    }

    fn flow(begun: Instant, server: Option<usize>) -> Flow {
        Flow { service: 0, begun, server, spoke: begun, silent: Duration::ZERO }
    }

    #[test]
    fn force_breaks_what_was_there_and_nothing_else() {
        let at = times();
        let mut ledger = Ledger::default();
        ledger.force(WWW, at(10));
        ledger.forced(WWW, at(12));
        let old = flow(at(5), Some(3));
        assert!(!ledger.may_break(&old, at(9)) && ledger.may_break(&old, at(11)));
        assert!(!ledger.may_break(&flow(at(5), Some(4)), at(11)));
        // It must not have an answer to what it asked when all was live.
        assert!(
            !ledger.must_break(&old, at(11), at(13)) && ledger.must_break(&old, at(13), at(14))
        );
        ledger.back(WWW, at(20), at(21));
        assert!(
            ledger.may_break(&old, at(90)) && !ledger.may_break(&flow(at(22), Some(3)), at(90))
        );
        assert!(!ledger.must_break(&old, at(30), at(31)));
        assert!(!ledger.must_break(&flow(at(22), Some(3)), at(30), at(31)));
    }

    #[test]
    fn who_is_not_known_may_be_the_one_that_was_removed() {
        let at = times();
        let mut ledger = Ledger::default();
        ledger.force(WWW, at(10));
        ledger.forced(WWW, at(12));
        assert!(ledger.may_break(&flow(at(11), None), at(12)));
        assert!(!ledger.may_break(&flow(at(13), None), at(14)));
        let elsewhere = Flow { service: 1, ..flow(at(11), None) };
        assert!(!ledger.may_break(&elsewhere, at(12)));
    }

    #[test]
    fn a_deadline_breaks_once_it_is_over_unless_it_was_called_off() {
        let at = times();
        let second = Duration::from_secs;
        let mut ledger = Ledger::default();
        ledger.deadline(WWW, at(0), second(10));
        let old = flow(at(0), Some(3));
        assert!(!ledger.may_break(&old, at(9)) && ledger.may_break(&old, at(10)));
        ledger.back(WWW, at(5), at(6));
        assert!(!ledger.may_break(&old, at(99)));
        // Called off while it passed: nobody knows.
        ledger.deadline(WWW, at(20), second(10));
        ledger.back(WWW, at(29), at(31));
        assert!(ledger.may_break(&old, at(40)));
    }

    #[test]
    fn refusals_are_those_of_their_time() {
        let at = times();
        let mut ledger = Ledger::default();
        ledger.refuse(0, false, at(0), at(1));
        ledger.refuse(0, true, at(10), at(11));
        ledger.refuse(0, true, at(12), at(13));
        ledger.refuse(0, false, at(20), at(21));
        assert!(!ledger.may_refuse(&flow(at(8), None), at(9)));
        assert!(ledger.may_refuse(&flow(at(8), None), at(10)));
        assert!(ledger.may_refuse(&flow(at(21), None), at(25)));
        assert!(!ledger.may_refuse(&flow(at(22), None), at(25)));
        assert!(!ledger.may_refuse(&Flow { service: 1, ..flow(at(15), None) }, at(16)));
    }
}
