//! Where a packet goes: service, admission, slot, backend. Writes nothing to
//! the packet.

use lb_common::{
    abi::{Backend, Config, Reason, Service, backend_state, owner, service_flags},
    hash,
};

use crate::{
    admission, count,
    flows::{self, Opening, Segment},
    frame::Frame,
    parse::{Packet, TCP, quic},
    services,
    tables::{Found, Generation, Slot, ring_slot},
    trace,
};

/// What to do with a packet that is ours.
pub enum Decision {
    /// From a client, to a backend.
    Forward(Forward),
    /// From a backend in mode `nat`, to its client.
    Reply { service: &'static Service, id: u32 },
}

/// The way of a packet from a client.
#[derive(Clone, Copy)]
pub struct Forward {
    pub service: &'static Service,
    pub backend: &'static Backend,
    /// Binding id.
    pub id: u32,
    /// Flow hash.
    pub flow: u64,
    pub reason: Reason,
}

/// What a packet means to its connection.
enum Part {
    /// It begins one.
    Opens,
    /// It belongs to one that has begun.
    Continues,
    /// It stands alone: UDP, as far as we can tell.
    Datagram,
}

/// Decides; an error says why the packet goes nowhere.
#[inline(always)]
pub fn steer(
    generation: Generation,
    config: &Config,
    frame: Frame,
    packet: &Packet,
) -> Result<Decision, Reason> {
    let Packet { src, dst, src_port, dst_port, protocol, .. } = *packet;
    if let Some(found) = services::of_client(generation, config, dst, dst_port, protocol) {
        return forward(generation, config, frame, packet, found).map(Decision::Forward);
    }
    match services::of_backend(generation, config, src, src_port, protocol) {
        Some(found) => {
            trace::note(|t| {
                (t.service, t.backend, t.owner) = (found.service, found.backend, owner::REPLY);
            });
            Ok(Decision::Reply { service: generation.service(found.service)?, id: found.backend })
        }
        None => Err(Reason::NotOurs),
    }
}

/// The way of a packet to a service.
#[inline(always)]
pub fn forward(
    generation: Generation,
    config: &Config,
    frame: Frame,
    packet: &Packet,
    found: Found,
) -> Result<Forward, Reason> {
    let id = found.service;
    let service = generation.service(id)?;
    let flow = flow_hash(config.flow_key, packet);
    trace::note(|t| (t.service, t.hash) = (id, flow));
    let (backend_id, reason) =
        match choose(generation, config, frame, packet, Target { id, service, flow }) {
            Err(Reason::NoBackend) | Ok((0, _)) => {
                count::service(id, |s| s.no_backend += 1);
                return Err(Reason::NoBackend);
            }
            other => other?,
        };
    trace::note(|t| t.backend = backend_id);
    let backend = generation.backend(backend_id)?;
    // A flow may be remembered that began when another service had the address.
    if backend.state == backend_state::FREE || backend.service != id {
        count::service(id, |s| s.no_backend += 1);
        return Err(Reason::NoBackend);
    }
    if backend.state == backend_state::BROKEN {
        count::service(id, |s| s.broken += 1);
        return Err(Reason::BackendBroken);
    }
    if backend.reachable == 0 {
        return Err(Reason::Unreachable);
    }
    if let Reason::ForwardNew = reason {
        count::service(id, |s| s.new_connections += 1);
        count::backend(backend_id, |b| b.new_connections += 1);
    }
    Ok(Forward { service, backend, id: backend_id, flow, reason })
}

/// The service that a packet is for.
#[derive(Clone, Copy)]
struct Target {
    id: u32,
    service: &'static Service,
    flow: u64,
}

/// The backend that owns the packet, and whether a connection begins with it.
#[inline(always)]
fn choose(
    generation: Generation,
    config: &Config,
    frame: Frame,
    packet: &Packet,
    target: Target,
) -> Result<(u32, Reason), Reason> {
    let Target { id, service, flow } = target;
    let by_client = service.flags & service_flags::BY_CLIENT != 0;
    let place = if by_client { hash::client(config.flow_key, packet.src.numeric()) } else { flow };
    let slot = ring_slot(service, place)?;
    match part(frame, packet, service) {
        Part::Continues => {
            Ok((owner(generation, frame, packet, target, slot)?, established(packet)))
        }
        Part::Opens => {
            let moving = flows::moving(service, slot);
            if moving
                && let segment = Segment::of(frame, packet)?
                && let Some(backend) = known(generation, frame, packet, target, &segment, slot)
            {
                return Ok((backend, Reason::ForwardEstablished));
            }
            let policed = service.flags & service_flags::POLICED != 0;
            admission::admit(generation, config, id, policed, packet, flow)?;
            if slot.current == 0 {
                return Err(Reason::NoBackend);
            }
            let backend = if moving {
                // Made once more: kept over admission it would not fit the stack.
                flows::begin(generation, id, &Segment::of(frame, packet)?, slot)
            } else {
                trace::note(|t| t.owner = owner::CURRENT);
                slot.current
            };
            Ok((backend, Reason::ForwardNew))
        }
        Part::Datagram => datagram(generation, config, packet, target, slot),
    }
}

#[inline(always)]
fn part(frame: Frame, packet: &Packet, service: &Service) -> Part {
    if packet.protocol == TCP {
        return if packet.is_syn() { Part::Opens } else { Part::Continues };
    }
    if service.flags & service_flags::QUIC == 0 {
        return Part::Datagram;
    }
    let opens = !packet.quoted && quic::is_initial(frame, packet);
    if opens { Part::Opens } else { Part::Continues }
}

#[inline(always)]
fn established(packet: &Packet) -> Reason {
    if packet.quoted { Reason::ForwardIcmp } else { Reason::ForwardEstablished }
}

/// The owner of a packet that opens nothing.
#[inline(always)]
fn owner(
    generation: Generation,
    frame: Frame,
    packet: &Packet,
    target: Target,
    slot: Slot,
) -> Result<u32, Reason> {
    if let Some(backend) = named(generation, frame, packet, target)
        && flows::carries(generation, target.id, backend)
    {
        trace::note(|t| t.owner = owner::SERVER_ID);
        return Ok(backend);
    }
    if flows::moving(target.service, slot) {
        return Ok(flows::owner(&Segment::of(frame, packet)?, packet, slot));
    }
    trace::note(|t| t.owner = owner::SETTLED);
    Ok(slot.settled)
}

/// The backend of a connection that seems to begin, but is known: its first
/// packet is repeated, or it is the client's second flight of Initials, which
/// name the server that has answered.
#[inline(always)]
fn known(
    generation: Generation,
    frame: Frame,
    packet: &Packet,
    target: Target,
    segment: &Segment,
    slot: Slot,
) -> Option<u32> {
    if let Opening::Known(backend) = flows::open(generation, target.id, segment) {
        return Some(backend);
    }
    // A first flight names nobody but by chance, and then hardly the one
    // backend that its slot has just left.
    let named = named(generation, frame, packet, target)?;
    if named != slot.settled || !flows::carries(generation, target.id, named) {
        return None;
    }
    trace::note(|t| t.owner = owner::SERVER_ID);
    Some(named)
}

/// The backend that a QUIC packet's connection id names.
#[inline(always)]
fn named(generation: Generation, frame: Frame, packet: &Packet, target: Target) -> Option<u32> {
    let len = target.service.server_id_len;
    if len == 0 || packet.protocol == TCP || packet.quoted {
        return None;
    }
    let id = quic::server_id(frame, packet, len)?;
    services::server(generation, target.id, id, len)
}

/// UDP that is not QUIC: the slot's current backend, unless its flow is tracked.
#[inline(always)]
fn datagram(
    generation: Generation,
    config: &Config,
    packet: &Packet,
    target: Target,
    slot: Slot,
) -> Result<(u32, Reason), Reason> {
    let Target { id, service, flow } = target;
    let policed = service.flags & service_flags::POLICED != 0;
    if service.flags & service_flags::TRACKED == 0 {
        if policed && !packet.quoted {
            admission::admit(generation, config, id, true, packet, flow)?;
        }
        trace::note(|t| t.owner = owner::CURRENT);
        return Ok((slot.current, established(packet)));
    }
    let key = flows::key(packet);
    if let Some(backend) = flows::tracked(generation, &key, packet, id, service) {
        return Ok((backend, established(packet)));
    }
    if packet.quoted {
        return Ok((slot.current, Reason::ForwardIcmp));
    }
    admission::admit(generation, config, id, policed, packet, flow)?;
    if slot.current == 0 {
        return Err(Reason::NoBackend);
    }
    flows::track(&key, slot.current);
    Ok((slot.current, Reason::ForwardNew))
}

#[inline(always)]
fn flow_hash(key: [u64; 2], packet: &Packet) -> u64 {
    let src_port = packet.src_port.to_ne_bytes();
    let dst_port = packet.dst_port.to_ne_bytes();
    if packet.is_v4 {
        let src = packet.src.v4_numeric().to_be_bytes();
        let dst = packet.dst.v4_numeric().to_be_bytes();
        hash::flow_v4(key, src, dst, src_port, dst_port, packet.protocol)
    } else {
        let (src, dst) = (packet.src.numeric(), packet.dst.numeric());
        hash::flow_v6(key, src, dst, src_port, dst_port, packet.protocol)
    }
}
