//! Which faults of peers are told of: each once a minute, and not too many of
//! one peer, so that a broken one does not fill the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::model::Origin;

/// What was told is not told again for so long.
const SILENCE: Duration = Duration::from_secs(60);
/// Different faults of one kind that a peer's minute has.
const FAULTS: usize = 16;
/// Peers that are remembered.
const PEERS: usize = 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Notices(BTreeMap<(Origin, &'static str), Told>);

#[derive(Clone, Debug)]
struct Told {
    since: Duration,
    messages: BTreeSet<String>,
}

impl Notices {
    /// The message, where it is to be told. The last one of a minute says so.
    pub(super) fn take(
        &mut self,
        kind: &'static str,
        origin: &Origin,
        message: String,
        now: Duration,
    ) -> Option<String> {
        self.0.retain(|_, told| now < told.since + SILENCE);
        let key = (origin.clone(), kind);
        if self.0.len() >= PEERS && !self.0.contains_key(&key) {
            return None;
        }
        // Of one that sends too much, once is enough, whatever it sends.
        let most = if kind == "peer.limited" { 1 } else { FAULTS };
        let told = self.0.entry(key).or_insert(Told { since: now, messages: BTreeSet::new() });
        if told.messages.len() >= most || !told.messages.insert(message.clone()) {
            return None;
        }
        let last = most > 1 && told.messages.len() == most;
        Some(if last {
            format!("{message} (more of it is not told for a minute)")
        } else {
            message
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_told_once_a_minute_and_not_too_many() {
        let mut notices = Notices::default();
        let (a, b) = (Origin::local(), Origin::default());
        let second = Duration::from_secs;
        let mut take = |kind, origin, message: &str, now| {
            notices.take(kind, origin, message.to_owned(), second(now)).is_some()
        };
        assert!(take("peer.refused", &a, "x", 0));
        assert!(!take("peer.refused", &a, "x", 59));
        assert!(take("peer.refused", &b, "x", 59), "another peer");
        assert!(take("peer.refused", &a, "y", 59), "another fault");
        assert!(take("peer.refused", &a, "x", 60), "a minute later");
        let told = (0..100).filter(|n| take("peer.refused", &a, &n.to_string(), 61)).count();
        assert_eq!(told, FAULTS - 1);
        assert!(take("peer.limited", &a, "x", 61));
        assert!(!take("peer.limited", &a, "y", 62));
    }

    #[test]
    fn memory_is_bounded() {
        let mut notices = Notices::default();
        for n in 0..3000_u32 {
            let source = Some(std::net::Ipv4Addr::from(n).into());
            let origin = Origin { source, ..Origin::default() };
            notices.take("peer.refused", &origin, String::new(), Duration::ZERO);
        }
        assert_eq!(notices.0.len(), PEERS);
    }
}
