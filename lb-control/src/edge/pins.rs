//! The directory in a bpffs where program, maps and links outlive the process.
//!
//! ```text
//! <pin>/            locked by the edge process that uses it
//!   v1/             named after the ABI version
//!     WORDS ...     maps, by name
//!     program
//!     link-<n>      one for each interface, by its index: names with dots, such
//!                   as eth0.100, are not allowed here, and can change
//! ```

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use aya::maps::MapInfo;
use lb_common::abi::ABI_VERSION;
use tracing::info;

use super::layout::{Shape, setting_of, shapes};
use crate::{
    config::EdgeSettings,
    xdp::pin::{check_bpffs, holder, lock, unpin},
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

    /// Where the link of an interface is pinned.
    pub(super) fn link(&self, ifindex: u32) -> PathBuf {
        self.dir.join(format!("{LINK}{ifindex}"))
    }

    /// Pinned links, by interface index.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(super) fn links(&self) -> anyhow::Result<Vec<(u32, PathBuf)>> {
        let index = |path: PathBuf| {
            let name = path.file_name()?.to_str()?;
            Some((name.strip_prefix(LINK)?.parse().ok()?, path))
        };
        Ok(entries(&self.dir)?.into_iter().filter_map(index).collect())
    }

    /// Checks what an earlier process left. Returns whether there is anything
    /// to adopt.
    ///
    /// # Errors
    /// Says what cannot be adopted and what the ways out are. Packets go on as
    /// they did.
    pub(super) fn check(&self, settings: &EdgeSettings) -> anyhow::Result<bool> {
        if let Some(version) = self.others()?.first() {
            bail!(
                "{} belongs to another version of sluice, and its maps cannot be read by this one: \
                 start that version again, or run `sluice detach` (connections through this edge \
                 are then no longer steered) and start this one",
                version.display()
            );
        }
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

    /// What other versions have left.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub(super) fn others(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut others = Vec::new();
        for version in versions(&self.root)?.into_iter().filter(|path| *path != self.dir) {
            if !entries(&version)?.is_empty() {
                others.push(version);
            }
        }
        Ok(others)
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
    fn clear(&self) -> anyhow::Result<()> {
        for path in entries(&self.dir)? {
            unpin(&path)?;
        }
        Ok(())
    }

    /// Removes everything, of every version, and the directories.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        for version in versions(&self.root)? {
            for path in entries(&version)? {
                unpin(&path)?;
            }
            fs::remove_dir(&version)
                .with_context(|| format!("directory {} cannot be removed", version.display()))?;
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
        for version in versions(&self.root)? {
            let is_link = |path: &PathBuf| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LINK))
            };
            links.extend(entries(&version)?.into_iter().filter(is_link));
        }
        Ok(links)
    }
}

/// Directories of any ABI version.
fn versions(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let is_version = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix('v'));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    Ok(entries(root)?.into_iter().filter(is_version).collect())
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
