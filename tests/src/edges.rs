//! Several edges in one lab. They are counted from 0; the host and the switch of
//! edge 1 are named `edge-2`.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{Answers, Client, Crowd, Host, Lab, Process, settings, sluice, web};

/// An edge beside the first one.
#[derive(Debug)]
pub(crate) struct FurtherEdge {
    // Dropped in this order.
    pub(crate) process: Option<Process>,
    pub(crate) host: Host,
}

impl Lab {
    /// The host of an edge.
    pub fn edge_at(&self, edge: usize) -> &Host {
        if edge == 0 { &self.edge } else { &self.further[edge - 1].host }
    }

    fn process_at(&mut self, edge: usize) -> &mut Option<Process> {
        if edge == 0 { &mut self.edge_role } else { &mut self.further[edge - 1].process }
    }

    /// Starts `sluice edge`, and waits until all switches are in step.
    pub fn start_edge_at(&mut self, edge: usize) -> Result<()> {
        self.spawn_edge_at(edge)?;
        self.wait_switch_in_step()
    }

    /// Starts `sluice edge`, and waits for nothing.
    pub fn spawn_edge_at(&mut self, edge: usize) -> Result<()> {
        let host = self.edge_at(edge).clone();
        let config = self.settings.write_edge(&self.site, host.name())?;
        *self.process_at(edge) = Some(sluice::spawn(&host, "edge", config, &[])?);
        Ok(())
    }

    /// SIGKILL for `sluice edge`.
    pub fn kill_edge_at(&mut self, edge: usize) -> Result<()> {
        self.process_at(edge).take().context("that edge does not run")?.kill()
    }

    /// An edge's process stands still (SIGSTOP), or goes on. Its program steers
    /// as it did last.
    pub fn freeze_edge(&mut self, edge: usize, frozen: bool) -> Result<()> {
        let process = self.process_at(edge).as_ref().context("that edge does not run")?;
        process.signal(if frozen { Signal::SIGSTOP } else { Signal::SIGCONT })
    }

    /// Directory that an edge pins what it has below.
    pub fn pins_at(&self, edge: usize) -> PathBuf {
        settings::pins(&self.site, self.edge_at(edge).name())
    }

    /// Removes all that an edge has pinned: with its link goes the program.
    pub fn wipe_edge(&mut self, edge: usize) -> Result<()> {
        let pins = self.pins_at(edge);
        fs::remove_dir_all(&pins).with_context(|| pins.display().to_string())
    }

    /// What `sluice get switches` says of an edge.
    pub fn switch(&self, edge: usize) -> Result<Value> {
        let name = self.edge_at(edge).name();
        let switches = self.sluice_json(&["get", "switches"])?;
        let switch = switches.as_array().into_iter().flatten().find(|one| one["name"] == name);
        switch.cloned().with_context(|| format!("no switch {name} in {switches}"))
    }

    /// Requests as [`get_many`](Self::get_many), from this client.
    pub fn get_many_by(&self, client: usize, service: &str, count: usize) -> Result<Answers> {
        web::get_many(&self.clients[client], self.vip(service), count)
    }

    /// Connections as [`crowd`](Self::crowd), from this client.
    pub fn crowd_by(&self, client: usize, service: &str, count: usize) -> Result<Crowd> {
        Crowd::gather(Client::of(&self.clients[client]), self.vip(service), count)
    }
}
