//! What an edge has in the kernel, and which ways lead to its backends, for
//! somebody who only looks: no lock is taken, nothing is written.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use aya::{
    maps::{Map, MapData, PerCpuArray},
    programs::links::{FdLink, PinnedLink},
};
use lb_common::abi::{
    Backend, MAX_BACKENDS, MAX_SERVICES, Reason, backend_state, copy_base, maps, words,
};
use tokio::time::{Instant, sleep};

use super::{
    counters::PerCpu,
    hops::{Answer, NextHop, look},
    mapping::{Plain, Region},
    pins::{Misfit, Pins},
    plane::{backend_of, name_of, service_of},
};
use crate::{
    config::EdgeSettings,
    model::{Name, Phase, ServiceSpec},
    xdp::pin::holder,
};

/// How long an address may take to be resolved, and how often that is looked at.
const PATIENCE: Duration = Duration::from_millis(1200);
const POLL: Duration = Duration::from_millis(100);

/// An edge's pins.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The process that holds them, where /proc tells.
    pub holder: Option<u32>,
    /// Directories with pins of other versions.
    pub others: Vec<PathBuf>,
    /// Of each pinned link, the interface's index and the program's id.
    pub links: Vec<(u32, u32)>,
    pub misfits: Vec<SurveyMisfit>,
    /// What packets see; nothing before the first start of an edge.
    pub tables: Option<Tables>,
}

/// A pinned map that an edge with these settings would not adopt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyMisfit {
    pub map: &'static str,
    /// In what it differs, as the rest of a sentence.
    pub difference: String,
    /// The line of `[edge]` with which it would fit.
    pub setting: Option<String>,
}

/// The live generation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    pub generation: u64,
    /// No more flows can be remembered.
    pub flows_full: bool,
    pub services: Vec<ServiceSpec>,
    pub bindings: Vec<Bound>,
    /// Packets by reason, since the maps were made.
    pub reasons: Vec<(Reason, u64)>,
}

/// A backend in a service, as packets see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub service: Name,
    pub backend: SocketAddr,
    /// Takes new connections.
    pub serving: bool,
    /// Packets know where to send to.
    pub reachable: bool,
}

/// The way to an address, as the kernel has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Known {
        ifindex: u32,
        /// The next hop's Ethernet address.
        mac: [u8; 6],
        /// Longest IP packet that the way takes; 0 is not known.
        mtu: u16,
    },
    /// The next hop was asked for its Ethernet address and has not answered.
    Unanswered,
    /// There is no way, and why.
    None(String),
}

impl Survey {
    /// Looks at what an edge with these settings has pinned; `None`: nothing.
    ///
    /// # Errors
    /// Without the privilege to look, or when the kernel refuses.
    pub fn read(settings: &EdgeSettings) -> anyhow::Result<Option<Self>> {
        let Some(pins) = Pins::look(&settings.pin) else { return Ok(None) };
        // Otherwise an unreadable directory would look like an empty one.
        std::fs::read_dir(&settings.pin)
            .with_context(|| format!("{} cannot be read", settings.pin.display()))?;
        let misfits = pins.misfits(settings)?.into_iter().map(SurveyMisfit::from).collect();
        let links = pins.links()?.into_iter();
        let links = links.map(|(ifindex, path)| Ok((ifindex, program_of(&path)?)));
        Ok(Some(Self {
            holder: holder(&settings.pin),
            others: pins.others()?.into_iter().map(|(_, dir)| dir).collect(),
            links: links.collect::<anyhow::Result<_>>()?,
            tables: if pins.program().exists() { Some(Tables::read(pins.dir())?) } else { None },
            misfits,
        }))
    }
}

impl From<Misfit> for SurveyMisfit {
    fn from(misfit: Misfit) -> Self {
        let Misfit { map, difference, setting } = misfit;
        Self { map, difference, setting }
    }
}

/// The program of a pinned link.
///
/// # Errors
/// Of bpf(2).
pub(crate) fn program_of(link: &Path) -> anyhow::Result<u32> {
    let failed = || format!("{} cannot be opened", link.display());
    let link = FdLink::from(PinnedLink::from_pin(link).with_context(failed)?);
    Ok(link.info().with_context(failed)?.program_id())
}

impl Tables {
    fn read(dir: &Path) -> anyhow::Result<Self> {
        let words: Region<u64> = region(dir, maps::WORDS, words::COUNT)?;
        let services = region(dir, maps::SERVICES, 2 * MAX_SERVICES)?;
        let names = region(dir, maps::SERVICE_NAMES, 2 * MAX_SERVICES)?;
        let backends: Region<Backend> = region(dir, maps::BACKENDS, 2 * MAX_BACKENDS)?;
        let word = |index| words.word(index).load(std::sync::atomic::Ordering::Acquire);
        let generation = word(words::GENERATION);
        let base = copy_base(generation, MAX_SERVICES) as usize;
        // A row that is being replaced meanwhile may not be readable: the next
        // look sees it.
        let specs: Vec<Option<ServiceSpec>> = (base..base + MAX_SERVICES as usize)
            .map(|index| service_of(name_of(&names.get(index))?, &services.get(index)))
            .collect();
        let base = copy_base(generation, MAX_BACKENDS) as usize;
        let bound = |index| {
            let row = backends.get(index);
            if row.state == backend_state::FREE {
                return None;
            }
            let (backend, binding, hop) = backend_of(&row)?;
            let service = specs.get(row.service as usize)?.as_ref()?.name.clone();
            Some(Bound {
                service,
                backend,
                serving: binding.phase == Phase::Serve && binding.weight > 0,
                reachable: hop.is_some(),
            })
        };
        let bindings = (base..base + MAX_BACKENDS as usize).filter_map(bound).collect();
        Ok(Self {
            generation,
            flows_full: word(words::FLOWS_FULL) != 0,
            bindings,
            services: specs.into_iter().flatten().collect(),
            reasons: reasons(dir)?,
        })
    }
}

/// Packets by reason, of the edge that has its pins in `pin`; nothing where
/// there is none.
///
/// # Errors
/// Of bpf(2).
pub fn counted(pin: &Path) -> anyhow::Result<Vec<(Reason, u64)>> {
    Pins::current(pin).map_or(Ok(Vec::new()), |dir| reasons(&dir))
}

fn reasons(dir: &Path) -> anyhow::Result<Vec<(Reason, u64)>> {
    let map = PerCpuArray::try_from(Map::PerCpuArray(open(dir, maps::REASONS)?))?;
    let counters = PerCpu::<1>::new(map);
    let count = |&reason: &Reason| {
        let [packets] = counters.sum(reason as u32).context("counters cannot be read")?;
        Ok((reason, packets))
    };
    Reason::ALL.iter().map(count).collect()
}

fn open(dir: &Path, map: &str) -> anyhow::Result<MapData> {
    MapData::from_pin(dir.join(map)).with_context(|| format!("pinned map {map} cannot be opened"))
}

fn region<T: Plain>(dir: &Path, map: &str, len: u32) -> anyhow::Result<Region<T>> {
    let data = open(dir, map)?;
    Region::map(data.fd().as_fd(), len as usize)
        .with_context(|| format!("map {map} cannot be mapped"))
}

/// The ways to addresses, of which the kernel resolves those that it does not
/// know, for a second or so.
///
/// # Errors
/// Of netlink.
pub async fn ways(addresses: &[IpAddr]) -> anyhow::Result<Vec<(IpAddr, Way)>> {
    let (connection, handle, _) =
        rtnetlink::new_connection().context("netlink cannot be opened")?;
    let connection = tokio::spawn(connection);
    let late = Instant::now() + PATIENCE;
    let looked = loop {
        let looked = look(&handle, addresses).await;
        let open = |(_, answer): &(IpAddr, Answer)| matches!(answer, Answer::Asked);
        match looked {
            Ok(found) if found.iter().any(open) && Instant::now() < late => {
                sleep(POLL).await;
            }
            looked => break looked,
        }
    };
    connection.abort();
    let answers = looked.map_err(|error| anyhow!("netlink does not answer: {error}"))?;
    Ok(answers.into_iter().map(|(address, answer)| (address, answer.into())).collect())
}

impl From<Answer> for Way {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Known(NextHop { dst_mac, ifindex, mtu, .. }) => {
                Self::Known { ifindex, mac: dst_mac, mtu }
            }
            Answer::Asked => Self::Unanswered,
            Answer::None(why) => Self::None(why),
        }
    }
}
