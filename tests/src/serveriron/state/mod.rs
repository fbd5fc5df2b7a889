//! What a box holds: its configuration, its clients' connections, and how the
//! one follows from the other.
//!
//! No socket and no clock: [`State::at`] tells it the time.

mod binds;
mod connections;
mod model;
mod real;
mod refusal;
mod running;
mod settle;
mod standing;
#[cfg(test)]
mod tests;
mod virtuals;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

pub use connections::ConnectionId;
pub(crate) use model::BindKey;
pub use model::{
    Bind, Binding, Config, Health, Life, Predictor, Real, RealPort, Virtual, VirtualPort,
};
pub use refusal::Refusal;
pub(crate) use running::port_name;
pub use standing::Standing;
pub(crate) use standing::Standings;

use super::options::Limits;
use connections::{Connection, Turns};

/// A whole box. A clone is a snapshot to look at.
#[derive(Clone, Debug)]
pub struct State {
    /// What `show running-config` shows.
    pub running: Config,
    /// What the next reboot begins with.
    pub startup: Config,
    /// Reverse commands that were entered while a graceful shutdown ran, which
    /// the vendor forbids. Must stay empty.
    pub violations: Vec<String>,
    limits: Limits,
    hide_leaving: bool,
    force_delete_after: Duration,
    now: Instant,
    booted: Instant,
    boots: u32,
    open: BTreeMap<ConnectionId, Connection>,
    broken: BTreeSet<ConnectionId>,
    counts: BTreeMap<BindKey, u32>,
    totals: BTreeMap<(String, u16), Totals>,
    last_connection: ConnectionId,
    turns: Turns,
    announcements: Vec<String>,
    revision: u64,
}

/// Of one port of a real server, since boot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub connections: u32,
    pub peak: u32,
}

impl State {
    /// An empty box that boots at `now`.
    pub(crate) fn new(
        limits: Limits,
        hide_leaving: bool,
        force_delete_after: Duration,
        now: Instant,
    ) -> Self {
        Self {
            running: Config::default(),
            startup: Config::default(),
            violations: Vec::new(),
            limits,
            hide_leaving,
            force_delete_after,
            now,
            booted: now,
            boots: 1,
            open: BTreeMap::new(),
            broken: BTreeSet::new(),
            counts: BTreeMap::new(),
            totals: BTreeMap::new(),
            last_connection: 0,
            turns: Turns::default(),
            announcements: Vec::new(),
            revision: 0,
        }
    }

    /// Tells it the time.
    pub(crate) fn at(&mut self, now: Instant) {
        self.now = now;
    }

    /// Since the last boot.
    pub fn uptime(&self) -> Duration {
        self.now.saturating_duration_since(self.booted)
    }

    /// How often it has booted; SNMP's snmpEngineBoots.
    pub fn boots(&self) -> u32 {
        self.boots
    }

    /// Grows whenever anything but the time may have changed.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Something may have changed.
    pub(crate) fn touch(&mut self) {
        self.revision += 1;
    }

    /// `write memory`. What is on its way out is not saved.
    pub fn save(&mut self) {
        let mut saved = self.running.clone();
        saved.drop_leaving();
        self.startup = saved;
    }

    /// A hard reboot: all connections drop, what was not saved is forgotten.
    pub(crate) fn reboot(&mut self) {
        self.broken.extend(self.open.keys());
        self.open.clear();
        self.counts.clear();
        self.totals.clear();
        self.turns = Turns::default();
        self.announcements.clear();
        self.running = self.startup.clone();
        self.running.renumber();
        self.booted = self.now;
        self.boots += 1;
    }

    /// `server predictor METHOD`
    pub fn set_predictor(&mut self, predictor: Predictor) {
        self.running.predictor = predictor;
    }

    /// `server force-delete`, or its `no`
    pub fn set_force_delete(&mut self, on: bool) {
        self.running.force_delete = on;
    }

    /// What the box has to say to whoever is logged in.
    pub(crate) fn take_announcements(&mut self) -> Vec<String> {
        std::mem::take(&mut self.announcements)
    }

    /// Notes that a reverse command came while its shutdown ran. The vendor
    /// leaves open what then happens; here the command is lost without a word.
    fn violation(&mut self, what: String) {
        self.violations.push(what);
    }
}
