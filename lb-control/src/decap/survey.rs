//! What an agent has in the kernel for tunnels, for somebody who only looks.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv6Addr},
    path::Path,
};

use anyhow::Context as _;
use aya::maps::{HashMap, Map, MapData, PerCpuArray, lpm_trie::LpmTrie};
use lb_common::abi::decap::{self, Reason};

use crate::{config::DecapSettings, edge::survey::program_of, model::Prefix, xdp::pin::holder};

/// The decapsulating program's pins.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The process that holds them, where /proc tells.
    pub holder: Option<u32>,
    /// Of each pinned link, the interface's index and the program's id.
    pub links: Vec<(u32, u32)>,
    /// Where tunnelled packets may come from.
    pub sources: BTreeSet<Prefix>,
    /// Where they are sent to.
    pub servers: BTreeSet<IpAddr>,
    /// What they may hold packets to.
    pub vips: BTreeSet<Prefix>,
    pub counters: Vec<(Reason, u64)>,
}

impl Survey {
    /// Looks at what an agent with these settings has pinned; `None`: nothing.
    ///
    /// # Errors
    /// Without the privilege to look, or when the kernel refuses.
    pub fn read(settings: &DecapSettings) -> anyhow::Result<Option<Self>> {
        let dir = settings.pin.join(format!("v{}", decap::ABI_VERSION));
        if !dir.is_dir() {
            return Ok(None);
        }
        let servers =
            HashMap::<_, [u8; 16], u8>::try_from(Map::HashMap(open(&dir, decap::maps::SERVERS)?))?;
        let servers: Vec<[u8; 16]> = servers.keys().collect::<Result<_, _>>()?;
        let address = |octets| Some(prefix(128, octets)?.addr());
        Ok(Some(Self {
            holder: holder(&settings.pin),
            links: links(&dir)?,
            sources: prefixes(&dir, decap::maps::SOURCES)?,
            servers: servers.into_iter().filter_map(address).collect(),
            vips: prefixes(&dir, decap::maps::VIPS)?,
            counters: counters(&dir)?,
        }))
    }
}

fn open(dir: &Path, map: &str) -> anyhow::Result<MapData> {
    MapData::from_pin(dir.join(map)).with_context(|| format!("pinned map {map} cannot be opened"))
}

fn links(dir: &Path) -> anyhow::Result<Vec<(u32, u32)>> {
    let entries = fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?;
    let mut links = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(index) = name.strip_prefix("link-").and_then(|index| index.parse().ok()) {
            links.push((index, program_of(&path)?));
        }
    }
    Ok(links)
}

fn prefixes(dir: &Path, map: &str) -> anyhow::Result<BTreeSet<Prefix>> {
    let trie = LpmTrie::<_, [u8; 16], u8>::try_from(Map::LpmTrie(open(dir, map)?))?;
    let mut found = BTreeSet::new();
    for key in trie.keys() {
        let key = key.with_context(|| format!("map {map} cannot be read"))?;
        found.extend(prefix(key.prefix_len(), key.data()));
    }
    Ok(found)
}

/// From the IPv4-mapped form.
fn prefix(len: u32, octets: [u8; 16]) -> Option<Prefix> {
    let v6 = Ipv6Addr::from(octets);
    match v6.to_ipv4_mapped() {
        Some(v4) if len >= 96 => Prefix::of(v4.into(), u8::try_from(len - 96).ok()?),
        _ => Prefix::of(v6.into(), u8::try_from(len).ok()?),
    }
}

fn counters(dir: &Path) -> anyhow::Result<Vec<(Reason, u64)>> {
    let map = Map::PerCpuArray(open(dir, decap::maps::COUNTERS)?);
    let map = PerCpuArray::<_, u64>::try_from(map)?;
    let count = |reason: Reason| {
        let values = map.get(&(reason as u32), 0).context("counters cannot be read")?;
        Ok((reason, values.iter().sum()))
    };
    Reason::ALL.into_iter().map(count).collect()
}
