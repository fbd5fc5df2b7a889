//! One generation's copy of the tables, as a packet sees it.

use lb_common::{
    abi::{
        Backend, CLASSES, ClassRange, Config, LOOKUP_BUCKET, LOOKUP_SLOTS, LookupSlot,
        MAX_BACKENDS, MAX_CLASS_RANGES, MAX_SERVICES, Policy, Reason, Service, copy_base, role,
        words,
    },
    hash,
};

use crate::{
    maps::{BACKENDS, CLASS_RANGES, CONFIG, LOOKUP, POLICIES, RINGS, SERVICES, WORDS},
    parse::Address,
};

/// The generation word, read once for each packet.
#[derive(Clone, Copy)]
pub struct Generation(u64);

/// What the lookup table says of an address and port.
#[derive(Clone, Copy)]
pub struct Found {
    pub service: u32,
    pub backend: u32,
}

/// A ring slot's two owners; binding id 0 is nobody.
#[derive(Clone, Copy)]
pub struct Slot {
    /// Takes new connections.
    pub current: u32,
    /// Owns the connections that nobody remembers.
    pub settled: u32,
}

/// A word of run-time state; 0 when it cannot be read.
#[inline(always)]
pub fn word(index: u32) -> u64 {
    match WORDS.get_ptr(index) {
        // SAFETY: a valid pointer to a word that the control side stores
        // whole; volatile, so that it is loaded exactly once.
        Some(word) => unsafe { word.read_volatile() },
        None => 0,
    }
}

impl Generation {
    #[inline(always)]
    pub fn now() -> Self {
        Self(word(words::GENERATION))
    }

    #[inline(always)]
    pub fn config(self) -> Result<&'static Config, Reason> {
        CONFIG.get(copy_base(self.0, 1)).ok_or(Reason::Inconsistent)
    }

    #[inline(always)]
    pub fn service(self, id: u32) -> Result<&'static Service, Reason> {
        SERVICES.get(copy_base(self.0, MAX_SERVICES) + id).ok_or(Reason::Inconsistent)
    }

    #[inline(always)]
    pub fn backend(self, id: u32) -> Result<&'static Backend, Reason> {
        BACKENDS.get(copy_base(self.0, MAX_BACKENDS) + id).ok_or(Reason::Inconsistent)
    }

    #[inline(always)]
    pub fn policy(self, service: u32, class: u32) -> Result<&'static Policy, Reason> {
        let index = copy_base(self.0, MAX_SERVICES * CLASSES) + service * CLASSES + class;
        POLICIES.get(index).ok_or(Reason::Inconsistent)
    }

    #[inline(always)]
    pub fn class_range(self, index: u32) -> Result<&'static ClassRange, Reason> {
        CLASS_RANGES.get(copy_base(self.0, MAX_CLASS_RANGES) + index).ok_or(Reason::Inconsistent)
    }

    /// The service of a TCP address and port in the given role.
    #[inline(always)]
    pub fn find(self, addr: Address, port: u16, protocol: u8, role: u8) -> Option<Found> {
        let rest = [port.to_ne_bytes()[0], port.to_ne_bytes()[1], protocol, role];
        let [hi, lo] = addr.numeric();
        let buckets = hash::lookup_buckets_of(hi, lo, u64::from(u32::from_be_bytes(rest)));
        let rest = u32::from_ne_bytes(rest);
        let base = copy_base(self.0, LOOKUP_SLOTS);
        for first in buckets {
            if let Some(bucket) = LOOKUP.get((base + first) / LOOKUP_BUCKET) {
                for slot in bucket {
                    if holds(slot, addr, rest) {
                        return Some(Found {
                            service: slot.service_plus_one.wrapping_sub(1),
                            backend: slot.backend,
                        });
                    }
                }
            }
        }
        None
    }

    /// Whether packets to this address are for the edge to judge.
    #[inline(always)]
    pub fn is_ours(self, addr: Address) -> bool {
        self.find(addr, 0, 0, role::ADDRESS).is_some()
    }
}

/// Compares a slot's key by words. An empty slot's role is 0, which no key has.
#[inline(always)]
fn holds(slot: &LookupSlot, addr: Address, rest: u32) -> bool {
    let words = core::ptr::from_ref(slot).cast::<u64>();
    // SAFETY: a slot is 32 bytes, aligned to 8, without padding; its key is
    // the first 20: address, then port, protocol and role.
    unsafe {
        *words.add(2).cast::<u32>() == rest && *words.add(1) == addr.0[1] && *words == addr.0[0]
    }
}

/// The ring slot that a flow hash falls on.
#[inline(always)]
pub fn ring_slot(service: &Service, hash: u64) -> Result<Slot, Reason> {
    if service.ring_len == 0 {
        return Err(Reason::NoBackend);
    }
    let index = service.ring_offset + hash::ring_slot(hash, service.ring_len);
    let pair = RINGS.get(index >> 1).ok_or(Reason::Inconsistent)?;
    let slot = if index & 1 == 0 { pair[0] } else { pair[1] };
    Ok(Slot { current: slot & 0xffff, settled: slot >> 16 })
}
