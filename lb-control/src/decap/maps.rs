//! The program's maps.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::Context as _;
use aya::{
    Ebpf,
    maps::{
        HashMap, MapData, PerCpuArray,
        lpm_trie::{Key, LpmTrie},
    },
};
use lb_common::abi::decap::{self, Reason};

use crate::model::Prefix;

/// A set of addresses or prefixes that packets look into.
pub(super) enum Table {
    Addresses(HashMap<MapData, [u8; 16], u8>),
    Prefixes(LpmTrie<MapData, [u8; 16], u8>),
}

impl Table {
    pub(super) fn addresses(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<Self> {
        Ok(Self::Addresses(take(ebpf, name)?.try_into().with_context(|| name.to_owned())?))
    }

    pub(super) fn prefixes(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<Self> {
        Ok(Self::Prefixes(take(ebpf, name)?.try_into().with_context(|| name.to_owned())?))
    }

    /// Makes it hold exactly these: first what is new, then without what is old.
    ///
    /// # Errors
    /// Of bpf(2).
    pub(super) fn set(&mut self, wanted: &BTreeSet<Prefix>) -> anyhow::Result<()> {
        let wanted: BTreeSet<(u32, [u8; 16])> = wanted.iter().map(key).collect();
        let held = match self {
            Self::Addresses(map) => {
                map.keys().map(|key| Ok((128, key?))).collect::<Result<Vec<_>, _>>()
            }
            Self::Prefixes(map) => {
                map.keys().map(|key| key.map(|key| (key.prefix_len(), key.data()))).collect()
            }
        };
        for &(len, addr) in &wanted {
            match self {
                Self::Addresses(map) => map.insert(addr, 1, 0),
                Self::Prefixes(map) => map.insert(&Key::new(len, addr), 1, 0),
            }
            .context("an address cannot be put into the decapsulating program's map")?;
        }
        for (len, addr) in held?.into_iter().filter(|held| !wanted.contains(held)) {
            match self {
                Self::Addresses(map) => map.remove(&addr),
                Self::Prefixes(map) => map.remove(&Key::new(len, addr)),
            }
            .context("an address cannot be taken out of the decapsulating program's map")?;
        }
        Ok(())
    }
}

/// Length and address of a prefix in IPv4-mapped form.
fn key(prefix: &Prefix) -> (u32, [u8; 16]) {
    match prefix.addr() {
        IpAddr::V4(ip) => (96 + u32::from(prefix.len()), ip.to_ipv6_mapped().octets()),
        IpAddr::V6(ip) => (prefix.len().into(), ip.octets()),
    }
}

fn take(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<aya::maps::Map> {
    ebpf.take_map(name).with_context(|| format!("the decapsulating program has no map {name}"))
}

/// Packets by reason.
pub(super) struct Counters(PerCpuArray<MapData, u64>);

impl Counters {
    pub(super) fn take(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        Ok(Self(take(ebpf, decap::maps::COUNTERS)?.try_into()?))
    }

    pub(super) fn read(&self) -> anyhow::Result<Vec<(Reason, u64)>> {
        let count = |reason: Reason| {
            let values = self.0.get(&(reason as u32), 0).context("counters cannot be read")?;
            Ok((reason, values.iter().sum()))
        };
        Reason::ALL.into_iter().map(count).collect()
    }
}
