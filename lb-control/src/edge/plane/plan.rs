//! Everything of a delta that can fail. A plan touches nothing that packets
//! read, and what it reserves it gives back when it fails.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{LookupKey, LookupSlot, lookup_flags};

use super::{
    Plane, Refusal, bindings_of,
    journal::Touched,
    rows::{address_key, lookup_slot, real_keys, server_id_key, vip_keys},
};
use crate::{
    edge::{classes::ClassTables, pool::Extent},
    model::{Binding, BindingKey, Mode, Name, Phase, Prefix, ServiceSpec, Vip},
};

/// What a delta needs.
#[derive(Debug)]
pub(super) struct Plan {
    /// `Some` when the classes were replaced.
    pub classes: Option<ClassTables>,
    pub new_services: Vec<Name>,
    pub new_bindings: Vec<BindingKey>,
    /// Room for the new ring of each service whose ring changes; `None` where
    /// no backend is left.
    pub rings: BTreeMap<Name, Option<Extent>>,
}

/// Share of new connections; 0 takes none.
pub(super) fn share(binding: Option<&Binding>) -> u32 {
    binding.filter(|b| b.phase == Phase::Serve).map_or(0, |b| u32::from(b.weight))
}

impl Plane {
    /// Plans the way to the state, which has the delta in it already.
    pub(super) fn plan(&mut self, touched: &Touched) -> Result<Plan, Refusal> {
        let classes = match &touched.classes {
            Some(_) => Some(ClassTables::compile(&self.state.classes).map_err(Refusal::Classes)?),
            None => None,
        };
        let is_new = |name: &&Name| self.services.get(name).is_none();
        let now_there = touched.services.keys().filter(|n| self.state.services.contains_key(*n));
        let new_services: Vec<_> = now_there.filter(is_new).cloned().collect();
        let now_there = touched.bindings.keys().filter(|k| self.state.bindings.contains_key(*k));
        let is_new = |key: &&BindingKey| self.bindings.get(key).is_none();
        let new_bindings: Vec<_> = now_there.filter(is_new).cloned().collect();
        let service_ids = self.services.preview(&new_services).ok_or(Refusal::NoIds("services"))?;
        let binding_ids = self.bindings.preview(&new_bindings).ok_or(Refusal::NoIds("bindings"))?;
        let lengths = self.ring_lengths(touched)?;

        let ids = PlannedIds {
            services: new_services.iter().cloned().zip(service_ids).collect(),
            bindings: new_bindings.iter().cloned().zip(binding_ids).collect(),
        };
        let (inserts, removes) = self.lookups(touched, &ids);
        let rings = self.reserve(&lengths)?;
        if let Err(full) = self.live.point(&inserts, &removes) {
            for extent in rings.into_values().flatten() {
                self.pool.release(extent);
            }
            return Err(full.into());
        }
        Ok(Plan { classes, new_services, new_bindings, rings })
    }

    /// The services whose rings change, and the lengths of the new ones; 0
    /// where no backend is left.
    fn ring_lengths(&self, touched: &Touched) -> Result<BTreeMap<Name, u32>, Refusal> {
        let mut affected = BTreeSet::new();
        for (key, old) in &touched.bindings {
            let new = self.state.bindings.get(key);
            let gone = old.is_some() && new.is_none();
            let first = new.is_some() && !self.has_ring(&key.service);
            if gone || first || share(old.as_ref()) != share(new) {
                affected.insert(&key.service);
            }
        }
        for (name, old) in &touched.services {
            if let (Some(old), Some(new)) = (old, self.state.services.get(name)) {
                self.check_ring_size(old, new)?;
            }
        }
        let length = |name: &Name| {
            let spec = self.state.services.get(name)?;
            let empty = bindings_of(&self.state, name).next().is_none();
            Some((name.clone(), if empty { 0 } else { spec.ring_size }))
        };
        Ok(affected.into_iter().filter_map(length).collect())
    }

    fn has_ring(&self, service: &Name) -> bool {
        self.tracks.get(service).is_some_and(|track| track.ring.is_some())
    }

    /// Slots of a ring of another size are other slots: every connection of
    /// the backends that stay would be looked for in the wrong place.
    fn check_ring_size(&self, old: &ServiceSpec, new: &ServiceSpec) -> Result<(), Refusal> {
        let stays = |(key, _): (&BindingKey, _)| self.bindings.get(key).is_some();
        if old.ring_size != new.ring_size
            && self.has_ring(&new.name)
            && bindings_of(&self.state, &new.name).any(stays)
        {
            return Err(Refusal::RingSize {
                service: new.name.clone(),
                has: old.ring_size,
                asked: new.ring_size,
            });
        }
        Ok(())
    }

    /// Room for rings of these lengths.
    fn reserve(
        &mut self,
        lengths: &BTreeMap<Name, u32>,
    ) -> Result<BTreeMap<Name, Option<Extent>>, Refusal> {
        let mut rings = BTreeMap::new();
        for (name, &len) in lengths {
            let extent = if len == 0 { None } else { self.room(len) };
            if len != 0 && extent.is_none() {
                for extent in rings.into_values().flatten() {
                    self.pool.release(extent);
                }
                return Err(Refusal::PoolFull(len));
            }
            rings.insert(name.clone(), extent);
        }
        Ok(rings)
    }

    /// Room for a ring: at once where there is some, else after the grace
    /// period of what was retired last.
    pub(super) fn room(&mut self, ring_len: u32) -> Option<Extent> {
        self.pool.reclaim(|ticket| self.live.passed(ticket));
        if let Some(extent) = self.pool.allocate(ring_len) {
            return Some(extent);
        }
        self.live.wait(self.pool.last_retired()?);
        self.pool.reclaim(|ticket| self.live.passed(ticket));
        self.pool.allocate(ring_len)
    }

    /// What the lookup table gains and loses.
    fn lookups(&self, touched: &Touched, ids: &PlannedIds) -> (Vec<LookupSlot>, Vec<LookupKey>) {
        let mut inserts = Vec::new();
        let mut removes = Vec::new();
        let service_id =
            |name: &Name| self.services.get(name).or_else(|| ids.services.get(name).copied());
        let binding_id =
            |key: &BindingKey| self.bindings.get(key).or_else(|| ids.bindings.get(key).copied());
        let mut addresses = BTreeSet::new();
        for (name, old) in &touched.services {
            let new = self.state.services.get(name);
            if let Some(old) = old {
                removes.extend(vip_keys(old));
                addresses.insert(address_of(old));
            }
            if let (Some(new), Some(id)) = (new, service_id(name)) {
                inserts.extend(vip_keys(new).into_iter().map(|key| lookup_slot(key, id, 0)));
                addresses.insert(address_of(new));
            }
        }
        if !addresses.is_empty() {
            // The service with the least id stands for an address; any of them
            // may have its echo requests answered.
            let mut owners = BTreeMap::new();
            for (name, spec) in &self.state.services {
                let (owner, flags) = owners.entry(address_of(spec)).or_insert((u16::MAX, 0));
                *owner = (*owner).min(service_id(name).unwrap_or(u16::MAX));
                *flags |= if spec.echo { lookup_flags::ECHO } else { 0 };
            }
            for address in addresses {
                let key = address_key(Vip::new(address, None));
                match owners.get(&address) {
                    Some(&(id, flags)) => {
                        inserts.push(LookupSlot { flags, ..lookup_slot(key, id, 0) });
                    }
                    None => removes.push(key),
                }
            }
        }
        for key in self.touched_reals(touched) {
            let (old, new) =
                (self.spec_before(touched, &key.service), self.state.services.get(&key.service));
            let nat = |spec: &&ServiceSpec| spec.mode == Mode::Nat;
            if let Some(old) = old.filter(nat)
                && self.bindings.get(&key).is_some()
            {
                removes.extend(real_keys(old, key.backend));
            }
            if let Some(new) = new.filter(nat)
                && self.state.bindings.contains_key(&key)
                && let Some(service) = service_id(&key.service)
            {
                let Some(id) = binding_id(&key) else { continue };
                let keys = real_keys(new, key.backend).into_iter();
                inserts.extend(keys.map(|key| lookup_slot(key, service, id)));
            }
        }
        for (key, old) in &touched.bindings {
            let Some(service) = service_id(&key.service) else { continue };
            let named =
                |binding: Option<&Binding>| Some(server_id_key(service, binding?.server_id?));
            removes.extend(named(old.as_ref()));
            let new = named(self.state.bindings.get(key)).zip(binding_id(key));
            inserts.extend(new.map(|(name, id)| lookup_slot(name, service, id)));
        }
        (inserts, removes)
    }

    /// Bindings whose entry by backend address may change: those touched, and
    /// all of a service that changed.
    fn touched_reals(&self, touched: &Touched) -> BTreeSet<BindingKey> {
        let mut keys: BTreeSet<_> = touched.bindings.keys().cloned().collect();
        for (name, old) in &touched.services {
            let new = self.state.services.get(name);
            if let (Some(old), Some(new)) = (old, new)
                && (old.mode, old.address, old.protocol) != (new.mode, new.address, new.protocol)
            {
                keys.extend(bindings_of(&self.state, name).map(|(key, _)| key.clone()));
            }
        }
        keys
    }

    /// A service as it was before the delta.
    fn spec_before<'a>(&'a self, touched: &'a Touched, service: &Name) -> Option<&'a ServiceSpec> {
        match touched.services.get(service) {
            Some(old) => old.as_ref(),
            None => self.state.services.get(service),
        }
    }
}

/// The address or prefix of a service.
fn address_of(spec: &ServiceSpec) -> Prefix {
    spec.address.prefix()
}

/// Ids that will be given once nothing can fail any more.
struct PlannedIds {
    services: BTreeMap<Name, u16>,
    bindings: BTreeMap<BindingKey, u16>,
}
