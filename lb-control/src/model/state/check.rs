//! Whether a change fits a state.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use super::{StateError, SwitchState};
use crate::model::{
    Binding, BindingKey, ClassSpec, DEFAULT_CLASS, Mode, ServerId, ServiceSpec, Udp, Vip,
};

impl SwitchState {
    pub(super) fn check_service(&self, spec: &ServiceSpec) -> Result<(), StateError> {
        check_alone(spec)?;
        let same_place = |other: &&ServiceSpec| {
            other.name != spec.name
                && other.address == spec.address
                && other.protocol.overlaps(spec.protocol)
        };
        if let Some(holder) = self.services.values().find(same_place) {
            return Err(StateError::AddressTaken {
                service: spec.name.clone(),
                holder: holder.name.clone(),
                address: spec.address,
                protocol: spec.protocol,
            });
        }
        let others = || self.services.values().filter(|other| other.name != spec.name);
        if others().count() >= Self::MAX_SERVICES {
            return Err(StateError::Full { what: "services", most: Self::MAX_SERVICES });
        }
        let lengths: BTreeSet<u8> = others()
            .chain([spec])
            .filter(|spec| spec.address.is_prefix())
            .map(|spec| spec.address.mapped_len())
            .collect();
        if lengths.len() > Self::MAX_PREFIX_LENGTHS {
            let (what, most) = ("different prefix lengths of services", Self::MAX_PREFIX_LENGTHS);
            return Err(StateError::Full { what, most });
        }
        let mut bindings = self.bindings.iter().filter(|(key, _)| key.service == spec.name);
        bindings.try_for_each(|(key, binding)| {
            self.check_fit(spec, key)?;
            check_server_id(spec, key, binding.server_id)
        })
    }

    pub(super) fn check_binding(
        &self,
        key: &BindingKey,
        binding: &Binding,
    ) -> Result<(), StateError> {
        let spec = self.service(&key.service)?;
        let backend = key.backend;
        if backend.port() == 0 || !is_unicast(backend.ip()) {
            return Err(StateError::BadAddress(backend));
        }
        if !self.bindings.contains_key(key) && self.bindings.len() >= Self::MAX_BINDINGS {
            return Err(StateError::Full { what: "bindings", most: Self::MAX_BINDINGS });
        }
        self.check_fit(spec, key)?;
        check_server_id(spec, key, binding.server_id)?;
        let same = |(other, held): &(&BindingKey, &Binding)| {
            *other != key && other.service == key.service && held.server_id == binding.server_id
        };
        let Some(id) = binding.server_id else { return Ok(()) };
        match self.bindings.iter().find(same) {
            Some((holder, _)) => {
                Err(StateError::ServerIdTaken { backend, id, holder: holder.clone() })
            }
            None => Ok(()),
        }
    }

    /// Whether a backend and a service go together.
    fn check_fit(&self, spec: &ServiceSpec, key: &BindingKey) -> Result<(), StateError> {
        let (backend, mode) = (key.backend, spec.mode);
        if !mode.is_tunnel() && spec.address.is_ipv4() != backend.is_ipv4() {
            return Err(StateError::Family {
                service: spec.name.clone(),
                address: spec.address,
                backend,
                mode,
            });
        }
        if let Some(port) = spec.address.port()
            && mode.keeps_address()
            && backend.port() != port
        {
            return Err(StateError::Port { service: spec.name.clone(), backend, port, mode });
        }
        if self.services.values().any(|s| s.address.holds(backend.ip()))
            || spec.address.holds(backend.ip())
        {
            return Err(StateError::BackendIsService(backend));
        }
        if mode == Mode::Nat
            && let Some(holder) =
                self.bindings.keys().find(|other| self.shares_real(spec, key, other))
        {
            return Err(StateError::RealTaken { backend, holder: holder.service.clone() });
        }
        Ok(())
    }

    /// Whether replies of two bindings in mode `nat` could not be told apart.
    fn shares_real(&self, spec: &ServiceSpec, key: &BindingKey, other: &BindingKey) -> bool {
        // A service with any port knows its backends by address alone.
        let real = |spec: &ServiceSpec, backend: SocketAddr| {
            (backend.ip(), spec.address.port().map(|_| backend.port()))
        };
        other.service != key.service
            && self.services.get(&other.service).is_some_and(|holder| {
                holder.mode == Mode::Nat
                    && holder.protocol.overlaps(spec.protocol)
                    && real(holder, other.backend) == real(spec, key.backend)
            })
    }

    pub(super) fn check_classes(classes: &[ClassSpec]) -> Result<(), StateError> {
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

/// Whether a binding's server id is one of its service's.
fn check_server_id(
    spec: &ServiceSpec,
    key: &BindingKey,
    id: Option<ServerId>,
) -> Result<(), StateError> {
    match id.filter(|id| id.bytes() != spec.server_id_bytes) {
        Some(id) => Err(StateError::ServerIdLength {
            service: spec.name.clone(),
            backend: key.backend,
            id,
            bytes: spec.server_id_bytes,
        }),
        None => Ok(()),
    }
}

/// What of a service can be judged without the others.
fn check_alone(spec: &ServiceSpec) -> Result<(), StateError> {
    let service = || spec.name.clone();
    if !is_address(spec.address) {
        return Err(StateError::BadVip(spec.address));
    }
    if spec.mode == Mode::Nat && spec.address.is_prefix() {
        return Err(StateError::NatPrefix { service: service(), address: spec.address });
    }
    if spec.udp != Udp::default() && !spec.protocol.has_udp() {
        return Err(StateError::NoUdp { service: service(), udp: spec.udp });
    }
    if spec.udp_idle == 0 {
        return Err(StateError::UdpIdle { service: service(), asked: spec.udp_idle });
    }
    let most = if spec.udp == Udp::Quic { ServerId::MOST } else { 0 };
    if spec.server_id_bytes > most {
        return Err(StateError::ServerIdBytes { service: service() });
    }
    if !(1..=SwitchState::MAX_RING).contains(&spec.ring_size) {
        return Err(StateError::Ring { service: service(), asked: spec.ring_size });
    }
    Ok(())
}

/// Everything is an address of a service that an Internet host may have; as a
/// prefix also everything.
fn is_address(vip: Vip) -> bool {
    let ip = vip.ip();
    is_unicast(ip) || (vip.is_prefix() && ip.is_unspecified())
}

/// Neither unspecified, multicast, broadcast nor loopback, nor an IPv4 address
/// in IPv6 clothes.
fn is_unicast(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    !(ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || broadcast || mapped)
}
