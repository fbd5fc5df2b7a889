//! What every map must look like. A pinned map is adopted unchecked by the
//! loader, and the program would read one of another shape wrongly.

use aya::maps::{MapInfo, MapType};
use lb_common::abi::{
    Backend, BackendCounters, CLASSES, ClassCounters, ClassRange, Config, FlowEntry, FlowKey,
    LOOKUP_BUCKET, LOOKUP_SLOTS, LookupSlot, MAX_BACKENDS, MAX_CLASS_RANGES, MAX_SERVICES, Name,
    Policy, Reason, RingSlot, Service, ServiceCounters, TRACES_BYTES, maps, words,
};

use crate::config::EdgeSettings;

/// From linux/bpf.h: the map can be mapped into memory.
const BPF_F_MMAPABLE: u32 = 1 << 10;

/// The shape of one map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub map_type: MapType,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: u32,
}

impl Shape {
    fn table<T>(max_entries: u32) -> Self {
        let flags = BPF_F_MMAPABLE;
        Self { flags, ..Self::of::<u32, T>(MapType::Array, max_entries) }
    }

    fn of<K, V>(map_type: MapType, max_entries: u32) -> Self {
        Self {
            map_type,
            key_size: size_of::<K>() as u32,
            value_size: size_of::<V>() as u32,
            max_entries,
            flags: 0,
        }
    }

    /// The shape of a map that the kernel has.
    ///
    /// # Errors
    /// When it is of a type that aya does not know.
    pub(super) fn found(info: &MapInfo) -> Result<Self, aya::maps::MapError> {
        Ok(Self {
            map_type: info.map_type()?,
            key_size: info.key_size(),
            value_size: info.value_size(),
            max_entries: info.max_entries(),
            flags: info.map_flags(),
        })
    }

    /// In what a map differs from this shape; `None` when it does not.
    pub(super) fn difference(&self, found: &Self) -> Option<String> {
        if self.map_type != found.map_type {
            return Some(format!("is a {:?} and not a {:?}", found.map_type, self.map_type));
        }
        [
            ("keys of", "bytes", found.key_size, self.key_size),
            ("values of", "bytes", found.value_size, self.value_size),
            ("room for", "entries", found.max_entries, self.max_entries),
            ("flags", "", found.flags, self.flags),
        ]
        .into_iter()
        .find(|&(_, _, found, wanted)| found != wanted)
        .map(|(what, unit, found, wanted)| {
            format!("has {what} {found} {unit}, and this build wants {wanted}")
        })
    }
}

/// Every map that is pinned, with its shape.
pub(super) fn shapes(settings: &EdgeSettings) -> [(&'static str, Shape); 19] {
    let of_cpu = MapType::PerCpuArray;
    let bucket = LOOKUP_BUCKET;
    [
        (maps::WORDS, Shape::table::<u64>(words::COUNT)),
        (maps::CONFIG, Shape::table::<Config>(2)),
        (
            maps::LOOKUP,
            Shape::table::<[LookupSlot; LOOKUP_BUCKET as usize]>(2 * LOOKUP_SLOTS / bucket),
        ),
        (maps::SERVICES, Shape::table::<Service>(2 * MAX_SERVICES)),
        (maps::BACKENDS, Shape::table::<Backend>(2 * MAX_BACKENDS)),
        (maps::POLICIES, Shape::table::<Policy>(2 * MAX_SERVICES * CLASSES)),
        (maps::CLASS_RANGES, Shape::table::<ClassRange>(2 * MAX_CLASS_RANGES)),
        (maps::SERVICE_NAMES, Shape::table::<Name>(2 * MAX_SERVICES)),
        (maps::CLASS_NAMES, Shape::table::<Name>(2 * CLASSES)),
        (maps::RINGS, Shape::table::<[RingSlot; 2]>(settings.ring_pool / 2)),
        (maps::FLOWS, Shape::of::<FlowKey, FlowEntry>(MapType::Hash, settings.flows)),
        (maps::SYN_FLOWS, Shape::of::<FlowKey, FlowEntry>(MapType::LruHash, settings.syn_flows)),
        (maps::UDP_FLOWS, Shape::of::<FlowKey, FlowEntry>(MapType::LruHash, settings.udp_flows)),
        (maps::SERVICE_COUNTERS, Shape::of::<u32, ServiceCounters>(of_cpu, MAX_SERVICES)),
        (maps::BACKEND_COUNTERS, Shape::of::<u32, BackendCounters>(of_cpu, MAX_BACKENDS)),
        (maps::CLASS_COUNTERS, Shape::of::<u32, ClassCounters>(of_cpu, CLASSES)),
        (maps::WATCHER, Shape::of::<u32, u32>(MapType::ProgramArray, 1)),
        (maps::TRACES, Shape::of::<(), ()>(MapType::RingBuf, TRACES_BYTES)),
        (maps::REASONS, Shape::of::<u32, u64>(of_cpu, Reason::ALL.len() as u32)),
    ]
}

/// The setting that a map's size comes from.
pub(super) fn setting_of(map: &str) -> Option<&'static str> {
    match map {
        maps::RINGS => Some("ring_pool"),
        maps::FLOWS => Some("flows"),
        maps::SYN_FLOWS => Some("syn_flows"),
        maps::UDP_FLOWS => Some("udp_flows"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let wanted = Shape::table::<Service>(8);
        assert_eq!(wanted.difference(&wanted), None);
        let larger = Shape { max_entries: 9, ..wanted };
        assert_eq!(
            wanted.difference(&larger).unwrap(),
            "has room for 9 entries, and this build wants 8"
        );
        let hash = Shape { map_type: MapType::Hash, ..wanted };
        assert_eq!(wanted.difference(&hash).unwrap(), "is a Hash and not a Array");
        assert!(wanted.difference(&Shape { flags: 0, ..wanted }).is_some());
    }
}
