//! One generation's copy of the tables, as a packet sees it.

use lb_common::{
    abi::{
        Backend, CLASSES, ClassRange, Config, LOOKUP_BUCKET, LOOKUP_SLOTS, LookupSlot,
        MAX_BACKENDS, MAX_CLASS_RANGES, MAX_SERVICES, Policy, Reason, Service, copy_base, words,
    },
    hash,
};

use crate::{
    maps::{BACKENDS, CLASS_RANGES, CONFIG, LOOKUP, POLICIES, RINGS, SERVICES, WORDS},
    parse::Address,
    trace,
};

/// The generation word, read once for each packet.
#[derive(Clone, Copy)]
pub struct Generation(u64);

/// A ring slot's two owners; binding id 0 is nobody.
#[derive(Clone, Copy)]
pub struct Slot {
    /// Takes new connections.
    pub current: u32,
    /// Owns the connections that nobody remembers.
    pub settled: u32,
    /// While the service is moving: flows of this slot may be remembered.
    pub touched: bool,
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
        let number = word(words::GENERATION);
        trace::note(|t| t.generation = number);
        Self(number)
    }

    /// The same one again, in a function that takes numbers alone.
    #[inline(always)]
    pub fn again(number: u64) -> Self {
        Self(number)
    }

    #[inline(always)]
    pub fn number(self) -> u64 {
        self.0
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

    /// What the lookup table holds for a key.
    #[inline(always)]
    pub fn find(self, addr: Address, rest: Rest) -> Option<Found> {
        let [hi, lo] = addr.numeric();
        let buckets = hash::lookup_buckets_of(hi, lo, u64::from(u32::from_be(rest.0)));
        let base = copy_base(self.0, LOOKUP_SLOTS);
        for first in buckets {
            if let Some(bucket) = LOOKUP.get((base + first) / LOOKUP_BUCKET) {
                for slot in bucket {
                    if holds(slot, addr, rest.0) {
                        return Some(Found {
                            service: slot.service_plus_one.wrapping_sub(1),
                            backend: slot.backend,
                            flags: slot.flags,
                        });
                    }
                }
            }
        }
        None
    }

    /// The same in a function of its own, for keys that few packets ask for.
    #[inline(always)]
    pub fn find_apart(self, addr: Address, rest: Rest) -> Option<Found> {
        Found::unpack(self.find_packed(addr, rest))
    }

    /// The same as one number, see [`Found::unpack`].
    #[inline(always)]
    pub fn find_packed(self, addr: Address, rest: Rest) -> u64 {
        find_apart(self.0, addr.0[0], addr.0[1], rest.0)
    }
}

/// [`Generation::find_packed`]. A global function, which takes numbers alone:
/// the verifier walks it once, whoever calls it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn find_apart(generation: u64, first: u64, second: u64, rest: u32) -> u64 {
    match Generation(generation).find(Address([first, second]), Rest(rest)) {
        Some(Found { service, backend, flags }) => {
            u64::from(service + 1) | u64::from(backend) << 16 | u64::from(flags) << 32
        }
        None => 0,
    }
}

/// What the lookup table says of a key.
#[derive(Clone, Copy)]
pub struct Found {
    pub service: u32,
    /// Binding id, where the role has one.
    pub backend: u32,
    /// [`lookup_flags`](lb_common::abi::lookup_flags).
    pub flags: u32,
}

impl Found {
    /// From service id + 1, binding id and flags, from the low bits up; 0 is
    /// not found.
    #[inline(always)]
    pub fn unpack(packed: u64) -> Option<Self> {
        (packed != 0).then(|| Self {
            service: (packed as u32 & 0xffff).wrapping_sub(1),
            backend: (packed >> 16) as u32 & 0xffff,
            flags: (packed >> 32) as u32,
        })
    }
}

/// Port, protocol and role of a lookup key, as they lie in memory.
#[derive(Clone, Copy)]
pub struct Rest(u32);

impl Rest {
    /// `port` in network byte order.
    #[inline(always)]
    pub fn new(port: u16, protocol: u8, role: u8) -> Self {
        let [a, b] = port.to_ne_bytes();
        Self(u32::from_ne_bytes([a, b, protocol, role]))
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

/// The ring slot that a hash falls on.
#[inline(always)]
pub fn ring_slot(service: &Service, hash: u64) -> Result<Slot, Reason> {
    if service.ring_len == 0 {
        return Err(Reason::NoBackend);
    }
    let number = hash::ring_slot(hash, service.ring_len);
    let index = service.ring_offset + number;
    let pair = RINGS.get(index >> 1).ok_or(Reason::Inconsistent)?;
    let slot = if index & 1 == 0 { pair[0] } else { pair[1] };
    trace::note(|t| {
        t.slot = number;
        (t.current, t.settled) = (slot.current(), slot.settled());
        t.touched = slot.is_touched().into();
    });
    Ok(Slot {
        current: slot.current().into(),
        settled: slot.settled().into(),
        touched: slot.is_touched(),
    })
}
