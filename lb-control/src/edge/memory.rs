//! All memory that is shared with the XDP program.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd as _, BorrowedFd},
};

use lb_common::abi::{
    Backend, CLASSES, ClassRange, Config, LOOKUP_SLOTS, LookupSlot, MAX_BACKENDS, MAX_CLASS_RANGES,
    MAX_NEXT_HOPS, MAX_ROUTES, MAX_SERVICES, Name, NextHop, Policy, RingSlot, Route, Service, maps,
    words,
};

use super::{
    mapping::{Plain, Region},
    object::Loaded,
};

/// The mapped maps, whole: both copies of each double table.
#[derive(Debug)]
pub(super) struct Memory {
    pub words: Region<u64>,
    pub rings: Region<RingSlot>,
    pub config: Region<Config>,
    pub lookup: Region<LookupSlot>,
    pub services: Region<Service>,
    pub backends: Region<Backend>,
    pub policies: Region<Policy>,
    pub class_ranges: Region<ClassRange>,
    pub routes: Region<Route>,
    pub next_hops: Region<NextHop>,
    pub service_names: Region<Name>,
    pub class_names: Region<Name>,
}

impl Memory {
    /// Every map of these, by name.
    pub(in crate::edge) const TABLES: [&str; 12] = [
        maps::WORDS,
        maps::RINGS,
        maps::CONFIG,
        maps::LOOKUP,
        maps::SERVICES,
        maps::BACKENDS,
        maps::POLICIES,
        maps::CLASS_RANGES,
        maps::ROUTES,
        maps::NEXT_HOPS,
        maps::SERVICE_NAMES,
        maps::CLASS_NAMES,
    ];

    /// Maps the maps of a program. `ring_pool` is in ring slots.
    ///
    /// # Errors
    /// When a map is not in the program's object; of mmap(2), with the map's name.
    pub(super) fn of(loaded: &mut Loaded, ring_pool: u32) -> anyhow::Result<Self> {
        let tables = Self::TABLES
            .into_iter()
            .map(|name| Ok((name, loaded.take_data(name)?)))
            .collect::<anyhow::Result<HashMap<_, _>>>()?;
        Ok(Self::map(|name| tables[name].fd().as_fd(), ring_pool)?)
    }

    /// Maps the maps that `map` finds by name. `ring_pool` is in ring slots.
    ///
    /// # Errors
    /// Of mmap(2), with the map's name.
    pub(super) fn map<'a>(
        map: impl Fn(&str) -> BorrowedFd<'a>,
        ring_pool: u32,
    ) -> io::Result<Self> {
        fn region<T: Plain>(fd: BorrowedFd<'_>, name: &str, len: u32) -> io::Result<Region<T>> {
            Region::map(fd, len as usize).map_err(|error| {
                io::Error::new(error.kind(), format!("map {name} cannot be mapped: {error}"))
            })
        }
        macro_rules! map {
            ($name:ident, $len:expr) => {
                region(map(maps::$name), maps::$name, $len)?
            };
        }
        Ok(Self {
            words: map!(WORDS, words::COUNT),
            rings: map!(RINGS, ring_pool & !1),
            config: map!(CONFIG, 2),
            lookup: map!(LOOKUP, 2 * LOOKUP_SLOTS),
            services: map!(SERVICES, 2 * MAX_SERVICES),
            backends: map!(BACKENDS, 2 * MAX_BACKENDS),
            policies: map!(POLICIES, 2 * MAX_SERVICES * CLASSES),
            class_ranges: map!(CLASS_RANGES, 2 * MAX_CLASS_RANGES),
            routes: map!(ROUTES, 2 * MAX_ROUTES),
            next_hops: map!(NEXT_HOPS, 2 * MAX_NEXT_HOPS),
            service_names: map!(SERVICE_NAMES, 2 * MAX_SERVICES),
            class_names: map!(CLASS_NAMES, 2 * CLASSES),
        })
    }
}
