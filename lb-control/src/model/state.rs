//! What a switch holds, the steps that change it, and the steps from one
//! state to another.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Binding, BindingKey, ClassSpec, DEFAULT_CLASS, Mode, Name, Policy, ServiceSpec};

/// Everything a switch should hold, or holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwitchState {
    pub services: BTreeMap<Name, ServiceSpec>,
    pub bindings: BTreeMap<BindingKey, Binding>,
    /// By service and class; an absent policy admits everything.
    pub policies: BTreeMap<(Name, Name), Policy>,
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
    AddressTaken {
        service: Name,
        holder: Name,
        address: std::net::SocketAddr,
        protocol: super::Protocol,
    },
    #[error(
        "backend {backend} and service `{service}` ({address}) are of different IP families; mode {mode} does not translate between IPv4 and IPv6"
    )]
    Family {
        service: Name,
        address: std::net::SocketAddr,
        backend: std::net::SocketAddr,
        mode: Mode,
    },
    #[error(
        "mode l2 does not rewrite ports: backend {backend} of service `{service}` must listen on port {port}"
    )]
    Port { service: Name, backend: std::net::SocketAddr, port: u16 },
    #[error(
        "in mode nat an address and port belong to one service: {backend} is already bound to `{holder}`"
    )]
    RealTaken { backend: std::net::SocketAddr, holder: Name },
    #[error("backend {0} is the address of a service: packets to it would come back to the edge")]
    BackendIsService(std::net::SocketAddr),
    #[error(
        "{0} cannot be the address of a service or backend: use a unicast address and a port from 1 to 65535"
    )]
    BadAddress(std::net::SocketAddr),
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
    /// The most bindings, as the XDP edge's maps are laid out (id 0 is none,
    /// and an id rests before it is used again).
    pub const MAX_BINDINGS: usize = 32_768;
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
                self.bindings.retain(|key, _| key.service != *name);
                self.policies.retain(|(service, _), _| service != name);
            }
            Change::PutBinding(key, binding) => {
                self.check_binding(key)?;
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
                self.policies.retain(|(_, class), _| {
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
        let place = |spec: &ServiceSpec| (spec.address, spec.protocol, spec.mode);
        let stays = |spec: &&ServiceSpec| {
            target.services.get(&spec.name).is_some_and(|other| place(other) == place(spec))
        };
        let deleted: BTreeSet<_> = self
            .services
            .values()
            .filter(|spec| !stays(spec))
            .map(|spec| spec.name.clone())
            .collect();
        changes.extend(deleted.iter().cloned().map(Change::DeleteService));
        for key in self.bindings.keys() {
            if !target.bindings.contains_key(key) && !deleted.contains(&key.service) {
                changes.push(Change::DeleteBinding(key.clone()));
            }
        }
        for (name, spec) in &target.services {
            if self.services.get(name) != Some(spec) {
                changes.push(Change::PutService(spec.clone()));
            }
        }
        for (key, binding) in &target.bindings {
            if self.bindings.get(key) != Some(binding) || deleted.contains(&key.service) {
                changes.push(Change::PutBinding(key.clone(), *binding));
            }
        }
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

    fn check_service(&self, spec: &ServiceSpec) -> Result<(), StateError> {
        check_unicast(spec.address)?;
        if !(1..=Self::MAX_RING).contains(&spec.ring_size) {
            return Err(StateError::Ring { service: spec.name.clone(), asked: spec.ring_size });
        }
        let same_place = |other: &&ServiceSpec| {
            other.name != spec.name
                && other.address == spec.address
                && other.protocol == spec.protocol
        };
        if let Some(holder) = self.services.values().find(same_place) {
            return Err(StateError::AddressTaken {
                service: spec.name.clone(),
                holder: holder.name.clone(),
                address: spec.address,
                protocol: spec.protocol,
            });
        }
        if !self.services.contains_key(&spec.name) && self.services.len() >= Self::MAX_SERVICES {
            return Err(StateError::Full { what: "services", most: Self::MAX_SERVICES });
        }
        self.bindings
            .keys()
            .filter(|key| key.service == spec.name)
            .try_for_each(|key| self.check_fit(spec, key))
    }

    fn check_binding(&self, key: &BindingKey) -> Result<(), StateError> {
        let spec = self.service(&key.service)?;
        check_unicast(key.backend)?;
        if !self.bindings.contains_key(key) && self.bindings.len() >= Self::MAX_BINDINGS {
            return Err(StateError::Full { what: "bindings", most: Self::MAX_BINDINGS });
        }
        self.check_fit(spec, key)
    }

    /// Whether a backend and a service go together.
    fn check_fit(&self, spec: &ServiceSpec, key: &BindingKey) -> Result<(), StateError> {
        let backend = key.backend;
        if spec.address.is_ipv4() != backend.is_ipv4() {
            return Err(StateError::Family {
                service: spec.name.clone(),
                address: spec.address,
                backend,
                mode: spec.mode,
            });
        }
        if spec.mode == Mode::L2 && backend.port() != spec.address.port() {
            return Err(StateError::Port {
                service: spec.name.clone(),
                backend,
                port: spec.address.port(),
            });
        }
        if self.services.values().any(|s| s.address.ip() == backend.ip())
            || spec.address.ip() == backend.ip()
        {
            return Err(StateError::BackendIsService(backend));
        }
        if spec.mode == Mode::Nat {
            let other = |other: &&BindingKey| {
                other.backend == backend
                    && other.service != spec.name
                    && self.services.get(&other.service).is_some_and(|s| s.mode == Mode::Nat)
            };
            if let Some(holder) = self.bindings.keys().find(other) {
                return Err(StateError::RealTaken { backend, holder: holder.service.clone() });
            }
        }
        Ok(())
    }

    fn check_classes(classes: &[ClassSpec]) -> Result<(), StateError> {
        if classes.len() > Self::MAX_CLASSES {
            return Err(StateError::Full { what: "classes", most: Self::MAX_CLASSES });
        }
        for (index, class) in classes.iter().enumerate() {
            let twice = classes[..index].iter().any(|c| c.name == class.name);
            if twice || class.name.as_str() == DEFAULT_CLASS {
                return Err(StateError::ClassName(class.name.clone()));
            }
            if let Some(&dscp) = class.dscp.iter().find(|&&d| d > 63) {
                return Err(StateError::Dscp { class: class.name.clone(), dscp });
            }
        }
        Ok(())
    }
}

/// Neither unspecified, multicast, broadcast nor loopback, and a port.
fn check_unicast(address: std::net::SocketAddr) -> Result<(), StateError> {
    let ip = address.ip();
    let broadcast = matches!(ip, std::net::IpAddr::V4(v4) if v4.is_broadcast());
    let mapped = matches!(ip, std::net::IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    if address.port() == 0
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_loopback()
        || broadcast
        || mapped
    {
        return Err(StateError::BadAddress(address));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
