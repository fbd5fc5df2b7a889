//! The servers' end of tunnels: the decapsulating XDP program, its maps, and
//! the addresses that it goes by.
//!
//! Link, program and maps are pinned: a crash of the agent breaks no
//! connection, and the next one takes over what it finds.

mod addresses;
mod maps;
pub mod survey;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use aya::{Ebpf, EbpfLoader, programs::Xdp};
use lb_common::abi::decap::{self, Reason};
use tracing::info;

use self::maps::{Counters, Table};
use crate::{
    config::DecapSettings,
    model::Prefix,
    xdp::{
        attach, explain, interfaces, load_program,
        pin::{check_bpffs, lock, unpin},
    },
};

const PROGRAM: &str = "sluice_decap";

#[cfg(feature = "xdp")]
fn object() -> anyhow::Result<&'static [u8]> {
    Ok(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sluice-decap")))
}

#[cfg(not(feature = "xdp"))]
fn object() -> anyhow::Result<&'static [u8]> {
    anyhow::bail!("this build has no XDP program; build with `cargo xtask build`")
}

/// The program, attached.
pub struct Decap {
    settings: DecapSettings,
    dir: PathBuf,
    vips: Table,
    counters: Counters,
    /// What the VIPs' map holds.
    allowed: BTreeSet<Prefix>,
    ebpf: Ebpf,
    _lock: File,
}

impl Decap {
    /// Loads and attaches the program, or takes over what an earlier process
    /// left, for packets tunnelled to `servers`.
    ///
    /// # Errors
    /// Says what is in the way and what to do.
    pub async fn open(settings: &DecapSettings, servers: &[IpAddr]) -> anyhow::Result<Self> {
        for name in &settings.interfaces {
            interfaces::look_up(name)?;
        }
        check_bpffs(&settings.pin)?;
        let dir = settings.pin.join(format!("v{}", decap::ABI_VERSION));
        fs::create_dir_all(&dir)
            .with_context(|| format!("directory {} cannot be made", dir.display()))?;
        let lock = lock(&settings.pin)?;
        let mut loader = EbpfLoader::new();
        let names = [decap::maps::SOURCES, decap::maps::SERVERS, decap::maps::VIPS];
        for name in names.into_iter().chain([decap::maps::COUNTERS]) {
            loader.map_pin_path(name, dir.join(name));
        }
        let mut ebpf = loader.load(object()?).with_context(|| {
            format!("the decapsulating program's maps cannot be made in {}", dir.display())
        })?;
        // Before maps are taken out: it finds them in there.
        load_program(program_of(&mut ebpf)?).map_err(explain)?;
        Table::prefixes(&mut ebpf, decap::maps::SOURCES)?
            .set(&settings.sources.iter().copied().collect())?;
        Table::addresses(&mut ebpf, decap::maps::SERVERS)?
            .set(&servers.iter().copied().map(Prefix::from).collect())?;
        let vips = Table::prefixes(&mut ebpf, decap::maps::VIPS)?;
        let counters = Counters::take(&mut ebpf)?;
        let mut decap = Self {
            settings: settings.clone(),
            dir,
            vips,
            counters,
            allowed: BTreeSet::new(),
            ebpf,
            _lock: lock,
        };
        decap.refresh().await?;
        decap.attach()?;
        Ok(decap)
    }

    fn attach(&mut self) -> anyhow::Result<()> {
        let program = program_of(&mut self.ebpf)?;
        let dir = &self.dir;
        for name in &self.settings.interfaces {
            let pinned = |index| dir.join(format!("link-{index}"));
            attach::attach(program, pinned, name, self.settings.xdp)?;
        }
        Ok(())
    }

    /// Takes over which VIPs this host has.
    ///
    /// # Errors
    /// Of netlink or bpf(2); what was allowed before still is.
    pub async fn refresh(&mut self) -> anyhow::Result<()> {
        let mut allowed: BTreeSet<Prefix> = self.settings.vips.iter().copied().collect();
        allowed.extend(addresses::vips().await?.into_iter().map(Prefix::from));
        if allowed != self.allowed {
            self.vips.set(&allowed)?;
            let list: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            info!("takes packets to {} out of tunnels", list.join(", "));
            self.allowed = allowed;
        }
        Ok(())
    }

    /// Packets by what became of them, since the program was first attached.
    ///
    /// # Errors
    /// Of bpf(2).
    pub fn counters(&self) -> anyhow::Result<Vec<(Reason, u64)>> {
        self.counters.read()
    }

    /// Detaches, and removes everything that is pinned: tunnelled packets are
    /// the kernel's from now on.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn close(self) -> anyhow::Result<()> {
        remove(&self.dir)?;
        info!("detached from {}", self.settings.interfaces.join(", "));
        Ok(())
    }
}

fn program_of(ebpf: &mut Ebpf) -> anyhow::Result<&mut Xdp> {
    let program = ebpf.program_mut(PROGRAM);
    let program = program.with_context(|| format!("the object has no program `{PROGRAM}`"))?;
    program.try_into().with_context(|| format!("program `{PROGRAM}` is not an XDP program"))
}

fn remove(dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))? {
        unpin(&entry?.path())?;
    }
    fs::remove_dir(dir).with_context(|| format!("{} cannot be removed", dir.display()))?;
    // It may be the mount point, or hold something of somebody else's.
    if let Some(root) = dir.parent() {
        let _ = fs::remove_dir(root);
    }
    Ok(())
}
