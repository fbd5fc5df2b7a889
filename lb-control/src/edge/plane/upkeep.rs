//! Commits that no delta asked for.

use std::collections::BTreeSet;

use lb_common::abi::{Config, FlowEntry, FlowKey, service_flags};

use super::{Plane, Ring, Track, rings, site::Site};
use crate::{
    edge::{grace::Ticket, pool::Extent},
    model::{Name, Udp},
};

/// What a look at all remembered flows has shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::edge) struct Upkeep {
    /// Backends that cannot have untracked connections any more on slots that
    /// moved away from them, and the generation in which that had last happened
    /// when that was seen.
    pub settle: Vec<(u16, u64)>,
    /// Services without a remembered flow, and the generation in which their
    /// rings had last changed when that was seen.
    pub rest: Vec<(u16, u64)>,
    /// Resting binding ids that no remembered flow names, and since when they
    /// rest; their counters are zero.
    pub free: Vec<(u16, Ticket)>,
    /// No flow is remembered, and this was the generation all the while.
    pub clean: Option<u64>,
}

/// Why a remembered flow need not be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Needless {
    /// No service is at the flow's destination.
    NoService,
    /// Its backend is gone.
    NoBackend,
    /// It would go to the same backend without being remembered, whether it
    /// is a connection or a new attempt at one.
    AtHome,
    /// No packet asks for flows of its slot.
    Untouched,
}

impl Plane {
    /// Whether any flow may be remembered, or an id waits for that to be known.
    pub(in crate::edge) fn needs_sweep(&self) -> bool {
        !self.flows_clean
            || self.bindings.any_resting()
            || self.services.any_resting()
            || self.tracks_udp()
    }

    /// Whether some service remembers its UDP flows all the time.
    fn tracks_udp(&self) -> bool {
        self.state.services.values().any(|spec| spec.udp == Udp::Tracked)
    }

    /// Why a tracked UDP flow need not be remembered, or its service.
    pub(in crate::edge) fn judge_tracked(
        &self,
        key: &FlowKey,
        entry: &FlowEntry,
    ) -> Result<u16, Needless> {
        let service = self.service_of(key).ok_or(Needless::NoService)?;
        let tracked = self.live.services.get(usize::from(service)).flags & service_flags::TRACKED;
        if tracked == 0 {
            return Err(Needless::NoService);
        }
        if self.bindings.is_held(entry.backend) { Ok(service) } else { Err(Needless::NoBackend) }
    }

    /// Seconds of silence after which a UDP flow of this service is over.
    pub(in crate::edge) fn udp_idle(&self, service: u16) -> u32 {
        self.live.services.get(usize::from(service)).udp_idle
    }

    /// Why a flow need not be remembered, or the service it belongs to.
    pub(in crate::edge) fn judge(&self, key: &FlowKey, entry: &FlowEntry) -> Result<u16, Needless> {
        let (service, slot) = self.slot_of(key).ok_or(Needless::NoService)?;
        if !self.bindings.is_held(entry.backend) {
            return Err(Needless::NoBackend);
        }
        if !slot.is_touched() {
            return Err(Needless::Untouched);
        }
        let at_home = slot.current() == entry.backend && slot.settled() == entry.backend;
        if at_home { Err(Needless::AtHome) } else { Ok(service) }
    }

    /// Services that could come to rest if none of their flows is remembered:
    /// id, and generation of the last change of the ring. Packets that began
    /// before that change are gone.
    pub(in crate::edge) fn could_rest(&self) -> Vec<(u16, u64)> {
        if !self.live.idle_is_free() {
            return Vec::new();
        }
        let candidate = |(name, id): (&Name, u16)| {
            let track = self.tracks.get(name)?;
            (track.tracking && !track.differing).then_some((id, track.changed))
        };
        self.services.held().filter_map(candidate).collect()
    }

    /// Binding ids that nobody holds and no packet under way names, and since
    /// when they rest.
    pub(in crate::edge) fn rested_bindings(&self) -> Vec<(u16, Ticket)> {
        self.bindings.rested(|ticket| self.live.passed(ticket))
    }

    /// Service ids that nobody holds and no packet under way names, and since
    /// when they rest.
    pub(in crate::edge) fn rested_services(&self) -> Vec<(u16, Ticket)> {
        self.services.rested(|ticket| self.live.passed(ticket))
    }

    /// Lets these ids be given again; their counters must be zero.
    pub(in crate::edge) fn free_services(&mut self, ids: &[(u16, Ticket)]) {
        for &(id, since) in ids {
            self.services.set_free(id, since);
        }
    }

    /// Ids that could be given to somebody next: of services, of bindings.
    pub(in crate::edge) fn free_ids(&self) -> (Vec<u16>, Vec<u16>) {
        (self.services.free().collect(), self.bindings.free().collect())
    }

    /// Backends that own untracked connections on slots that have moved away
    /// from them, and the generation in which that last happened.
    pub(in crate::edge) fn lagging(&self) -> Vec<(u16, u64)> {
        let mut owners = BTreeSet::new();
        for (name, track) in self.tracks.iter().filter(|(_, track)| track.differing) {
            let Some(ring) = track.ring else { continue };
            let slots = self.ring_slots(name, ring.len);
            owners.extend(slots.iter().filter(|s| s.differs()).map(|s| s.settled()));
        }
        owners.into_iter().map(|id| (id, self.moved(id))).collect()
    }

    /// The generation in which a backend last lost slots.
    fn moved(&self, id: u16) -> u64 {
        self.moved_away.get(&id).copied().unwrap_or_default()
    }

    /// Does what a look at the flows allows, as one commit.
    pub(in crate::edge) fn upkeep(&mut self, found: &Upkeep) {
        let mut retired = Vec::new();
        // One that has lost slots since then may have connections on those.
        let same = |&&(id, moved): &&(u16, u64)| self.moved(id) == moved;
        let owners: Vec<_> = found.settle.iter().filter(same).map(|&(id, _)| id).collect();
        if !owners.is_empty() {
            let differing = self.tracks.iter().filter(|(_, track)| track.differing);
            for name in differing.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
                retired.extend(self.settle(&name, &owners));
            }
        }
        for &(id, changed) in &found.rest {
            self.rest(id, changed);
        }
        let ticket = self.live.commit();
        for extent in retired {
            self.pool.retire(extent, ticket);
        }
        for &(id, since) in &found.free {
            self.bindings.set_free(id, since);
        }
        if found.clean == Some(self.live.generation()) && !self.services().any(|(_, _, m)| m) {
            self.flows_clean = true;
        }
    }

    /// Gives the slots of `owners` to those who take their new connections.
    /// Tries again later when the pool has no room.
    fn settle(&mut self, name: &Name, owners: &[u16]) -> Option<Extent> {
        let &Track { ring, tracking, .. } = self.tracks.get(name)?;
        let ring = ring?;
        let slots = self.ring_slots(name, ring.len);
        if !slots.iter().any(|slot| owners.contains(&slot.settled())) {
            return None;
        }
        let next = Ring { extent: self.room(ring.len)?, ..ring };
        let current: Vec<_> = slots.iter().map(|slot| slot.current()).collect();
        let owns = |id| self.bindings.is_held(id) && !owners.contains(&id);
        let mut parts = self.live.rings.parts(&[ring.slots(), next.slots()]).into_iter();
        let (previous, mut slots) = (parts.next()?, parts.next()?);
        let turn = rings::turn(Some(&previous), &current, &mut slots, tracking, owns);
        let retired = self.put_ring(name, Some(next), turn);
        self.set_service(name);
        retired
    }

    fn rest(&mut self, id: u16, changed: u64) {
        let Some(name) = self.services.held().find(|&(_, held)| held == id).map(|(n, _)| n.clone())
        else {
            return;
        };
        // If its ring has not changed since, its slots do not differ since.
        if let Some(track) = self.tracks.get_mut(&name)
            && track.changed == changed
        {
            track.tracking = false;
            self.set_service(&name);
        }
    }

    /// Sets what is the same for all services.
    pub(in crate::edge) fn set_site(&mut self, site: &Site) {
        let Site { flow_key, answers, tunnel_v4, tunnel_v6 } = *site;
        let config = Config {
            flow_key,
            answers,
            tunnel_v4: tunnel_v4.0.octets(),
            tunnel_v4_flow: tunnel_v4.1.to_be_bytes(),
            tunnel_v6: tunnel_v6.octets(),
            ..*self.live.config.get(0)
        };
        self.live.config.set(0, config);
        self.live.commit();
    }

    /// The secret of the flow hash; zero on an empty edge.
    pub(in crate::edge) fn flow_key(&self) -> [u64; 2] {
        self.live.config.get(0).flow_key
    }
}
