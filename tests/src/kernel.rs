//! What an edge has put into the kernel.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{Host, Lab};

impl Lab {
    /// How a program is attached to the edge's interface, as `ip link` names
    /// it: `xdp` (native), `xdpgeneric`, or `None`.
    pub fn attached(&self) -> Result<Option<String>> {
        attached(&self.edge)
    }

    /// Directory that the edge pins what it has below.
    fn pins(&self) -> PathBuf {
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
