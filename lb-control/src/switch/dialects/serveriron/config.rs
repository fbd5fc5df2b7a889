//! What a ServerIron has in its configuration, as far as it is a matter of ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddrV4},
};

use super::steps::Step;

/// Names of real servers that a manager made begin so.
const OURS: &str = "sluice-";

/// Real servers, virtual servers, and what is bound to what; the site's own too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    /// By address: the box has one real server for each.
    pub reals: BTreeMap<Ipv4Addr, Real>,
    pub virtuals: BTreeMap<Ipv4Addr, Virtual>,
    pub binds: BTreeSet<Bind>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Real {
    pub name: String,
    pub weight: u32,
    /// Whether each takes new connections.
    pub ports: BTreeMap<u16, bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Virtual {
    pub name: String,
    pub ports: BTreeSet<u16>,
}

/// A port of a virtual server, and one of a real server that it sends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bind {
    pub service: SocketAddrV4,
    pub server: SocketAddrV4,
}

impl Real {
    /// The weight of a real server that was given none.
    pub const WEIGHT: u32 = 1;

    pub fn new(address: Ipv4Addr) -> Self {
        Self { name: real_name(address), weight: Self::WEIGHT, ports: BTreeMap::new() }
    }

    /// Whether a manager made it.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with(OURS)
    }
}

/// The name of our real server of an address: 32 characters at most.
pub(super) fn real_name(address: Ipv4Addr) -> String {
    format!("{OURS}{address}")
}

/// The address in the name of a real server of ours.
pub(super) fn real_address(name: &str) -> Option<Ipv4Addr> {
    name.strip_prefix(OURS)?.parse().ok()
}

impl Config {
    /// Real servers that a manager made.
    pub fn ours(&self) -> impl Iterator<Item = (Ipv4Addr, &Real)> {
        self.reals.iter().filter(|(_, real)| real.is_ours()).map(|(address, real)| (*address, real))
    }

    /// Bindings of those.
    pub fn our_binds(&self) -> impl Iterator<Item = Bind> {
        let ours = |bind: &&Bind| self.reals.get(bind.server.ip()).is_some_and(Real::is_ours);
        self.binds.iter().filter(ours).copied()
    }

    /// Whether a port of a real server takes new connections; None: there is none.
    pub fn enabled(&self, server: SocketAddrV4) -> Option<bool> {
        self.reals.get(server.ip())?.ports.get(&server.port()).copied()
    }

    /// The name of the virtual server of an address.
    pub fn virtual_name(&self, address: Ipv4Addr) -> Option<&str> {
        self.virtuals.get(&address).map(|server| server.name.as_str())
    }

    /// What it is after a step was taken.
    pub fn take(&mut self, step: &Step) {
        match step {
            Step::AddReal(address) => {
                self.reals.insert(*address, Real::new(*address));
            }
            Step::Weigh(address, weight) => {
                if let Some(real) = self.reals.get_mut(address) {
                    real.weight = *weight;
                }
            }
            Step::Port(server, enabled) => {
                if let Some(real) = self.reals.get_mut(server.ip()) {
                    real.ports.insert(server.port(), *enabled);
                }
            }
            Step::AddVirtual(address, name) => {
                let server = Virtual { name: name.clone(), ports: BTreeSet::new() };
                self.virtuals.insert(*address, server);
            }
            Step::AddVirtualPort(service) => {
                if let Some(server) = self.virtuals.get_mut(service.ip()) {
                    server.ports.insert(service.port());
                }
            }
            Step::Bind(binds) => self.binds.extend(binds),
            Step::Unbind(bind) => {
                self.binds.remove(bind);
            }
            Step::Break(_) => {}
            Step::RemovePort(server) => {
                if let Some(real) = self.reals.get_mut(server.ip()) {
                    real.ports.remove(&server.port());
                }
                self.binds.retain(|bind| bind.server != *server);
            }
            Step::RemoveReal(address) => {
                self.reals.remove(address);
                self.binds.retain(|bind| bind.server.ip() != address);
            }
            Step::RemoveVirtualPort(service) => {
                if let Some(server) = self.virtuals.get_mut(service.ip()) {
                    server.ports.remove(&service.port());
                }
            }
            Step::RemoveVirtual(address) => {
                self.virtuals.remove(address);
            }
        }
    }
}

/// What real servers are doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Activity {
    /// By address; the site's own may be missing.
    pub reals: BTreeMap<Ipv4Addr, Doing>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doing {
    /// It goes once its connections have ended.
    pub going: bool,
    pub ports: BTreeMap<u16, PortDoing>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PortDoing {
    /// Connections that it has now.
    pub connections: u64,
    /// Connections that it has had.
    pub total: u64,
    /// It is unbound or deleted once its connections have ended.
    pub going: bool,
}

impl Activity {
    pub fn of(&self, server: SocketAddrV4) -> PortDoing {
        let doing = self.reals.get(server.ip()).and_then(|real| real.ports.get(&server.port()));
        doing.copied().unwrap_or_default()
    }

    /// Whether a graceful shutdown of the port is under way, into which nobody may enter
    /// the reverse command.
    pub fn busy(&self, server: SocketAddrV4) -> bool {
        let doing = self.of(server);
        doing.connections > 0 || doing.going || self.going(*server.ip())
    }

    /// Whether a deletion of the real server is under way.
    pub fn going(&self, address: Ipv4Addr) -> bool {
        self.reals.get(&address).is_some_and(|real| real.going)
    }
}
