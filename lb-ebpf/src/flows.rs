//! Remembered flows: the connections that a change has put at risk.
//!
//! Only a service that is moving reads or writes these tables, and only a
//! SYN creates an entry, so that a flood of anything else fills nothing.

use aya_ebpf::{bindings::BPF_ANY, helpers::generated::bpf_ktime_get_coarse_ns};
use lb_common::abi::{FlowEntry, FlowKey, Service, backend_state, flow_state, words};

use crate::{
    count,
    maps::{FLOWS, SYN_FLOWS},
    parse::Segment,
    tables::{Generation, Slot, word},
};

/// A SYN older than this is forgotten: its handshake is over or was given up.
const SYN_LIFETIME_SECONDS: u32 = 60;

/// What a new connection on a moving service does.
pub enum Opening {
    /// The SYN of a connection that is there already: its backend.
    Known(u32),
    /// A connection that begins with this SYN.
    New,
}

/// The key of a segment's flow.
#[inline(always)]
pub fn key(segment: &Segment) -> FlowKey {
    FlowKey {
        src: segment.src.bytes(),
        dst: segment.dst.bytes(),
        src_port: segment.src_port.to_ne_bytes(),
        dst_port: segment.dst_port.to_ne_bytes(),
        protocol: 6,
        reserved: [0; 3],
    }
}

#[inline(always)]
fn seconds() -> u32 {
    // SAFETY: the helper takes nothing and reads a clock.
    (unsafe { bpf_ktime_get_coarse_ns() } / 1_000_000_000) as u32
}

/// Whether a remembered backend still carries connections.
#[inline(always)]
fn carries(generation: Generation, backend: u32) -> bool {
    generation
        .backend(backend)
        .is_ok_and(|b| b.state == backend_state::SERVING || b.state == backend_state::DRAINING)
}

/// Looks at a SYN: it follows an open entry, so that a spoofed or repeated one
/// moves no connection; an entry that has seen FIN or RST begins anew.
#[inline(always)]
pub fn open(generation: Generation, key: &FlowKey) -> Opening {
    let (entry, lifetime) = match FLOWS.get_ptr_mut(key) {
        Some(entry) => (entry, u32::MAX),
        None => match SYN_FLOWS.get_ptr_mut(key) {
            Some(entry) => (entry, SYN_LIFETIME_SECONDS),
            None => return Opening::New,
        },
    };
    // SAFETY: map values stay readable and writable for as long as the
    // program runs, also when another CPU deletes the entry meanwhile.
    let entry = unsafe { &mut *entry };
    let now = seconds();
    let backend = u32::from(entry.backend);
    if entry.state == flow_state::CLOSING
        || now.wrapping_sub(entry.last_seen) > lifetime
        || !carries(generation, backend)
    {
        return Opening::New;
    }
    entry.last_seen = now;
    Opening::Known(backend)
}

/// Remembers a new connection where its slot has moved, and says who gets it.
///
/// With no room left it goes to the settled backend, where that still takes
/// connections, so that nothing need be remembered.
#[inline(always)]
pub fn begin(generation: Generation, service: u32, key: &FlowKey, slot: Slot) -> u32 {
    let at_risk = slot.current != slot.settled;
    if at_risk && word(words::FLOWS_FULL) != 0 && takes_new(generation, slot.settled) {
        count::service(service, |s| s.not_remembered += 1);
        forget(key);
        return slot.settled;
    }
    if at_risk {
        let entry = FlowEntry {
            backend: slot.current as u16,
            state: flow_state::OPEN,
            last_seen: seconds(),
        };
        // An LRU map makes room; a failure leaves the flow to `settled`.
        let _ = SYN_FLOWS.insert(key, entry, BPF_ANY.into());
        let _ = FLOWS.remove(key);
        count::service(service, |s| s.remembered += 1);
    } else {
        forget(key);
    }
    slot.current
}

/// A connection that begins anew must not follow what was remembered of the
/// one before it.
#[inline(always)]
fn forget(key: &FlowKey) {
    let _ = SYN_FLOWS.remove(key);
    let _ = FLOWS.remove(key);
}

#[inline(always)]
fn takes_new(generation: Generation, backend: u32) -> bool {
    generation.backend(backend).is_ok_and(|b| b.state == backend_state::SERVING)
}

/// The owner of a segment that opens nothing: the remembered backend if there
/// is one, else the settled one.
#[inline(always)]
pub fn owner(key: &FlowKey, segment: &Segment, slot: Slot) -> u32 {
    if let Some(entry) = FLOWS.get_ptr_mut(key) {
        // SAFETY: see `open`.
        let entry = unsafe { &mut *entry };
        let now = seconds();
        // One store a second at most: other CPUs may hold the cache line.
        if entry.last_seen != now {
            entry.last_seen = now;
        }
        if segment.closes() {
            entry.state = flow_state::CLOSING;
        }
        return u32::from(entry.backend);
    }
    if let Some(entry) = SYN_FLOWS.get_ptr_mut(key) {
        // SAFETY: see `open`.
        let seen = unsafe { *entry };
        return promote(key, segment, seen);
    }
    if slot.current != slot.settled {
        count::backend(slot.settled, |b| b.untracked += 1);
    }
    slot.settled
}

/// The first segment after a SYN: the connection is real (or over).
#[inline(always)]
fn promote(key: &FlowKey, segment: &Segment, seen: FlowEntry) -> u32 {
    let state = if segment.closes() { flow_state::CLOSING } else { flow_state::OPEN };
    let entry = FlowEntry { backend: seen.backend, state, last_seen: seconds() };
    // Where the table is full the entry stays among the SYNs, from which it
    // can be evicted; the control side raises the alarm before it comes to that.
    if FLOWS.insert(key, entry, BPF_ANY.into()).is_ok() {
        let _ = SYN_FLOWS.remove(key);
    }
    u32::from(seen.backend)
}

/// Whether the service has connections at risk.
#[inline(always)]
pub fn moving(service: &Service) -> bool {
    service.flags & lb_common::abi::service_flags::MOVING != 0
}
