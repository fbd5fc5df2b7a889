//! The state again, from the maps alone: what a new process finds when the one
//! before it is gone.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use lb_common::abi::{
    CLASSES, DEFAULT_CLASS, MAX_BACKENDS, MAX_SERVICES, Name as NameRow, backend_state,
    service_flags,
};

use super::{
    Plane, Ring, Track,
    ids::Ids,
    live::Live,
    rows::{backend_of, name_of, policy_of, service_of},
};
use crate::{
    edge::{
        classes::ClassTables,
        grace::Grace,
        memory::Memory,
        pool::{Extent, Pool},
    },
    model::{BindingKey, Name, SwitchState},
};

/// The maps hold what no edge of this version writes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::edge) struct AdoptError(String);

fn broken(what: impl Into<String>) -> AdoptError {
    AdoptError(what.into())
}

impl Plane {
    /// Takes over what is live in `memory`; empty memory is an empty edge.
    /// Binding ids for which `named` holds are named by remembered flows.
    ///
    /// # Errors
    /// When the maps contradict themselves; packets go on as they did.
    pub(in crate::edge) fn adopt(
        memory: Memory,
        grace: Arc<dyn Grace>,
        named: impl Fn(u16) -> bool,
    ) -> Result<Self, AdoptError> {
        let capacity = memory.rings.len() as u32;
        let live =
            Live::adopt(memory, grace).map_err(|_| broken("the lookup table is too full"))?;
        let mut state = SwitchState::default();
        let class_names = adopt_classes(&live, &mut state)?;
        let services = adopt_services(&live, &mut state)?;
        let mut hops = HashMap::new();
        let mut bindings = BTreeMap::new();
        let by_id: HashMap<u16, &Name> = services.iter().map(|(name, &id)| (id, name)).collect();
        for (id, row) in live.backends.all().iter().enumerate() {
            if row.state == backend_state::FREE {
                continue;
            }
            let wrong = || broken(format!("binding {id} cannot be read"));
            let (backend, binding, hop) = backend_of(row).ok_or_else(wrong)?;
            let service = u16::try_from(row.service).ok().and_then(|id| by_id.get(&id));
            let service = (*service.ok_or_else(wrong)?).clone();
            let key = BindingKey { service, backend };
            hops.extend(hop.map(|hop| (backend.ip(), hop)));
            state.bindings.insert(key.clone(), binding);
            if bindings.insert(key, id as u16).is_some() {
                return Err(wrong());
            }
        }
        adopt_policies(&live, &mut state, &class_names, &services)?;
        let tracks = adopt_rings(&live, &services, capacity)?;
        let taken = tracks.values().filter_map(|t| t.ring).map(|ring| ring.extent).collect();
        Ok(Self {
            pool: Pool::new(capacity, taken).ok_or_else(|| broken("two rings overlap"))?,
            state,
            services: Ids::new(0, (MAX_SERVICES - 1) as u16, services, |_| false),
            bindings: Ids::new(1, (MAX_BACKENDS - 1) as u16, bindings, named),
            tracks,
            class_names,
            hops,
            moved_away: HashMap::new(),
            flows_clean: false,
            live,
        })
    }
}

/// Classes whose sources mean what the tables say. They may be written
/// otherwise than in the configuration, so the manager may send them again,
/// which changes nothing for packets.
fn adopt_classes(live: &Live, state: &mut SwitchState) -> Result<Vec<Name>, AdoptError> {
    let config = live.config.get(0);
    let count = config.classes as usize;
    if count > DEFAULT_CLASS as usize {
        return Err(broken(format!("there are {count} classes")));
    }
    let name = |(index, row): (usize, &NameRow)| {
        name_of(row).ok_or_else(|| broken(format!("class {index} has no name")))
    };
    let rows = live.class_names.all()[..count].iter().enumerate();
    let names = rows.map(name).collect::<Result<Vec<_>, _>>()?;
    let tables = ClassTables::of_live(config, live.class_ranges.all());
    state.classes = tables.recover(&names);
    Ok(names)
}

fn adopt_services(live: &Live, state: &mut SwitchState) -> Result<BTreeMap<Name, u16>, AdoptError> {
    let mut services = BTreeMap::new();
    for (id, row) in live.services.all().iter().enumerate().filter(|(_, row)| row.mode != 0) {
        let name = name_of(live.service_names.get(id));
        let spec = name.and_then(|name| service_of(name, row));
        let spec = spec.ok_or_else(|| broken(format!("service {id} cannot be read")))?;
        if services.insert(spec.name.clone(), id as u16).is_some() {
            return Err(broken(format!("service `{}` is there twice", spec.name)));
        }
        state.services.insert(spec.name.clone(), spec);
    }
    Ok(services)
}

fn adopt_policies(
    live: &Live,
    state: &mut SwitchState,
    class_names: &[Name],
    services: &BTreeMap<Name, u16>,
) -> Result<(), AdoptError> {
    let default: Name = crate::model::DEFAULT_CLASS.parse().expect("a valid name");
    for (service, &id) in services {
        for index in 0..CLASSES as usize {
            let row = live.policies.get(usize::from(id) * CLASSES as usize + index);
            let Some(policy) = policy_of(row) else { continue };
            let named = class_names.get(index);
            let class = if index == DEFAULT_CLASS as usize { Some(&default) } else { named };
            let class = class.ok_or_else(|| broken(format!("a policy names class {index}")))?;
            state.policies.insert((service.clone(), class.clone()), policy);
        }
    }
    Ok(())
}

fn adopt_rings(
    live: &Live,
    services: &BTreeMap<Name, u16>,
    capacity: u32,
) -> Result<BTreeMap<Name, Track>, AdoptError> {
    let mut tracks = BTreeMap::new();
    for (name, &id) in services {
        let row = live.services.get(usize::from(id));
        let mut track = Track {
            tracking: row.flags & service_flags::MOVING != 0,
            changed: live.generation(),
            ..Track::default()
        };
        if row.ring_len != 0 {
            let (offset, len) = (row.ring_offset, row.ring_len);
            if offset.checked_add(len).is_none_or(|end| end > capacity) {
                return Err(broken(format!("the ring of service `{name}` is out of bounds")));
            }
            let slots = live.rings.read(offset as usize, len as usize);
            track.differing = slots.iter().any(|slot| slot.differs());
            track.ring = Some(Ring { extent: Extent::of_ring(offset, len), len });
        }
        tracks.insert(name.clone(), track);
    }
    Ok(tracks)
}
