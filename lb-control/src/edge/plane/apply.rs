//! A delta, from refusal or plan to the commit.

use std::collections::BTreeSet;

use lb_common::abi::{CLASSES, Config, DEFAULT_CLASS, RingSlot, Service, features, service_flags};

use super::{
    Plane, Refusal, Ring, Track,
    journal::Touched,
    plan::Plan,
    rings,
    rows::{backend_row, name_row, policy_row, service_row},
};
use crate::{
    edge::{classes::ClassTables, grace::Ticket, hops::Answer, pool::Extent},
    model::{self, BindingKey, Change, Delta, Mode, Name},
};

impl Plane {
    /// Applies a delta as one commit, or not at all. Returns the generation
    /// that is live with it.
    ///
    /// # Errors
    /// Why it was refused; everything is then as it was.
    pub(in crate::edge) fn apply(&mut self, delta: &Delta) -> Result<u64, Refusal> {
        let have = self.live.stamp();
        if delta.stamp <= have {
            return Err(Refusal::Stale { have, got: delta.stamp });
        }
        self.commit(&delta.changes)?;
        // After the commit: should we end in between, the manager finds a state
        // that is newer than its stamp, and reconciles what it reads.
        self.live.set_stamp(delta.stamp);
        Ok(self.live.generation())
    }

    /// Applies what the edge itself has decided: the stamp stays that of the
    /// last delta, and the manager finds the difference in the next full read.
    ///
    /// # Errors
    /// Why it cannot be; everything is then as it was.
    pub(in crate::edge) fn apply_own(&mut self, changes: &[Change]) -> Result<u64, Refusal> {
        self.commit(changes)?;
        Ok(self.live.generation())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), Refusal> {
        let touched = Touched::by(&mut self.state, changes)?;
        match self.plan(&touched) {
            Ok(plan) => self.carry_out(&touched, plan),
            Err(refusal) => {
                touched.take_back(&mut self.state);
                return Err(refusal);
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, touched: &Touched, plan: Plan) {
        let gone = self.release_ids(touched);
        self.assign_ids(&plan);
        if let Some(tables) = &plan.classes {
            self.set_classes(tables);
        }
        for key in touched.bindings.keys() {
            self.set_backend(key);
        }
        self.set_policies(touched, &gone);
        let mut retired = self.set_rings(&plan.rings);
        retired.extend(gone.rings.iter().copied());
        for name in self.touched_services(touched) {
            self.set_service(&name);
        }
        if !touched.services.is_empty() {
            self.set_features();
        }
        let ticket = self.live.commit();
        self.retire(gone, retired, ticket);
    }

    /// Takes the ids from what is gone.
    fn release_ids(&mut self, touched: &Touched) -> Gone {
        let mut gone = Gone::default();
        for key in touched.bindings.keys().filter(|k| !self.state.bindings.contains_key(*k)) {
            if let Some(id) = self.bindings.release(key) {
                self.live.backends.set(usize::from(id), Default::default());
                self.moved_away.remove(&id);
                gone.bindings.push((key.clone(), id));
            }
        }
        for name in touched.services.keys().filter(|n| !self.state.services.contains_key(*n)) {
            if let Some(id) = self.services.release(name) {
                self.live.services.set(usize::from(id), Service::default());
                self.live.service_names.set(usize::from(id), Default::default());
                let track = self.tracks.remove(name).unwrap_or_default();
                gone.rings.extend(track.ring.map(|ring| ring.extent));
                gone.services.push((name.clone(), id));
            }
        }
        gone
    }

    fn assign_ids(&mut self, plan: &Plan) {
        for name in &plan.new_services {
            let id = usize::from(self.services.assign(name.clone()));
            self.live.service_names.set(id, name_row(name));
            // Flows of an earlier service at this address may be remembered.
            let track = Track { tracking: !self.flows_clean, ..Track::default() };
            self.tracks.insert(name.clone(), track);
        }
        for key in &plan.new_bindings {
            self.bindings.assign(key.clone());
        }
    }

    fn retire(&mut self, gone: Gone, extents: Vec<Extent>, ticket: Ticket) {
        for (key, id) in gone.bindings {
            self.bindings.rest(id, key, ticket);
        }
        for (name, id) in gone.services {
            self.services.rest(id, name, ticket);
        }
        for extent in extents {
            self.pool.retire(extent, ticket);
        }
    }

    fn set_classes(&mut self, tables: &ClassTables) {
        for (index, range) in tables.ranges.iter().enumerate() {
            self.live.class_ranges.set(index, *range);
        }
        let config = Config {
            class_ranges: tables.ranges.len() as u32,
            classes: self.state.classes.len() as u32,
            class_dscp: tables.dscp,
            ..*self.live.config.get(0)
        };
        self.live.config.set(0, config);
        self.class_names = self.state.classes.iter().map(|c| c.name.clone()).collect();
        for index in 0..DEFAULT_CLASS as usize {
            let row = self.class_names.get(index).map(name_row).unwrap_or_default();
            self.live.class_names.set(index, row);
        }
    }

    /// Writes a binding's row.
    pub(super) fn set_backend(&mut self, key: &BindingKey) {
        let binding = self.state.bindings.get(key);
        let ids = self.services.get(&key.service).zip(self.bindings.get(key));
        if let (Some(binding), Some((service, id))) = (binding, ids) {
            let hop = self.hops.get(&key.backend.ip()).and_then(Answer::hop);
            let row = backend_row(service, key.backend, binding, hop);
            self.live.backends.set(usize::from(id), row);
        }
    }

    fn set_policies(&mut self, touched: &Touched, gone: &Gone) {
        for &(_, id) in &gone.services {
            let first = usize::from(id) * CLASSES as usize;
            for index in first..first + CLASSES as usize {
                self.live.policies.set(index, Default::default());
            }
        }
        if touched.classes.is_none() {
            for (service, class) in touched.policies.keys() {
                if let Some(index) = self.class_index(class) {
                    self.set_policy(service, Some(class), index);
                }
            }
            return;
        }
        // The classes' indices may be others now.
        let classes: Vec<_> = (0..CLASSES as usize).map(|index| self.class_name(index)).collect();
        for service in self.state.services.keys().cloned().collect::<Vec<_>>() {
            for (index, class) in classes.iter().enumerate() {
                self.set_policy(&service, class.as_ref(), index);
            }
        }
    }

    fn set_policy(&mut self, service: &Name, class: Option<&Name>, index: usize) {
        let Some(id) = self.services.get(service) else { return };
        let key = class.map(|class| (service.clone(), class.clone()));
        let policy = key.and_then(|key| self.state.policies.get(&key));
        let row = policy.map(policy_row).unwrap_or_default();
        self.live.policies.set(usize::from(id) * CLASSES as usize + index, row);
    }

    /// The class of an index, the default class included.
    fn class_name(&self, index: usize) -> Option<Name> {
        if index == DEFAULT_CLASS as usize {
            return model::DEFAULT_CLASS.parse().ok();
        }
        self.class_names.get(index).cloned()
    }

    fn class_index(&self, class: &Name) -> Option<usize> {
        if class.as_str() == model::DEFAULT_CLASS {
            return Some(DEFAULT_CLASS as usize);
        }
        self.class_names.iter().position(|name| name == class)
    }

    /// Takes a ring that was built for the next commit. Returns the extent of the
    /// one before.
    pub(super) fn put_ring(
        &mut self,
        name: &Name,
        ring: Option<Ring>,
        turn: rings::Turn,
    ) -> Option<Extent> {
        let next = self.live.generation() + 1;
        self.moved_away.extend(turn.moved_away.into_iter().map(|id| (id, next)));
        let track = self.tracks.get_mut(name)?;
        let retired = std::mem::replace(&mut track.ring, ring).map(|ring| ring.extent);
        track.differing = turn.differing;
        track.tracking |= turn.differing;
        track.changed = next;
        track.known = None;
        retired
    }

    /// A service's ring, if it has one of that length.
    pub(super) fn ring_of(&self, name: &Name, len: u32) -> Option<Ring> {
        self.tracks.get(name)?.ring.filter(|ring| ring.len == len)
    }

    /// The slots of a service's ring; empty when it has none of that length.
    pub(super) fn ring_slots(&self, name: &Name, len: u32) -> Vec<RingSlot> {
        let slots = self.ring_of(name, len).map_or(0..0, Ring::slots);
        self.live.rings.read(slots.start, slots.len())
    }

    /// Tells packets what some service needs, so that others do not look for it.
    fn set_features(&mut self) {
        let services = || self.state.services.values();
        let any_port = services().any(|spec| spec.address.port().is_none());
        let nat = services().any(|spec| spec.mode == Mode::Nat);
        let prefixes = services().filter(|spec| spec.address.is_prefix());
        let lengths: BTreeSet<_> = prefixes.map(|spec| spec.address.mapped_len()).collect();
        let mut config = *self.live.config.get(0);
        config.features =
            if any_port { features::ANY_PORT } else { 0 } | if nat { features::NAT } else { 0 };
        config.prefixes = lengths.len() as u32;
        config.prefix_lengths = Default::default();
        for (place, &len) in config.prefix_lengths.iter_mut().zip(lengths.iter().rev()) {
            *place = len;
        }
        self.live.config.set(0, config);
    }

    /// Services whose row may change.
    fn touched_services(&self, touched: &Touched) -> BTreeSet<Name> {
        if touched.classes.is_some() {
            return self.state.services.keys().cloned().collect();
        }
        let of_bindings = touched.bindings.keys().map(|key| &key.service);
        let of_policies = touched.policies.keys().map(|(service, _)| service);
        touched.services.keys().chain(of_bindings).chain(of_policies).cloned().collect()
    }

    /// Writes a service's row.
    pub(super) fn set_service(&mut self, name: &Name) {
        let Some((spec, id)) = self.state.services.get(name).zip(self.services.get(name)) else {
            return;
        };
        let Some(track) = self.tracks.get(name) else { return };
        let id = usize::from(id);
        let mut row = service_row(spec);
        if let Some(ring) = track.ring {
            row.ring_offset = ring.extent.offset;
            row.ring_len = ring.len;
        }
        if track.differing || track.tracking {
            row.flags |= service_flags::MOVING;
            self.flows_clean = false;
        }
        let policies = id * CLASSES as usize..(id + 1) * CLASSES as usize;
        if self.live.policies.all()[policies].iter().any(|policy| policy.threshold > 0) {
            row.flags |= service_flags::POLICED;
        }
        self.live.services.set(id, row);
    }
}

/// What a delta removed.
#[derive(Default)]
struct Gone {
    services: Vec<(Name, u16)>,
    bindings: Vec<(BindingKey, u16)>,
    rings: Vec<Extent>,
}
