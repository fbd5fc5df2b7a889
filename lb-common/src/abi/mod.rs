//! The contract between the XDP program and the process that feeds it.
//!
//! Every type here is `repr(C)`, has no padding, and is valid for any bit
//! pattern, because both sides read it out of memory that the other wrote.
//! Addresses and ports are big-endian byte arrays, as in the packet; IPv4
//! addresses are held in their IPv4-mapped form (`::ffff:a.b.c.d`, RFC 4291
//! section 2.5.5.2). Counts, ids and times are native integers.
//!
//! Tables marked *double* have twice their capacity: the even generation
//! reads `[0, capacity)`, the odd one `[capacity, 2 * capacity)`. See
//! [`copy_base`].

mod config;
mod counters;
pub mod decap;
mod flow;
mod reason;
mod slot;
mod tables;
mod trace;

pub use config::{
    Config, DEFAULT_ANSWERS, DEFAULT_TUNNEL_V4, DEFAULT_TUNNEL_V4_FLOW, DEFAULT_TUNNEL_V6,
    MAX_PREFIX_LENGTHS, features, words,
};
pub use counters::{BackendCounters, ClassCounters, ServiceCounters};
pub use flow::{FlowEntry, FlowKey, flow_state};
pub use reason::{Fate, Reason};
pub use slot::RingSlot;
pub use tables::{
    Backend, ClassRange, LookupKey, LookupSlot, Name, Policy, Service, TCP_AND_UDP, backend_state,
    lookup_flags, mode, policy, role, service_flags,
};
pub use trace::{Trace, owner};

/// Names the pin directory; grows with every change of a layout or a meaning
/// that an older program would misread.
pub const ABI_VERSION: u32 = 2;

/// Map names, as in the object file and under the pin directory.
pub mod maps {
    /// `Array<u64>`, [`words`](super::words) of run-time state, mmapable.
    pub const WORDS: &str = "WORDS";
    /// `Array<Config>`, double (2 entries), mmapable.
    pub const CONFIG: &str = "CONFIG";
    /// `Array<[LookupSlot; LOOKUP_BUCKET]>`, double, mmapable: an element is a bucket.
    pub const LOOKUP: &str = "LOOKUP";
    /// `Array<Service>`, double, mmapable; indexed by service id.
    pub const SERVICES: &str = "SERVICES";
    /// `Array<Backend>`, double, mmapable; indexed by binding id.
    pub const BACKENDS: &str = "BACKENDS";
    /// `Array<Policy>`, double, mmapable; index `service * CLASSES + class`.
    pub const POLICIES: &str = "POLICIES";
    /// `Array<ClassRange>`, double, mmapable; sorted by start.
    pub const CLASS_RANGES: &str = "CLASS_RANGES";
    /// `Array<Name>`, double, mmapable; service names, read by the control side only.
    pub const SERVICE_NAMES: &str = "SERVICE_NAMES";
    /// `Array<Name>`, double, mmapable; class names, read by the control side only.
    pub const CLASS_NAMES: &str = "CLASS_NAMES";
    /// `Array<[RingSlot; 2]>`, mmapable: a pool of ring slots, two in each element.
    pub const RINGS: &str = "RINGS";
    /// `HashMap<FlowKey, FlowEntry>`: flows that a change has put at risk.
    pub const FLOWS: &str = "FLOWS";
    /// `LruHashMap<FlowKey, FlowEntry>`: flows seen only by their SYN.
    pub const SYN_FLOWS: &str = "SYN_FLOWS";
    /// `LruHashMap<FlowKey, FlowEntry>`: UDP flows of services that track them.
    pub const UDP_FLOWS: &str = "UDP_FLOWS";
    /// `PerCpuArray<u64>`, 2 entries: ICMP answers left, and when that was so.
    pub const ANSWERS: &str = "ANSWERS";
    /// `PerCpuArray<Trace>`, 1 entry: what became of the packet at hand.
    pub const TRACE: &str = "TRACE";
    /// `RingBuf` of [`Trace`](super::Trace): packets that were watched.
    pub const TRACES: &str = "TRACES";
    /// `ProgramArray`, 1 entry: the program that packets go through while they
    /// are watched.
    pub const WATCHER: &str = "WATCHER";
    /// `PerCpuArray<ServiceCounters>`, by service id.
    pub const SERVICE_COUNTERS: &str = "SERVICE_COUNTERS";
    /// `PerCpuArray<BackendCounters>`, by binding id.
    pub const BACKEND_COUNTERS: &str = "BACKEND_COUNTERS";
    /// `PerCpuArray<ClassCounters>`, by class index.
    pub const CLASS_COUNTERS: &str = "CLASS_COUNTERS";
    /// `PerCpuArray<u64>`, by [`Reason`](super::Reason).
    pub const REASONS: &str = "REASONS";
}

/// Services an edge can hold.
pub const MAX_SERVICES: u32 = 4096;
/// Binding ids; 0 means "no backend". As many as a [`RingSlot`] has bits for.
pub const MAX_BACKENDS: u32 = 32_768;
/// Classes, the default class included.
pub const CLASSES: u32 = 64;
/// The class of clients that no configured class matches.
pub const DEFAULT_CLASS: u32 = CLASSES - 1;
/// Disjoint source ranges that the configured classes may flatten to.
pub const MAX_CLASS_RANGES: u32 = 32_768;
/// Slots of the lookup table: buckets of [`LOOKUP_BUCKET`], two choices a key.
pub const LOOKUP_SLOTS: u32 = 131_072;
/// Slots in one bucket of the lookup table.
pub const LOOKUP_BUCKET: u32 = 4;
/// Default slots of a service's ring.
pub const DEFAULT_RING: u32 = 65_537;
/// Default capacity of the ring pool, in ring slots (64 default rings, 16 MiB).
pub const DEFAULT_RING_POOL: u32 = 64 * 65_538;
/// Default capacity of [`maps::FLOWS`].
pub const DEFAULT_FLOWS: u32 = 262_144;
/// Default capacity of [`maps::SYN_FLOWS`].
pub const DEFAULT_SYN_FLOWS: u32 = 262_144;
/// Default capacity of [`maps::UDP_FLOWS`].
pub const DEFAULT_UDP_FLOWS: u32 = 262_144;
/// Bytes of [`maps::TRACES`].
pub const TRACES_BYTES: u32 = 1 << 20;

/// First index of the copy of a double table that `generation` reads.
#[inline(always)]
pub const fn copy_base(generation: u64, capacity: u32) -> u32 {
    (generation as u32 & 1) * capacity
}

#[cfg(test)]
mod tests;
