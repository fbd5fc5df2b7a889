//! The decision, and the remembered flows.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    abi::{Reason, backend_state, mode, policy, service_flags},
    hash,
};

use super::{Entry, Model, Packet, classes};
use crate::packet::{
    Server, Service, World,
    world::{FLOW_KEY, Slot, octets},
};

/// Where a packet from a client goes.
pub(super) struct Way {
    pub(super) server: Server,
    pub(super) mode: u8,
    pub(super) any_port: bool,
    pub(super) flow: u64,
    pub(super) reason: Reason,
}

fn number(ip: IpAddr) -> u128 {
    u128::from_be_bytes(octets(ip))
}

/// Whether a service's address, or its prefix, holds this one.
fn holds(service: &Service, ip: IpAddr) -> bool {
    let unused = 128 - u32::from(service.prefix_len);
    let short = |ip| number(ip).checked_shr(unused).unwrap_or(0);
    short(service.address.ip()) == short(ip)
}

/// Whether packets to this address are ours to judge.
pub(super) fn is_ours(world: &World, ip: IpAddr) -> bool {
    world.services.iter().any(|service| holds(service, ip))
}

/// Whether the longest prefix (or the address itself) answers echo requests.
pub(super) fn echoes(world: &World, ip: IpAddr) -> bool {
    let ours = world.services.iter().filter(|service| holds(service, ip));
    let Some(longest) = ours.clone().map(|service| service.prefix_len).max() else { return false };
    let asked = |service: &&Service| service.has(service_flags::ECHO);
    ours.filter(|service| service.prefix_len == longest).any(|service| asked(&service))
}

/// The service of an address and port: the longest prefix, and within it a
/// port before any.
fn service_of(world: &World, to: SocketAddr, protocol: u8) -> Option<&Service> {
    world
        .services
        .iter()
        .filter(|service| {
            let port = service.address.port();
            holds(service, to.ip())
                && (port == 0 || port == to.port())
                && service.protocols().contains(&protocol)
        })
        .max_by_key(|service| (service.prefix_len, service.address.port() != 0))
}

/// The service whose backend, in mode `nat`, sends this packet: a port before
/// any.
pub(super) fn replied<'a>(world: &'a World, packet: &Packet) -> Option<&'a Service> {
    let sends = |service: &Service, server: &Server| {
        let any_port = service.address.port() == 0;
        server.address.ip() == packet.src && (any_port || server.address.port() == packet.src_port)
    };
    let nat = world.services.iter().filter(|service| {
        service.mode == mode::NAT
            && service.protocols().contains(&packet.protocol)
            && service.servers.iter().any(|server| sends(service, server))
    });
    nat.max_by_key(|service| service.address.port() != 0)
}

impl Model {
    /// Decides; an error says why the packet goes nowhere.
    pub(super) fn steer(
        &mut self,
        world: &World,
        frame: &[u8],
        packet: &Packet,
    ) -> Result<Way, Reason> {
        let to = SocketAddr::new(packet.dst, packet.dst_port);
        let service = service_of(world, to, packet.protocol).ok_or(Reason::NotOurs)?;
        let flow = flow_hash(packet);
        let target = Target { service, flow, frame, packet };
        let (id, reason) = self.choose(world, &target)?;
        let server = server_of(service, id).ok_or(Reason::NoBackend)?;
        match server.state {
            backend_state::BROKEN => return Err(Reason::BackendBroken),
            backend_state::FREE => return Err(Reason::NoBackend),
            _ if !server.reachable => return Err(Reason::Unreachable),
            _ => {}
        }
        let any_port = service.address.port() == 0;
        Ok(Way { server: server.clone(), mode: service.mode, any_port, flow, reason })
    }

    fn choose(&mut self, world: &World, target: &Target<'_>) -> Result<(u16, Reason), Reason> {
        let &Target { service, flow, frame, packet, .. } = target;
        if service.slots.is_empty() {
            return Err(Reason::NoBackend);
        }
        let place = if service.has(service_flags::BY_CLIENT) {
            let client = number(packet.src);
            hash::client(FLOW_KEY, [(client >> 64) as u64, client as u64])
        } else {
            flow
        };
        let slot = hash::ring_slot(place, service.slots.len() as u32);
        let Slot { current, settled, touched } = service.slots[slot as usize];
        let quoted = packet.quote.is_some();
        let established = if quoted { Reason::ForwardIcmp } else { Reason::ForwardEstablished };
        let quic = service.has(service_flags::QUIC);
        // A slot that the movement has not touched is as at rest.
        let moving = service.has(service_flags::MOVING) && touched;
        if packet.protocol == 17 && !quic {
            return self.datagram(world, target, current, established);
        }
        let named = || target.named();
        let opens = match packet.protocol {
            6 => packet.flags & 0x17 == 0x02,
            _ => !quoted && is_initial(frame, packet),
        };
        if !opens {
            if let Some(id) = named().filter(|&id| carries(service, id)) {
                return Ok((id, established));
            }
            let owner = if moving { self.owner(packet, settled) } else { settled };
            return Ok((owner, established));
        }
        let key = packet.flow();
        if moving {
            let entry = match self.open.get_mut(&key) {
                Some(entry) => Some(entry),
                None => self.syns.get_mut(&key),
            };
            if let Some(entry) = entry.filter(|e| !e.closing && carries(service, e.backend)) {
                entry.begun = packet.seq;
                return Ok((entry.backend, Reason::ForwardEstablished));
            }
            if let Some(id) = named().filter(|&id| id == settled && carries(service, id)) {
                return Ok((id, Reason::ForwardEstablished));
            }
        }
        target.admit(world)?;
        if current == 0 {
            return Err(Reason::NoBackend);
        }
        if !moving {
            return Ok((current, Reason::ForwardNew));
        }
        self.open.remove(&key);
        self.syns.remove(&key);
        if current != settled {
            let takes_new = server_of(service, settled)
                .is_some_and(|s| s.state == backend_state::SERVING && s.weight > 0);
            if world.flows_full && takes_new {
                return Ok((settled, Reason::ForwardNew));
            }
            let entry = Entry { backend: current, closing: false, begun: packet.seq };
            self.syns.insert(key, entry);
        }
        Ok((current, Reason::ForwardNew))
    }

    /// Who has a connection that is not new.
    fn owner(&mut self, packet: &Packet, settled: u16) -> u16 {
        let key = packet.flow();
        let closes = packet.flags & 0x05 != 0;
        if let Some(entry) = self.open.get_mut(&key) {
            entry.closing |= closes;
            return entry.backend;
        }
        let Some(&entry) = self.syns.get(&key) else { return settled };
        let ahead = packet.seq.wrapping_sub(entry.begun);
        let own_words = packet.protocol == 6 && packet.quote.is_none();
        if own_words && ahead > 262_144 {
            // Of another connection than the one that this SYN asked for. An
            // RST may be of one that this SYN's server still holds.
            return if packet.flags & 0x04 != 0 { entry.backend } else { settled };
        }
        if packet.quote.is_none() {
            self.syns.remove(&key);
            self.open.insert(key, Entry { closing: closes, ..entry });
        }
        entry.backend
    }

    /// UDP that is not QUIC.
    fn datagram(
        &mut self,
        world: &World,
        target: &Target<'_>,
        current: u16,
        established: Reason,
    ) -> Result<(u16, Reason), Reason> {
        let &Target { service, packet, .. } = target;
        let quoted = packet.quote.is_some();
        if !service.has(service_flags::TRACKED) {
            if !quoted {
                target.admit(world)?;
            }
            return Ok((current, established));
        }
        let known = self.udp.get(&packet.flow()).filter(|e| carries(service, e.backend));
        if let Some(entry) = known {
            return Ok((entry.backend, established));
        }
        if quoted {
            return Ok((current, Reason::ForwardIcmp));
        }
        target.admit(world)?;
        if current == 0 {
            return Err(Reason::NoBackend);
        }
        let entry = Entry { backend: current, closing: false, begun: 0 };
        self.udp.insert(packet.flow(), entry);
        Ok((current, Reason::ForwardNew))
    }
}

/// A packet and the service that it is for.
struct Target<'a> {
    service: &'a Service,
    flow: u64,
    frame: &'a [u8],
    packet: &'a Packet,
}

impl Target<'_> {
    fn admit(&self, world: &World) -> Result<(), Reason> {
        let class = classes::of(world, self.packet);
        let policies = self.service.policies().filter(|(of, _)| *of == class);
        let Some((_, rule)) = policies.last() else { return Ok(()) };
        if rule.verdict == policy::ADMIT {
            return Ok(());
        }
        let client = number(self.packet.src);
        let subject = match rule.scope {
            policy::BY_CLIENT => hash::client(FLOW_KEY, [(client >> 64) as u64, client as u64]),
            _ => self.flow,
        };
        if hash::admission(subject, world.epoch) >= rule.threshold {
            return Ok(());
        }
        let silent = rule.verdict == policy::SILENT;
        Err(if silent { Reason::RefusedSilent } else { Reason::RefusedReset })
    }

    /// The server that a QUIC connection id names.
    fn named(&self) -> Option<u16> {
        let len = usize::from(self.service.server_id_len);
        let quic = self.packet.protocol == 17 && self.packet.quote.is_none();
        let payload = self.frame.get(self.packet.l4 + 8..)?;
        let id = match payload.first()? {
            first if first & 0x80 == 0 => payload.get(1..10)?,
            _ if usize::from(*payload.get(5)?) <= len => return None,
            _ => payload.get(6..15)?,
        };
        if len == 0 || !quic || id[0] >> 5 == 7 {
            return None;
        }
        let named = |server: &&Server| !server.quic.is_empty() && server.quic == id[1..=len];
        self.service.servers.iter().find(named).map(|server| server.id)
    }
}

fn is_initial(frame: &[u8], packet: &Packet) -> bool {
    let Some(header) = frame.get(packet.l4 + 8..packet.l4 + 14) else { return false };
    let version = &header[1..5];
    let initial = if version == [0x6b, 0x33, 0x43, 0xcf] { 1 } else { 0 };
    header[0] & 0x80 != 0 && version != [0; 4] && header[0] >> 4 & 3 == initial
}

fn server_of(service: &Service, id: u16) -> Option<&Server> {
    service.servers.iter().find(|server| server.id == id && id != 0)
}

/// Whether a server that a flow names still carries it.
fn carries(service: &Service, id: u16) -> bool {
    let state = server_of(service, id).map(|server| server.state);
    matches!(state, Some(backend_state::SERVING | backend_state::DRAINING))
}

fn flow_hash(packet: &Packet) -> u64 {
    let ports = [packet.src_port.to_be_bytes(), packet.dst_port.to_be_bytes()];
    match (packet.src, packet.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let (src, dst) = (src.octets(), dst.octets());
            hash::flow_v4(FLOW_KEY, src, dst, ports[0], ports[1], packet.protocol)
        }
        (src, dst) => {
            let halves = |ip| [(number(ip) >> 64) as u64, number(ip) as u64];
            hash::flow_v6(FLOW_KEY, halves(src), halves(dst), ports[0], ports[1], packet.protocol)
        }
    }
}

/// Whether the service's replies pass the edge.
pub(super) fn is_nat(way: &Way) -> bool {
    way.mode == mode::NAT
}
