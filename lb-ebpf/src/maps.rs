//! The maps. Their layout and meaning are in [`lb_common::abi`].
//!
//! Tables that a packet reads are memory-mapped by the control side, which
//! writes only the copy that no packet reads.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf},
};
use lb_common::abi::{
    Backend, BackendCounters, CLASSES, ClassCounters, ClassRange, Config, DEFAULT_FLOWS,
    DEFAULT_RING_POOL, DEFAULT_SYN_FLOWS, DEFAULT_UDP_FLOWS, FlowEntry, FlowKey, LOOKUP_BUCKET,
    LOOKUP_SLOTS, LookupSlot, MAX_BACKENDS, MAX_CLASS_RANGES, MAX_SERVICES, Name, Policy, Reason,
    RingSlot, Service, ServiceCounters, TRACES_BYTES, Trace, words,
};

/// One bucket of the lookup table.
pub type Bucket = [LookupSlot; LOOKUP_BUCKET as usize];

#[map]
pub static WORDS: Array<u64> = Array::with_max_entries(words::COUNT, BPF_F_MMAPABLE);
#[map]
pub static CONFIG: Array<Config> = Array::with_max_entries(2, BPF_F_MMAPABLE);
#[map]
pub static LOOKUP: Array<Bucket> =
    Array::with_max_entries(2 * LOOKUP_SLOTS / LOOKUP_BUCKET, BPF_F_MMAPABLE);
#[map]
pub static SERVICES: Array<Service> = Array::with_max_entries(2 * MAX_SERVICES, BPF_F_MMAPABLE);
#[map]
pub static BACKENDS: Array<Backend> = Array::with_max_entries(2 * MAX_BACKENDS, BPF_F_MMAPABLE);
#[map]
pub static POLICIES: Array<Policy> =
    Array::with_max_entries(2 * MAX_SERVICES * CLASSES, BPF_F_MMAPABLE);
#[map]
pub static CLASS_RANGES: Array<ClassRange> =
    Array::with_max_entries(2 * MAX_CLASS_RANGES, BPF_F_MMAPABLE);
#[map]
pub static SERVICE_NAMES: Array<Name> = Array::with_max_entries(2 * MAX_SERVICES, BPF_F_MMAPABLE);
#[map]
pub static CLASS_NAMES: Array<Name> = Array::with_max_entries(2 * CLASSES, BPF_F_MMAPABLE);

/// Sized by the loader, like the three below.
#[map]
pub static RINGS: Array<[RingSlot; 2]> =
    Array::with_max_entries(DEFAULT_RING_POOL / 2, BPF_F_MMAPABLE);
#[map]
pub static FLOWS: HashMap<FlowKey, FlowEntry> = HashMap::with_max_entries(DEFAULT_FLOWS, 0);
#[map]
pub static SYN_FLOWS: LruHashMap<FlowKey, FlowEntry> =
    LruHashMap::with_max_entries(DEFAULT_SYN_FLOWS, 0);
#[map]
pub static UDP_FLOWS: LruHashMap<FlowKey, FlowEntry> =
    LruHashMap::with_max_entries(DEFAULT_UDP_FLOWS, 0);

#[map]
pub static SERVICE_COUNTERS: PerCpuArray<ServiceCounters> =
    PerCpuArray::with_max_entries(MAX_SERVICES, 0);
#[map]
pub static BACKEND_COUNTERS: PerCpuArray<BackendCounters> =
    PerCpuArray::with_max_entries(MAX_BACKENDS, 0);
#[map]
pub static CLASS_COUNTERS: PerCpuArray<ClassCounters> = PerCpuArray::with_max_entries(CLASSES, 0);
#[map]
pub static REASONS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reason::ALL.len() as u32, 0);

/// ICMP answers left, and the time in nanoseconds when that was so.
#[map]
pub static ANSWERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);
/// Where a quoted packet is summed.
#[map]
pub static QUOTE: PerCpuArray<[u32; QUOTE_WORDS]> = PerCpuArray::with_max_entries(1, 0);
/// Words of [`QUOTE`]: the most that an ICMPv6 error may have after its own
/// IPv6 header (RFC 4443 section 2.4), and one that is always zero.
pub const QUOTE_WORDS: usize = (1280 - 40) / 4 + 2;

#[map]
pub static TRACE: PerCpuArray<Trace> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static TRACES: RingBuf = RingBuf::with_byte_size(TRACES_BYTES, 0);
#[map]
pub static WATCHER: ProgramArray = ProgramArray::with_max_entries(1, 0);
