//! The XDP program in this executable, and loading it.

use std::path::Path;

use anyhow::{Context as _, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData, MapInfo},
    programs::Xdp,
};
use lb_common::abi::maps;

use super::layout::{Shape, shapes};
use crate::{
    config::EdgeSettings,
    xdp::{explain, load_program},
};

/// The program's name in the object.
const PROGRAM: &str = "sluice";

/// The program's purpose to steer (`lb-ebpf/src/trace.rs`).
const STEER: u32 = 0;

/// The object file.
///
/// # Errors
/// In a build without it.
#[cfg(feature = "xdp")]
fn object() -> anyhow::Result<&'static [u8]> {
    Ok(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sluice-xdp")))
}

#[cfg(not(feature = "xdp"))]
fn object() -> anyhow::Result<&'static [u8]> {
    bail!("this build has no XDP program; build with `cargo xtask build`")
}

/// The program and its maps, in the kernel.
pub(super) struct Loaded {
    ebpf: Ebpf,
}

impl Loaded {
    /// Loads the program. Maps that are pinned in `pins` are used as they are,
    /// the others are made and pinned there.
    ///
    /// # Errors
    /// Says what the kernel refused and what may help.
    pub(super) fn load(settings: &EdgeSettings, pins: &Path) -> anyhow::Result<Self> {
        Self::load_for(settings, pins, STEER)
    }

    /// The same, for another purpose of the program.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(super) fn load_for(
        settings: &EdgeSettings,
        pins: &Path,
        purpose: u32,
    ) -> anyhow::Result<Self> {
        let object = object()?;
        let shapes = shapes(settings);
        let mut loader = EbpfLoader::new();
        loader.override_global("PURPOSE", &purpose, true);
        for (name, shape) in &shapes {
            loader.map_pin_path(name, pins.join(name));
            // The object's own sizes stay where no setting says otherwise, so
            // that the check below compares the two.
            if matches!(*name, maps::RINGS | maps::FLOWS | maps::SYN_FLOWS | maps::UDP_FLOWS) {
                loader.map_max_entries(name, shape.max_entries);
            }
        }
        let mut ebpf = loader.load(object).context("the XDP program's maps cannot be made")?;
        for (name, wanted) in &shapes {
            let info = MapInfo::from_pin(pins.join(name))
                .with_context(|| format!("the XDP program has no map {name}"))?;
            if let Some(difference) = wanted.difference(&Shape::found(&info)?) {
                bail!(
                    "map {name} of the XDP program {difference}: rebuild with `cargo xtask build`"
                );
            }
        }
        load_program(program_of(&mut ebpf)?).map_err(explain)?;
        Ok(Self { ebpf })
    }

    /// The XDP program.
    ///
    /// # Errors
    /// When the object has none of that name.
    pub(super) fn program(&mut self) -> anyhow::Result<&mut Xdp> {
        program_of(&mut self.ebpf)
    }

    /// Takes a map out.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(super) fn take(&mut self, name: &str) -> anyhow::Result<Map> {
        self.ebpf.take_map(name).with_context(|| format!("the XDP program has no map {name}"))
    }

    /// Takes out a map of flows or of a table.
    ///
    /// # Errors
    /// When there is none of that name, or it is of another type.
    pub(super) fn take_data(&mut self, name: &str) -> anyhow::Result<MapData> {
        match self.take(name)? {
            Map::Array(data) | Map::HashMap(data) | Map::LruHashMap(data) => Ok(data),
            _ => bail!("map {name} is neither an array nor a hash map"),
        }
    }
}

fn program_of(ebpf: &mut Ebpf) -> anyhow::Result<&mut Xdp> {
    let program = ebpf.program_mut(PROGRAM);
    let program = program.with_context(|| format!("the object has no program `{PROGRAM}`"))?;
    program.try_into().with_context(|| format!("program `{PROGRAM}` is not an XDP program"))
}
