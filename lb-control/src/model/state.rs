//! What a switch holds, the steps that change it, and the steps from one
//! state to another.

mod check;

use std::{collections::BTreeSet, net::SocketAddr};

use imbl::{OrdMap, ordmap::DiffItem};
use serde::{Deserialize, Serialize};

use super::{
    Binding, BindingKey, ClassSpec, DEFAULT_CLASS, Mode, Name, Policy, Protocol, ServerId,
    ServiceSpec, Vip,
};

/// Everything a switch should hold, or holds.
///
/// Copies share what they have in common: a manager keeps what each of many
/// switches holds, and finds what differs without looking at the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwitchState {
    pub services: OrdMap<Name, ServiceSpec>,
    pub bindings: OrdMap<BindingKey, Binding>,
    /// By service and class; an absent policy admits everything.
    pub policies: OrdMap<(Name, Name), Policy>,
    /// In the order in which they are tried.
    pub classes: Vec<ClassSpec>,
}

/// One step from one switch state to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Creates or replaces a service; its bindings stay.
    PutService(ServiceSpec),
    /// Removes a service with its bindings and policies.
    DeleteService(Name),
    PutBinding(BindingKey, Binding),
    /// Forgets a binding; connections that still belong to it lose their owner.
    DeleteBinding(BindingKey),
    /// A policy that refuses nothing is forgotten.
    PutPolicy {
        service: Name,
        class: Name,
        policy: Policy,
    },
    /// Replaces all classes; policies of classes that are gone are forgotten.
    PutClasses(Vec<ClassSpec>),
}

/// Why a change does not fit a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("there is no service `{0}`")]
    UnknownService(Name),
    #[error("there is no class `{0}`")]
    UnknownClass(Name),
    #[error("{address} over {protocol} is already the address of service `{holder}`: give `{service}` another address or port", protocol = .protocol)]
    AddressTaken { service: Name, holder: Name, address: Vip, protocol: Protocol },
    #[error(
        "backend {backend} and service `{service}` ({address}) are of different IP families; mode {mode} does not translate between IPv4 and IPv6"
    )]
    Family { service: Name, address: Vip, backend: SocketAddr, mode: Mode },
    #[error(
        "mode {mode} does not rewrite ports: backend {backend} of service `{service}` must listen on port {port}"
    )]
    Port { service: Name, backend: SocketAddr, port: u16, mode: Mode },
    #[error(
        "in mode nat an address and port belong to one service: {backend} is already bound to `{holder}`"
    )]
    RealTaken { backend: SocketAddr, holder: Name },
    #[error("backend {0} is the address of a service: packets to it would come back to the edge")]
    BackendIsService(SocketAddr),
    #[error(
        "{0} cannot be the address of a backend: use a unicast address and a port from 1 to 65535"
    )]
    BadAddress(SocketAddr),
    #[error(
        "{0} cannot be the address of a service: use unicast addresses, and ports from 1 to 65535 \
         or `*`"
    )]
    BadVip(Vip),
    #[error(
        "service `{service}` is a prefix ({address}), and in mode nat replies would not know \
         which of its addresses they come from: use mode l2, ipip or gue"
    )]
    NatPrefix { service: Name, address: Vip },
    #[error(
        "service `{service}` takes no UDP, so `udp = \"{udp}\"` means nothing: set its protocol \
         to udp or tcp+udp"
    )]
    NoUdp { service: Name, udp: super::Udp },
    #[error(
        "service `{service}`: a UDP flow is over after 1 second of silence at least, not {asked}"
    )]
    UdpIdle { service: Name, asked: u32 },
    #[error(
        "service `{service}`: `server_id_bytes` is 0 to {most}, and more than 0 only with \
         `udp = \"quic\"`",
        most = ServerId::MOST
    )]
    ServerIdBytes { service: Name },
    #[error(
        "service `{service}` takes server ids of {bytes} byte(s), and {backend} has {id}: set \
         `server_id_bytes` of the service, or another id"
    )]
    ServerIdLength { service: Name, backend: SocketAddr, id: ServerId, bytes: u8 },
    #[error("server id {id} of {backend} is already that of {holder}: give each its own")]
    ServerIdTaken { backend: SocketAddr, id: ServerId, holder: BindingKey },
    #[error("service `{service}`: a ring has 1 to {most} slots, not {asked}", most = SwitchState::MAX_RING)]
    Ring { service: Name, asked: u32 },
    #[error("there can be {most} {what}, not more", most = .most)]
    Full { what: &'static str, most: usize },
    #[error("class `{0}` is given twice, or is called `{DEFAULT_CLASS}`, which every site has")]
    ClassName(Name),
    #[error("class `{class}`: DSCP is 0 to 63, not {dscp}")]
    Dscp { class: Name, dscp: u8 },
}

impl SwitchState {
    /// The most slots a ring can have.
    pub const MAX_RING: u32 = 1 << 20;
    /// The most services, as the XDP edge's maps are laid out.
    pub const MAX_SERVICES: usize = lb_common::abi::MAX_SERVICES as usize;
    /// The most bindings: half of the ids that the XDP edge has, since an id
    /// rests before it is used again and all may be replaced at once.
    pub const MAX_BINDINGS: usize = lb_common::abi::MAX_BACKENDS as usize / 2;
    /// The most different prefix lengths that services have.
    pub const MAX_PREFIX_LENGTHS: usize = lb_common::abi::MAX_PREFIX_LENGTHS;
    /// The most classes beside the default class.
    pub const MAX_CLASSES: usize = lb_common::abi::CLASSES as usize - 1;

    /// Takes one step.
    ///
    /// # Errors
    /// Says why the step does not fit; the state is then as it was.
    pub fn apply(&mut self, change: &Change) -> Result<(), StateError> {
        match change {
            Change::PutService(spec) => {
                self.check_service(spec)?;
                self.services.insert(spec.name.clone(), spec.clone());
            }
            Change::DeleteService(name) => {
                if self.services.remove(name).is_none() {
                    return Err(StateError::UnknownService(name.clone()));
                }
                retain(&mut self.bindings, |key| key.service != *name);
                retain(&mut self.policies, |(service, _)| service != name);
            }
            Change::PutBinding(key, binding) => {
                self.check_binding(key, binding)?;
                self.bindings.insert(key.clone(), *binding);
            }
            Change::DeleteBinding(key) => {
                self.service(&key.service)?;
                self.bindings.remove(key);
            }
            Change::PutPolicy { service, class, policy } => {
                self.service(service)?;
                if class.as_str() != DEFAULT_CLASS && !self.classes.iter().any(|c| c.name == *class)
                {
                    return Err(StateError::UnknownClass(class.clone()));
                }
                let key = (service.clone(), class.clone());
                if policy.refuse == super::Share::NONE {
                    self.policies.remove(&key);
                } else {
                    self.policies.insert(key, *policy);
                }
            }
            Change::PutClasses(classes) => {
                Self::check_classes(classes)?;
                retain(&mut self.policies, |(_, class)| {
                    class.as_str() == DEFAULT_CLASS || classes.iter().any(|c| c.name == *class)
                });
                self.classes = classes.clone();
            }
        }
        Ok(())
    }

    /// The steps from here to `target`, in an order that [`apply`](Self::apply)
    /// takes: classes and removals first, so that an address or a place that
    /// becomes free can be taken again in the same delta. A service that moves
    /// to another address or mode is made anew: no connection to where it was
    /// can go on, and two services may change places.
    pub fn diff(&self, target: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.classes != target.classes {
            changes.push(Change::PutClasses(target.classes.clone()));
        }
        // What decides where a packet goes: with another, flows change owners.
        let place =
            |spec: &ServiceSpec| (spec.address, spec.protocol, spec.mode, spec.affinity, spec.udp);
        let is_kept = |spec: &&ServiceSpec| {
            target.services.get(&spec.name).is_some_and(|other| place(other) == place(spec))
        };
        let deleted: BTreeSet<_> = self
            .services
            .values()
            .filter(|spec| !is_kept(spec))
            .map(|spec| spec.name.clone())
            .collect();
        changes.extend(deleted.iter().cloned().map(Change::DeleteService));
        let stays = |key: &BindingKey| !deleted.contains(&key.service);
        let (mut freed, mut put) = (Vec::new(), Vec::new());
        for item in self.bindings.diff(&target.bindings) {
            match item {
                DiffItem::Remove(key, _) if stays(key) => {
                    changes.push(Change::DeleteBinding(key.clone()));
                }
                // Ids change hands, and perhaps length: the old ones go first.
                DiffItem::Update { old: (key, old), new: (_, new) }
                    if stays(key) && old.server_id.is_some() && old.server_id != new.server_id =>
                {
                    let nameless = Binding { server_id: None, ..*old };
                    freed.push(Change::PutBinding(key.clone(), nameless));
                    put.push((key, new));
                }
                DiffItem::Update { new: (key, new), .. } | DiffItem::Add(key, new)
                    if stays(key) =>
                {
                    put.push((key, new));
                }
                // It goes with its service.
                DiffItem::Remove(..) | DiffItem::Update { .. } | DiffItem::Add(..) => {}
            }
        }
        changes.append(&mut freed);
        for (name, spec) in &target.services {
            if self.services.get(name) != Some(spec) {
                changes.push(Change::PutService(spec.clone()));
            }
        }
        if !deleted.is_empty() {
            put.extend(target.bindings.iter().filter(|(key, _)| !stays(key)));
        }
        let put = put.into_iter().map(|(key, binding)| Change::PutBinding(key.clone(), *binding));
        changes.extend(put);
        for (key @ (service, class), policy) in &target.policies {
            if self.policies.get(key) != Some(policy) || deleted.contains(service) {
                changes.push(Change::PutPolicy {
                    service: service.clone(),
                    class: class.clone(),
                    policy: *policy,
                });
            }
        }
        let class_stays = |class: &Name| {
            class.as_str() == DEFAULT_CLASS || target.classes.iter().any(|c| c.name == *class)
        };
        for key @ (service, class) in self.policies.keys() {
            if !target.policies.contains_key(key)
                && !deleted.contains(service)
                && class_stays(class)
            {
                changes.push(Change::PutPolicy {
                    service: service.clone(),
                    class: class.clone(),
                    policy: Policy::default(),
                });
            }
        }
        changes
    }

    /// The service of that name.
    ///
    /// # Errors
    /// [`StateError::UnknownService`].
    pub fn service(&self, name: &Name) -> Result<&ServiceSpec, StateError> {
        self.services.get(name).ok_or_else(|| StateError::UnknownService(name.clone()))
    }
}

/// Keeps the entries with such keys, without a copy of what others share.
pub(crate) fn retain<K: Ord + Clone, V: Clone>(map: &mut OrdMap<K, V>, keep: impl Fn(&K) -> bool) {
    let gone: Vec<K> = map.keys().filter(|key| !keep(key)).cloned().collect();
    for key in gone {
        map.remove(&key);
    }
}

#[cfg(test)]
mod tests;
