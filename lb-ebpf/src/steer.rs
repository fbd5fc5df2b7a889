//! Where a segment goes: service, admission, slot, backend. Writes nothing to
//! the packet.

use lb_common::{
    abi::{Backend, Reason, Service, backend_state, role, service_flags},
    hash,
};

use crate::{
    admission, count,
    flows::{self, Opening},
    parse::Segment,
    tables::{Found, Generation, ring_slot},
};

const TCP: u8 = 6;

/// What to do with a segment that is ours.
pub enum Decision {
    /// From a client, to a backend.
    Forward { service: &'static Service, backend: &'static Backend, id: u32, reason: Reason },
    /// From a backend in mode `nat`, to its client.
    Reply { service: &'static Service, id: u32 },
}

/// Decides; an error says why the segment goes nowhere.
#[inline(always)]
pub fn steer(generation: Generation, segment: &Segment) -> Result<Decision, Reason> {
    if let Some(found) = generation.find(segment.dst, segment.dst_port, TCP, role::VIP) {
        return forward(generation, segment, found);
    }
    match generation.find(segment.src, segment.src_port, TCP, role::REAL) {
        Some(found) => {
            Ok(Decision::Reply { service: generation.service(found.service)?, id: found.backend })
        }
        None => Err(Reason::NotOurs),
    }
}

#[inline(always)]
fn forward(generation: Generation, segment: &Segment, found: Found) -> Result<Decision, Reason> {
    let id = found.service;
    let service = generation.service(id)?;
    let (backend_id, reason) = match choose(generation, segment, id, service) {
        Err(Reason::NoBackend) | Ok((0, _)) => {
            count::service(id, |s| s.no_backend += 1);
            return Err(Reason::NoBackend);
        }
        other => other?,
    };
    let backend = generation.backend(backend_id)?;
    match backend.state {
        backend_state::BROKEN => {
            count::service(id, |s| s.broken += 1);
            return Err(Reason::BackendBroken);
        }
        backend_state::FREE => {
            count::service(id, |s| s.no_backend += 1);
            return Err(Reason::NoBackend);
        }
        _ => {}
    }
    if backend.reachable == 0 {
        return Err(Reason::Unreachable);
    }
    if let Reason::ForwardNew = reason {
        count::service(id, |s| s.new_connections += 1);
        count::backend(backend_id, |b| b.new_connections += 1);
    }
    Ok(Decision::Forward { service, backend, id: backend_id, reason })
}

/// The backend that owns the segment, and whether a connection begins with it.
#[inline(always)]
fn choose(
    generation: Generation,
    segment: &Segment,
    id: u32,
    service: &Service,
) -> Result<(u32, Reason), Reason> {
    let config = generation.config()?;
    let flow = flow_hash(config.flow_key, segment);
    let slot = ring_slot(service, flow)?;
    let moving = flows::moving(service);

    if !segment.opens() {
        let owner =
            if moving { flows::owner(&flows::key(segment), segment, slot) } else { slot.settled };
        return Ok((owner, Reason::ForwardEstablished));
    }
    if moving {
        let key = flows::key(segment);
        if let Opening::Known(backend) = flows::open(generation, &key) {
            return Ok((backend, Reason::ForwardEstablished));
        }
    }
    let policed = service.flags & service_flags::POLICED != 0;
    admission::admit(generation, config, id, policed, segment, flow)?;
    if slot.current == 0 {
        return Err(Reason::NoBackend);
    }
    let backend = if moving {
        flows::begin(generation, id, &flows::key(segment), slot)
    } else {
        slot.current
    };
    Ok((backend, Reason::ForwardNew))
}

#[inline(always)]
fn flow_hash(key: [u64; 2], segment: &Segment) -> u64 {
    let src_port = segment.src_port.to_ne_bytes();
    let dst_port = segment.dst_port.to_ne_bytes();
    if segment.is_v4 {
        let src = segment.src.v4_numeric().to_be_bytes();
        let dst = segment.dst.v4_numeric().to_be_bytes();
        hash::flow_v4(key, src, dst, src_port, dst_port, TCP)
    } else {
        let (src, dst) = (segment.src.numeric(), segment.dst.numeric());
        hash::flow_v6(key, src, dst, src_port, dst_port, TCP)
    }
}
