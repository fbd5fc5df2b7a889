//! What the edge holds, and how a delta becomes one commit.
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`plan`] | everything of a delta that can fail, before anything is touched |
//! | [`apply`], [`build`] | everything of it that cannot, and rings |
//! | [`adopt`] | the same state again, from the maps alone |
//! | [`upkeep`] | commits without a delta: settling, coming to rest |
//! | [`ways`] | next hops of backends, and routes to clients |
//! | [`find`] | whose a flow is, as packets find it |
//! | [`verify`] | whether packets find what was put there |
//! | [`live`] | the tables and the generation word |
//! | [`ids`], [`rings`], [`rows`], [`site`], [`journal`] | the parts |

mod adopt;
mod apply;
mod build;
mod find;
mod ids;
mod journal;
mod live;
mod plan;
pub(super) mod rings;
mod rows;
mod site;
mod upkeep;
mod verify;
mod ways;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    sync::Arc,
};

use lb_common::abi::{RingSlot, backend_state};

use self::{ids::Ids, live::Live};
pub(super) use self::{
    live::Place,
    rows::{backend_of, mapped, name_of, service_of, unmapped},
    site::Site,
    upkeep::{Needless, Upkeep},
    verify::Finding,
};
use super::{
    hops::Answer,
    pool::{Extent, Pool},
    upgrade::Filled,
};
use crate::model::{Binding, BindingKey, Name, Stamp, StateError, SwitchState};

/// Why a delta was refused. Nothing of it was applied.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "delta {}/{} is not newer than {}/{} (term/sequence), which this edge has",
        got.term, got.sequence, have.term, have.sequence
    )]
    Stale { have: Stamp, got: Stamp },
    #[error(transparent)]
    State(#[from] StateError),
    #[error(
        "the ring of service `{service}` has {has} slots, and {asked} would move connections: \
         remove its backends first"
    )]
    RingSize { service: Name, has: u32, asked: u32 },
    #[error(
        "the ring pool has no room for a ring of {0} slots: raise `ring_pool` in [edge] (each \
         service needs three times its ring), run `sluice detach` and start the edge again"
    )]
    PoolFull(u32),
    #[error(
        "too many {0} were removed a moment ago and their ids are still in use: try again in a \
         few seconds"
    )]
    NoIds(&'static str),
    #[error(transparent)]
    Lookup(#[from] lb_common::lookup::Full),
    #[error("{0}")]
    Classes(String),
}

/// A service's ring in the pool.
#[derive(Clone, Copy, Debug)]
struct Ring {
    extent: Extent,
    len: u32,
}

impl Ring {
    /// Where its slots are in the pool.
    fn slots(self) -> Range<usize> {
        let first = self.extent.offset as usize;
        first..first + self.len as usize
    }
}

/// What the edge knows of a service beyond the model.
#[derive(Debug, Default)]
struct Track {
    ring: Option<Ring>,
    /// Some slot's current and settled backends differ.
    differing: bool,
    /// Flows of this service may be remembered.
    tracking: bool,
    /// Generation of the last change of its ring.
    changed: u64,
    /// What the ring held when it was first looked at since then.
    known: Option<Arc<[RingSlot]>>,
}

/// The data plane of this edge, as packets see it and as the manager does.
#[derive(Debug)]
pub(super) struct Plane {
    live: Live,
    pool: Pool,
    state: SwitchState,
    services: Ids<Name>,
    bindings: Ids<BindingKey>,
    tracks: BTreeMap<Name, Track>,
    /// Names by class index, as the live tables have them.
    class_names: Vec<Name>,
    /// Ways to addresses of backends, where they are known, or known not to be.
    hops: HashMap<IpAddr, Answer>,
    /// By binding id, the generation in which it last lost slots that were its
    /// alone: its untracked connections are at risk since then.
    moved_away: HashMap<u16, u64>,
    /// No flow is remembered at all: a service that is new has none either.
    flows_clean: bool,
    /// Connections are kept through changes.
    tracking: bool,
}

impl Plane {
    pub(super) fn state(&self) -> &SwitchState {
        &self.state
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.live.stamp()
    }

    pub(super) fn generation(&self) -> u64 {
        self.live.generation()
    }

    /// Sets a run-time word, at once and for every generation.
    pub(super) fn set_word(&mut self, index: u32, value: u64) {
        self.live.set_word(index, value);
    }

    /// Says whether changes from now on keep connections (they do by default);
    /// what is at risk from earlier ones stays as it is.
    pub(super) fn set_tracking(&mut self, tracking: bool) {
        self.tracking = tracking;
    }

    /// Services with their ids and whether they are moving.
    pub(super) fn services(&self) -> impl Iterator<Item = (&Name, u16, bool)> {
        let moving = |name| self.tracks.get(name).is_some_and(|t| t.differing || t.tracking);
        self.services.held().map(move |(name, id)| (name, id, moving(name)))
    }

    /// Bindings with their ids, and why packets cannot be sent to them, if so.
    pub(super) fn bindings(&self) -> impl Iterator<Item = (&BindingKey, u16, Option<String>)> {
        self.bindings.held().map(|(key, id)| (key, id, self.obstacle(key)))
    }

    /// What a packet would find.
    pub(super) fn filled(&self) -> Filled {
        let takes = |(key, id, obstacle): &(&BindingKey, u16, Option<String>)| {
            let state = self.live.backends.get(usize::from(*id)).state;
            let weighs = self.state.bindings.get(*key).is_some_and(|b| b.weight > 0);
            obstacle.is_none() && weighs && state == backend_state::SERVING
        };
        let takers: BTreeSet<_> =
            self.bindings().filter(takes).map(|(key, ..)| key.clone()).collect();
        let served: BTreeSet<_> = takers.iter().map(|key| &key.service).collect();
        let without = self.state.services.keys().filter(|name| !served.contains(name));
        Filled { without: without.cloned().collect(), takers }
    }

    /// Names by class index.
    pub(super) fn class_names(&self) -> &[Name] {
        &self.class_names
    }

    /// Addresses of all backends.
    pub(super) fn backend_addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<_> = self.state.bindings.keys().map(|k| k.backend.ip()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

/// The bindings of one service.
fn bindings_of<'a>(
    state: &'a SwitchState,
    service: &Name,
) -> impl Iterator<Item = (&'a BindingKey, &'a Binding)> + use<'a> {
    let least = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let service = service.clone();
    let first = BindingKey { service: service.clone(), backend: least };
    state.bindings.range(first..).take_while(move |(key, _)| key.service == service)
}

#[cfg(test)]
mod tests;
