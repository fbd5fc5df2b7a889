//! Remembered flows: the connections that a change has put at risk, and UDP
//! flows of services that track them.
//!
//! The first are read and written only on slots that a change has touched, while
//! their service is moving. Only a SYN or an Initial creates an entry, so that a
//! flood of anything else fills nothing.

use aya_ebpf::{bindings::BPF_ANY, helpers::generated::bpf_ktime_get_coarse_ns};
use lb_common::abi::{
    FlowEntry, FlowKey, HANDSHAKE_WINDOW, Reason, Service, backend_state, flow_state, owner,
    service_flags, words,
};

use crate::{
    count,
    frame::Frame,
    maps::{FLOWS, SYN_FLOWS, UDP_FLOWS},
    parse::{Packet, TCP, TCP_HEADER, tcp_flag},
    tables::{Generation, Slot, word},
    trace,
};

/// A SYN older than this is forgotten: its handshake is over or was given up.
const SYN_LIFETIME_SECONDS: u32 = 60;

/// What a new connection on a slot that moves does.
pub enum Opening {
    /// The SYN of a connection that is there already: its backend.
    Known(u32),
    /// A connection that begins with this SYN.
    New,
}

/// A packet as the tables of flows see it.
pub struct Segment {
    pub key: FlowKey,
    /// Sequence number; 0 where there is none.
    seq: u32,
}

impl Segment {
    #[inline(always)]
    pub fn of(frame: Frame, packet: &Packet) -> Result<Self, Reason> {
        let seq = if packet.protocol == TCP && !packet.quoted {
            u32::from_be(frame.header::<TCP_HEADER>(packet.l4)?.read::<u32, 4>())
        } else {
            0
        };
        Ok(Self { key: key(packet), seq })
    }

    /// Whether it can be of the connection that began with this entry's SYN.
    /// Anybody can send a SYN in another's name, but hardly guess where that
    /// one's connection stands.
    #[inline(always)]
    fn belongs(&self, entry: &FlowEntry, packet: &Packet) -> bool {
        let ahead = self.seq.wrapping_sub(entry.begun);
        entry.state != flow_state::OPEN
            || packet.protocol != TCP
            || packet.quoted
            || ahead <= HANDSHAKE_WINDOW
    }
}

/// The key of a packet's flow.
#[inline(always)]
pub fn key(packet: &Packet) -> FlowKey {
    FlowKey {
        src: packet.src.bytes(),
        dst: packet.dst.bytes(),
        src_port: packet.src_port.to_ne_bytes(),
        dst_port: packet.dst_port.to_ne_bytes(),
        protocol: packet.protocol,
        reserved: [0; 3],
    }
}

#[inline(always)]
fn seconds() -> u32 {
    // SAFETY: the helper takes nothing and reads a clock.
    (unsafe { bpf_ktime_get_coarse_ns() } / 1_000_000_000) as u32
}

/// Whether a backend that a flow names still carries connections of this
/// service: the flow may be of another one that had the address before.
#[inline(always)]
pub fn carries(generation: Generation, service: u32, backend: u32) -> bool {
    generation.backend(backend).is_ok_and(|b| {
        b.service == service
            && (b.state == backend_state::SERVING || b.state == backend_state::DRAINING)
    })
}

/// Looks at a SYN: it follows an open entry, so that a spoofed or repeated one
/// moves no connection; an entry that has seen FIN or RST begins anew.
#[inline(always)]
pub fn open(generation: Generation, service: u32, segment: &Segment) -> Opening {
    let key = &segment.key;
    let (entry, lifetime, who) = match FLOWS.get_ptr_mut(key) {
        Some(entry) => (entry, u32::MAX, owner::REMEMBERED),
        None => match SYN_FLOWS.get_ptr_mut(key) {
            Some(entry) => (entry, SYN_LIFETIME_SECONDS, owner::BEGUN),
            None => return Opening::New,
        },
    };
    // SAFETY: map values stay readable and writable for as long as the
    // program runs, also when another CPU deletes the entry meanwhile.
    let entry = unsafe { &mut *entry };
    let now = seconds();
    let backend = u32::from(entry.backend);
    let lifetime = if entry.state == flow_state::WAITING { u32::MAX } else { lifetime };
    if entry.state == flow_state::CLOSING
        || now.wrapping_sub(entry.last_seen) > lifetime
        || !carries(generation, service, backend)
    {
        return Opening::New;
    }
    if !trace::is_asked() {
        entry.last_seen = now;
        entry.begun = segment.seq;
    }
    trace::note(|t| t.owner = who);
    Opening::Known(backend)
}

/// Remembers a new connection where its slot has moved, and says who gets it.
///
/// With no room left it goes to the settled backend, where that still takes
/// connections, so that nothing need be remembered.
#[inline(always)]
pub fn begin(generation: Generation, service: u32, segment: &Segment, slot: Slot) -> u32 {
    let key = &segment.key;
    let at_risk = slot.current != slot.settled;
    if at_risk && word(words::FLOWS_FULL) != 0 && takes_new(generation, slot.settled) {
        count::service(service, |s| s.not_remembered += 1);
        forget(key);
        trace::note(|t| t.owner = owner::SETTLED);
        return slot.settled;
    }
    if at_risk && !trace::is_asked() {
        // An LRU map makes room; a failure leaves the flow to `settled`.
        let _ = SYN_FLOWS.insert(key, entry(slot.current, segment.seq), BPF_ANY.into());
        let _ = FLOWS.remove(key);
        count::service(service, |s| s.remembered += 1);
    } else if !at_risk {
        forget(key);
    }
    trace::note(|t| t.owner = owner::CURRENT);
    slot.current
}

#[inline(always)]
fn entry(backend: u32, begun: u32) -> FlowEntry {
    FlowEntry { backend: backend as u16, state: flow_state::OPEN, last_seen: seconds(), begun }
}

/// A connection that begins anew must not follow what was remembered of the
/// one before it.
#[inline(always)]
fn forget(key: &FlowKey) {
    if !trace::is_asked() {
        let _ = SYN_FLOWS.remove(key);
        let _ = FLOWS.remove(key);
    }
}

#[inline(always)]
fn takes_new(generation: Generation, backend: u32) -> bool {
    generation.backend(backend).is_ok_and(|b| b.state == backend_state::SERVING && b.weight > 0)
}

/// The owner of a packet that opens nothing: the remembered backend if there
/// is one, else the settled one.
#[inline(always)]
pub fn owner(segment: &Segment, packet: &Packet, slot: Slot) -> u32 {
    let key = &segment.key;
    let touches = !packet.quoted && !trace::is_asked();
    if let Some(entry) = FLOWS.get_ptr_mut(key) {
        trace::note(|t| t.owner = owner::REMEMBERED);
        // SAFETY: see `open`.
        let entry = unsafe { &mut *entry };
        if touches {
            speak(entry, seconds());
            if packet.closes() {
                entry.state = flow_state::CLOSING;
            }
        }
        return u32::from(entry.backend);
    }
    if let Some(entry) = SYN_FLOWS.get_ptr_mut(key) {
        // SAFETY: see `open`.
        let entry = unsafe { &mut *entry };
        let belongs = segment.belongs(entry, packet);
        // A server that still holds an older connection of these ends asks the
        // client about it, whose RST speaks of that one (RFC 9293 section 3.5.2):
        // it goes where the SYN went, and proves nothing.
        if belongs || packet.flags & tcp_flag::RST != 0 {
            trace::note(|t| t.owner = owner::BEGUN);
            let backend = u32::from(entry.backend);
            if touches && belongs {
                promote(key, packet, entry);
            }
            return backend;
        }
    }
    if slot.current != slot.settled && touches {
        count::backend(slot.settled, |b| b.untracked += 1);
    }
    trace::note(|t| t.owner = owner::SETTLED);
    slot.settled
}

/// Notes that a flow is alive: one store a second at most, since other CPUs
/// may hold the cache line.
#[inline(always)]
fn speak(entry: &mut FlowEntry, now: u32) {
    if entry.last_seen != now {
        entry.last_seen = now;
    }
}

/// A packet after the SYN: the connection is real (or over).
#[inline(always)]
fn promote(key: &FlowKey, packet: &Packet, seen: &mut FlowEntry) {
    let closes = packet.closes() || seen.state == flow_state::CLOSING;
    let state = if closes { flow_state::CLOSING } else { flow_state::OPEN };
    let now = seconds();
    let entry = FlowEntry { state, last_seen: now, ..*seen };
    if FLOWS.insert(key, entry, BPF_ANY.into()).is_ok() {
        let _ = SYN_FLOWS.remove(key);
        return;
    }
    // Where the table is full it stays among the SYNs, from which it can be
    // evicted; the control side raises the alarm before it comes to that.
    seen.state = if closes { flow_state::CLOSING } else { flow_state::WAITING };
    speak(seen, now);
}

/// The backend of a UDP flow that its service tracks, if the flow is known,
/// not silent for too long, and its backend still carries it.
#[inline(always)]
pub fn tracked(
    generation: Generation,
    key: &FlowKey,
    packet: &Packet,
    id: u32,
    service: &Service,
) -> Option<u32> {
    let entry = UDP_FLOWS.get_ptr_mut(key)?;
    // SAFETY: see `open`.
    let entry = unsafe { &mut *entry };
    let now = seconds();
    let backend = u32::from(entry.backend);
    if now.wrapping_sub(entry.last_seen) > service.udp_idle || !carries(generation, id, backend) {
        return None;
    }
    if !packet.quoted && !trace::is_asked() {
        speak(entry, now);
    }
    trace::note(|t| t.owner = owner::TRACKED);
    Some(backend)
}

/// Tracks a UDP flow that begins.
#[inline(always)]
pub fn track(key: &FlowKey, backend: u32) {
    if !trace::is_asked() {
        // An LRU map makes room.
        let _ = UDP_FLOWS.insert(key, entry(backend, 0), BPF_ANY.into());
    }
    trace::note(|t| t.owner = owner::CURRENT);
}

/// Whether connections of this slot may be at risk: its service is moving, and
/// the slot has been part of it.
#[inline(always)]
pub fn moving(service: &Service, slot: Slot) -> bool {
    let moving = service.flags & service_flags::MOVING != 0;
    trace::note(|t| t.moving = moving.into());
    moving && slot.touched
}
