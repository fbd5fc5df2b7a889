//! The directory in a bpffs where program, maps and links outlive the process.
//!
//! ```text
//! <pin>/            locked by the edge process that uses it
//!   v2/             named after the ABI version
//!     WORDS ...     maps, by name
//!     program
//!     link-<n>      one for each interface, by its index: names with dots, such
//!                   as eth0.100, are not allowed here, and can change
//! ```
//!
//! What links are called is the same in every version: it tells another version
//! that something steers.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use aya::{maps::MapInfo, programs::Xdp};
use lb_common::abi::ABI_VERSION;
use tracing::info;

use super::layout::{Shape, setting_of, shapes};
use crate::{
    config::EdgeSettings,
    xdp::{
        interfaces,
        pin::{check_bpffs, holder, lock, unpin},
    },
};

const PROGRAM: &str = "program";
const LINK: &str = "link-";

/// A locked pin directory. The lock goes with the value.
#[derive(Debug)]
pub(super) struct Pins {
    root: PathBuf,
    dir: PathBuf,
    _lock: Option<File>,
}

/// A pinned map that cannot be adopted.
#[derive(Debug)]
pub(super) struct Misfit {
    pub map: &'static str,
    /// In what it differs, as the rest of a sentence.
    pub difference: String,
    /// The line of `[edge]` with which it would fit.
    pub setting: Option<String>,
}

impl Pins {
    /// Makes the directory if need be, and locks it.
    ///
    /// # Errors
    /// When it is not in a bpffs or another process holds it.
    pub(super) fn open(root: &Path) -> anyhow::Result<Self> {
        check_bpffs(root)?;
        let dir = root.join(format!("v{ABI_VERSION}"));
        fs::create_dir_all(root)
            .with_context(|| format!("directory {} cannot be made", root.display()))?;
        let lock = lock(root)?;
        fs::create_dir_all(&dir)
            .with_context(|| format!("directory {} cannot be made", dir.display()))?;
        Ok(Self { root: root.to_owned(), dir, _lock: Some(lock) })
    }

    /// Locks a directory that may not be there; `None` when it is not. A lock
    /// that this very process holds is no obstacle: it is about to end.
    ///
    /// # Errors
    /// When another process holds it.
    pub(super) fn find(root: &Path) -> anyhow::Result<Option<Self>> {
        if !root.is_dir() {
            return Ok(None);
        }
        let lock = match lock(root) {
            Ok(lock) => Some(lock),
            Err(_) if holder(root) == Some(std::process::id()) => None,
            Err(error) => return Err(error),
        };
        let dir = root.join(format!("v{ABI_VERSION}"));
        Ok(Some(Self { root: root.to_owned(), dir, _lock: lock }))
    }

    /// The same for somebody who only looks, whoever holds the lock.
    pub(super) fn look(root: &Path) -> Option<Self> {
        let dir = root.join(format!("v{ABI_VERSION}"));
        root.is_dir().then(|| Self { root: root.to_owned(), dir, _lock: None })
    }

    /// Where an edge of this version has its pins, whoever holds the lock.
    pub(super) fn current(root: &Path) -> Option<PathBuf> {
        let dir = root.join(format!("v{ABI_VERSION}"));
        dir.join(PROGRAM).exists().then_some(dir)
    }

    /// Where maps are pinned.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn program(&self) -> PathBuf {
        self.dir.join(PROGRAM)
    }

    /// Maps that are not pinned (any more).
    pub(super) fn missing(&self, settings: &EdgeSettings) -> Vec<&'static str> {
        let names = shapes(settings).into_iter().map(|(name, _)| name);
        names.filter(|name| !self.dir.join(name).exists()).collect()
    }

    /// Where the link of an interface is pinned.
    pub(super) fn link(&self, ifindex: u32) -> PathBuf {
        link_in(&self.dir, ifindex)
    }

    /// Pinned links, by interface index.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(super) fn links(&self) -> anyhow::Result<Vec<(u32, PathBuf)>> {
        links_in(&self.dir)
    }

    /// The link of an interface that an older version pinned.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub(super) fn older_link(&self, ifindex: u32) -> anyhow::Result<Option<PathBuf>> {
        let links = self.others()?.into_iter().map(|(_, dir)| link_in(&dir, ifindex));
        Ok(links.rev().find(|link| link.exists()))
    }

    /// Directories of other versions, by version.
    pub(super) fn others(&self) -> anyhow::Result<Vec<(u32, PathBuf)>> {
        let mut versions = versions(&self.root)?;
        versions.retain(|&(version, _)| version != ABI_VERSION);
        Ok(versions)
    }

    /// Newer maps mean what this version does not know.
    fn check_others(&self) -> anyhow::Result<()> {
        for (version, dir) in self.others()? {
            let steers = !links_in(&dir)?.is_empty();
            if steers && version > ABI_VERSION {
                bail!(
                    "{} belongs to a newer version of sluice (ABI {version}, and this one has \
                     {ABI_VERSION}), which still steers: start that version again, or run `sluice \
                     detach` (connections through this edge are then no longer steered) and start \
                     this one",
                    dir.display()
                );
            }
            if !steers {
                // A start that was cut short, or an upgrade.
                remove_version(&dir)?;
            }
        }
        Ok(())
    }

    /// Once every interface has the program on it: removes what other interfaces
    /// and other versions had, and pins the program.
    ///
    /// # Errors
    /// When a pin cannot be removed or made.
    pub(super) fn settle(&self, program: &mut Xdp, settings: &EdgeSettings) -> anyhow::Result<()> {
        let index = |name: &String| Ok(interfaces::look_up(name)?.index);
        let ours = settings.interfaces.iter().map(index).collect::<anyhow::Result<Vec<_>>>()?;
        for (index, path) in self.links()? {
            if !ours.contains(&index) {
                unpin(&path)?;
                info!("detached from interface {index}, which is not configured any more");
            }
        }
        for (version, dir) in self.others()? {
            remove_version(&dir)?;
            info!("removed what version {version} had pinned");
        }
        if self.program().exists() {
            unpin(&self.program())?;
        }
        program.pin(self.program()).context("the program cannot be pinned")
    }

    /// Checks what earlier processes left. Returns whether there is anything to
    /// adopt.
    ///
    /// # Errors
    /// Says what cannot be adopted and what the ways out are. Packets go on as
    /// they did.
    pub(super) fn check(&self, settings: &EdgeSettings) -> anyhow::Result<bool> {
        self.check_others()?;
        let shapes = shapes(settings);
        let missing: Vec<_> =
            shapes.iter().filter(|(name, _)| !self.dir.join(name).exists()).collect();
        if missing.len() == shapes.len() && self.links()?.is_empty() {
            return Ok(false);
        }
        if let Some((name, _)) = missing.first() {
            if !self.links()?.is_empty() {
                bail!(
                    "map {name} is missing in {}: run `sluice detach` and start again",
                    self.dir.display()
                );
            }
            // A first start that was cut short: no packet has ever read these.
            self.clear()?;
            return Ok(false);
        }
        if let Some(misfit) = self.misfits(settings)?.first() {
            let back = misfit.setting.as_ref();
            let back = back.map_or_else(String::new, |line| format!("set `{line}` in [edge], or "));
            bail!(
                "pinned map {} {}: {back}run `sluice detach` (connections through this edge are \
                 then no longer steered) and start again",
                misfit.map,
                misfit.difference
            );
        }
        Ok(true)
    }

    /// Maps that are pinned and of another shape than this build and these
    /// settings want.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub(super) fn misfits(&self, settings: &EdgeSettings) -> anyhow::Result<Vec<Misfit>> {
        let mut misfits = Vec::new();
        for (map, wanted) in shapes(settings) {
            let pin = self.dir.join(map);
            if !pin.exists() {
                continue;
            }
            let info = MapInfo::from_pin(pin)
                .with_context(|| format!("pinned map {map} cannot be opened"))?;
            let Some(difference) = wanted.difference(&Shape::found(&info)?) else { continue };
            let setting = setting_of(map).map(|setting| {
                let entries = info.max_entries();
                let value = if setting == "ring_pool" { entries * 2 } else { entries };
                format!("{setting} = {value}")
            });
            misfits.push(Misfit { map, difference, setting });
        }
        Ok(misfits)
    }

    /// Removes everything that this version pinned.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        entries(&self.dir)?.iter().try_for_each(|path| unpin(path))
    }

    /// Removes everything, of every version, and the directories.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        for (_, dir) in versions(&self.root)? {
            remove_version(&dir)?;
        }
        // It may be the mount point, or hold something of somebody else's.
        if fs::remove_dir(&self.root).is_ok() {
            info!("removed {}", self.root.display());
        }
        Ok(())
    }

    /// The pinned links of every version.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub(super) fn all_links(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut links = Vec::new();
        for (_, dir) in versions(&self.root)? {
            links.extend(links_in(&dir)?.into_iter().map(|(_, path)| path));
        }
        Ok(links)
    }
}

fn link_in(dir: &Path, ifindex: u32) -> PathBuf {
    dir.join(format!("{LINK}{ifindex}"))
}

fn links_in(dir: &Path) -> anyhow::Result<Vec<(u32, PathBuf)>> {
    numbered(dir, LINK)
}

/// Directories of every ABI version, the oldest first.
fn versions(root: &Path) -> anyhow::Result<Vec<(u32, PathBuf)>> {
    let mut versions = numbered(root, "v")?;
    versions.sort_unstable();
    Ok(versions)
}

/// Entries whose names are a prefix and a number.
fn numbered(dir: &Path, prefix: &str) -> anyhow::Result<Vec<(u32, PathBuf)>> {
    let number = |path: PathBuf| {
        let name = path.file_name()?.to_str()?;
        Some((name.strip_prefix(prefix)?.parse().ok()?, path))
    };
    Ok(entries(dir)?.into_iter().filter_map(number).collect())
}

fn remove_version(dir: &Path) -> anyhow::Result<()> {
    entries(dir)?.iter().try_for_each(|path| unpin(path))?;
    fs::remove_dir(dir).with_context(|| format!("directory {} cannot be removed", dir.display()))
}

fn entries(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let failed = || format!("directory {} cannot be read", dir.display());
    match fs::read_dir(dir) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()
            .with_context(failed),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_system_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let error = Pins::open(&dir.path().join("a/b")).unwrap_err().to_string();
        assert!(error.contains("mount -t bpf"), "{error}");
        assert!(!dir.path().join("a").exists());
    }
}
