//! The configuration.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr, time::Instant};

/// Everything that `write memory` writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub predictor: Predictor,
    pub force_delete: bool,
    pub reals: BTreeMap<String, Real>,
    pub virtuals: BTreeMap<String, Virtual>,
    /// By their index in SNMP's bind table, 1..=2048.
    pub binds: BTreeMap<u32, Bind>,
}

/// How a virtual server chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Predictor {
    #[default]
    LeastConnections,
    RoundRobin,
    Weighted,
}

/// `server real NAME IP`
#[derive(Clone, Debug, PartialEq)]
pub struct Real {
    pub address: Ipv4Addr,
    pub life: Life,
    pub weight: u32,
    pub max_connections: u32,
    /// `port default disable`
    pub default_disabled: bool,
    pub health: Health,
    pub ports: BTreeMap<u16, RealPort>,
}

/// `port N` of a real server.
#[derive(Clone, Debug, PartialEq)]
pub struct RealPort {
    pub life: Life,
    /// What its health check asks, `GET /x HTTP/1.0`.
    pub url: Option<String>,
    pub health: Health,
}

/// `server virtual NAME VIP`
#[derive(Clone, Debug, PartialEq)]
pub struct Virtual {
    pub address: Ipv4Addr,
    pub life: Life,
    /// `None` follows the global one.
    pub predictor: Option<Predictor>,
    /// `port default disable`
    pub default_disabled: bool,
    pub ports: BTreeMap<u16, VirtualPort>,
}

/// `port N` of a virtual server.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualPort {
    pub life: Life,
    pub sticky: bool,
    pub concurrent: bool,
}

/// One pair of a `bind` line.
#[derive(Clone, Debug, PartialEq)]
pub struct Bind {
    pub binding: Binding,
    pub life: Life,
}

/// What is bound to what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binding {
    pub virtual_server: String,
    pub virtual_port: u16,
    pub real_server: String,
    pub real_port: u16,
}

/// A binding in the order of real servers.
pub(crate) type BindKey = (String, u16, String, u16);

impl Binding {
    pub fn new(virtual_server: &str, virtual_port: u16, real_server: &str, real_port: u16) -> Self {
        Self {
            virtual_server: virtual_server.to_owned(),
            virtual_port,
            real_server: real_server.to_owned(),
            real_port,
        }
    }

    pub(crate) fn key(&self) -> BindKey {
        (self.real_server.clone(), self.real_port, self.virtual_server.clone(), self.virtual_port)
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { virtual_server, virtual_port, real_server, real_port } = self;
        write!(f, "{virtual_server}:{virtual_port} to {real_server}:{real_port}")
    }
}

/// Whether something takes connections, or is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub enabled: bool,
    /// Goes when its last connection has ended.
    pub leaving: bool,
    /// When it was disabled or deleted.
    pub since: Instant,
}

impl Life {
    pub(crate) fn new(now: Instant) -> Self {
        Self { enabled: true, leaving: false, since: now }
    }

    /// Takes new connections.
    pub fn serves(&self) -> bool {
        self.enabled && !self.leaving
    }

    pub(crate) fn leave(&mut self, now: Instant) {
        if !self.leaving {
            *self = Self { leaving: true, since: now, ..*self };
        }
    }
}

/// What health checks found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    #[default]
    Up,
    Failed,
    Testing,
    Suspect,
}

impl Config {
    /// The bind of exactly this.
    pub(crate) fn bind_of(&self, binding: &Binding) -> Option<u32> {
        self.binds.iter().find(|(_, bind)| bind.binding == *binding).map(|(index, _)| *index)
    }

    /// Without what waits for its end.
    pub(crate) fn drop_leaving(&mut self) {
        self.reals.retain(|_, real| !real.life.leaving);
        self.virtuals.retain(|_, server| !server.life.leaving);
        self.binds.retain(|_, bind| !bind.life.leaving);
        for real in self.reals.values_mut() {
            real.ports.retain(|_, port| !port.life.leaving);
        }
        for server in self.virtuals.values_mut() {
            server.ports.retain(|_, port| !port.life.leaving);
        }
    }

    /// Bind indexes are whatever the box likes: after a reboot, others.
    pub(crate) fn renumber(&mut self) {
        self.binds = (1..).zip(std::mem::take(&mut self.binds).into_values()).collect();
    }
}
