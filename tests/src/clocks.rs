//! Processes whose clock is not the machine's, or leaps.
//!
//! Nobody can give a process another time of day without giving it to all of the
//! machine. Another monotonic clock it can have (time_namespaces(7)), and that is the
//! one that decisions go by; and a process that was stopped sees its clock leap.

use std::{ffi::OsString, path::PathBuf};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::{Host, Lab, Process, sluice};

impl Lab {
    /// Starts the agent of a server, whose clock is ahead of the machine's.
    pub fn start_agent_ahead(&mut self, server: usize, seconds: i64) -> Result<()> {
        let host = &self.servers[server];
        let config = self.settings.write_agent(&self.site, host)?;
        self.processes[server].agent = Some(spawn_ahead(host, "agent", config, seconds)?);
        Ok(())
    }

    /// Starts `sluice edge` with such a clock, and waits until it is in step.
    pub fn start_edge_ahead(&mut self, seconds: i64) -> Result<()> {
        let config = self.settings.write_edge(&self.site, "edge")?;
        self.edge_role = Some(spawn_ahead(&self.edge, "edge", config, seconds)?);
        self.wait_switch_in_step()
    }

    /// The manager, or `sluice run`, stands still (SIGSTOP), or goes on.
    pub fn freeze_manager(&self, frozen: bool) -> Result<()> {
        let manager = self.sluice.as_ref().context("no manager runs")?;
        manager.signal(if frozen { Signal::SIGSTOP } else { Signal::SIGCONT })
    }
}

/// `unshare` becomes the program, so that signals reach that.
fn spawn_ahead(host: &Host, role: &str, config: PathBuf, seconds: i64) -> Result<Process> {
    let ahead = seconds.to_string();
    let words = ["--time", "--monotonic", &ahead, "--boottime", &ahead];
    let mut args: Vec<OsString> = words.map(OsString::from).to_vec();
    args.extend([sluice::binary()?.into(), role.into(), "--config".into(), config.into()]);
    host.spawn(&format!("sluice-{role}"), "unshare", &args)
}
