//! How many sessions each identity and each address has.

use std::{collections::BTreeMap, net::IpAddr};

use super::SessionId;
use crate::model::{Identity, Origin};

#[derive(Clone, Debug, Default)]
pub(super) struct Crowd {
    origins: BTreeMap<SessionId, Origin>,
    identities: BTreeMap<Identity, usize>,
    sources: BTreeMap<Option<IpAddr>, usize>,
}

impl Crowd {
    pub(super) fn enter(&mut self, session: SessionId, origin: Origin) {
        self.leave(session);
        *self.identities.entry(origin.identity.clone()).or_default() += 1;
        *self.sources.entry(origin.source).or_default() += 1;
        self.origins.insert(session, origin);
    }

    /// Whether it was there.
    pub(super) fn leave(&mut self, session: SessionId) -> bool {
        let Some(origin) = self.origins.remove(&session) else { return false };
        take_one(&mut self.identities, &origin.identity);
        take_one(&mut self.sources, &origin.source);
        true
    }

    pub(super) fn origin(&self, session: SessionId) -> Option<&Origin> {
        self.origins.get(&session)
    }

    pub(super) fn of_identity(&self, identity: &Identity) -> usize {
        self.identities.get(identity).copied().unwrap_or_default()
    }

    pub(super) fn of_source(&self, source: Option<IpAddr>) -> usize {
        self.sources.get(&source).copied().unwrap_or_default()
    }
}

fn take_one<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
