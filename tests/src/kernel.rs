//! What an edge has put into the kernel.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{Host, Lab};

/// Who steers packets, by the kernel's ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steering {
    pub link: u64,
    pub program: u64,
}

impl Lab {
    /// How a program is attached to the edge's interface, as `ip link` names
    /// it: `xdp` (native), `xdpgeneric`, or `None`.
    pub fn attached(&self) -> Result<Option<String>> {
        attached(&self.edge)
    }

    /// What steers on the edge's interface now.
    ///
    /// # Errors
    /// When no program of a pinned link does.
    pub fn steering(&self) -> Result<Steering> {
        let is_link = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("link-"))
        };
        let pinned = files_below(&self.pins())?.into_iter().find(is_link);
        let pinned = pinned.context("no link is pinned")?;
        let args = ["-j", "link", "show", "pinned"].map(OsStr::new);
        let shown = self.edge.run("bpftool", &[&args[..], &[pinned.as_os_str()]].concat())?;
        let link: Value = serde_json::from_str(&shown.stdout()?)?;
        let number = |field: &str| link[field].as_u64().with_context(|| format!("{link}"));
        Ok(Steering { link: number("id")?, program: number("prog_id")? })
    }

    /// Directory that the edge pins what it has below.
    pub fn pins(&self) -> PathBuf {
        self.bpffs().join("sluice")
    }

    /// Ids of the maps that the edge has pinned.
    pub fn pinned_maps(&self) -> Result<Vec<u64>> {
        let mut ids = Vec::new();
        for path in files_below(&self.pins())? {
            let shown = self.edge.run(
                "bpftool",
                &[
                    "-j".as_ref(),
                    "map".as_ref(),
                    "show".as_ref(),
                    "pinned".as_ref(),
                    path.as_os_str(),
                ],
            )?;
            // Programs and links are pinned too: those are not maps.
            if shown.success() {
                let map: Value = serde_json::from_str(&shown.stdout)?;
                ids.push(map["id"].as_u64().with_context(|| format!("no id: {map}"))?);
            }
        }
        Ok(ids)
    }

    /// Whether the kernel still has the map with this id.
    pub fn map_exists(&self, id: u64) -> Result<bool> {
        Ok(self.edge.run("bpftool", &["map", "show", "id", &id.to_string()])?.success())
    }

    /// Number of files that the edge has pinned.
    pub fn pinned_files(&self) -> Result<usize> {
        Ok(files_below(&self.pins())?.len())
    }
}

fn attached(host: &Host) -> Result<Option<String>> {
    let links = host.run("ip", &["-j", "link", "show", "dev", "eth0"])?.stdout()?;
    let links: Value = serde_json::from_str(&links)?;
    // "mode": 1 native, 2 generic, 3 in hardware (linux/if_link.h, XDP_ATTACHED_*).
    let mode = links[0]["xdp"]["mode"].as_u64();
    Ok(mode.map(|mode| if mode == 2 { "xdpgeneric" } else { "xdp" }.to_owned()))
}

/// Files below a directory; none when it is not there.
fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !directory.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}
