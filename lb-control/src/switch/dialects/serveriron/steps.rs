//! The steps from what a ServerIron has to what it should have.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddrV4},
};

use super::{
    config::{Activity, Bind, Config, Real},
    goal::{Goal, Want},
};

/// Pairs that a `bind` line takes.
const PAIRS: usize = 4;

/// One thing that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    AddReal(Ipv4Addr),
    Weigh(Ipv4Addr, u32),
    /// Makes a port of a real server, enables or disables it.
    Port(SocketAddrV4, bool),
    /// With the method that obeys weights.
    AddVirtual(Ipv4Addr, String),
    AddVirtualPort(SocketAddrV4),
    /// Of one service, and no more than a line takes.
    Bind(Vec<Bind>),
    Unbind(Bind),
    /// Breaks all connections of a real server.
    Break(Ipv4Addr),
    RemovePort(SocketAddrV4),
    RemoveReal(Ipv4Addr),
    RemoveVirtualPort(SocketAddrV4),
    RemoveVirtual(Ipv4Addr),
}

/// What a manager knows beyond what the box has in its configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// Virtual servers and ports of them (else port 0) that this process made.
    pub made: BTreeSet<SocketAddrV4>,
    /// Real servers whose connections were broken.
    pub broken: BTreeSet<Ipv4Addr>,
    /// Real servers that were deleted, and may not be gone yet.
    pub deleted: BTreeSet<Ipv4Addr>,
}

/// What is to be done now, and what must wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Todo {
    pub steps: Vec<Step>,
    /// More could be done, or is known to have to wait, with a look at what real
    /// servers are doing.
    pub look: bool,
    /// Something goes on when connections have ended.
    pub waits: bool,
    /// What is not as asked, and why.
    pub refusals: Vec<String>,
}

/// The steps, in an order in which no connection goes where none should: first who
/// leaves, then shares, then who comes, and last what nobody uses.
///
/// A graceful shutdown is left to end before its port is enabled, bound or deleted:
/// the box must not be given the reverse command in its midst. Without `activity` no
/// port is known to have come to its end.
pub(super) fn steps(
    goal: &Goal,
    held: &Config,
    activity: Option<&Activity>,
    memory: &Memory,
    names: &BTreeMap<String, String>,
) -> Todo {
    let mut todo = Todo { refusals: goal.conflicts.clone(), ..Todo::default() };
    let work = Work { goal, held, activity, memory };
    work.leave(&mut todo);
    let unfit = work.come(&mut todo);
    work.bind(&unfit, names, &mut todo);
    work.break_all(&mut todo);
    work.unbind(&mut todo);
    work.tidy(&mut todo);
    todo
}

struct Work<'a> {
    goal: &'a Goal,
    held: &'a Config,
    activity: Option<&'a Activity>,
    memory: &'a Memory,
}

impl Work<'_> {
    /// Whether a port has no connection and is in no shutdown; says that a look would
    /// tell, or that it must be waited for.
    fn quiet(&self, server: SocketAddrV4, todo: &mut Todo) -> bool {
        match self.activity {
            None => todo.look = true,
            Some(activity) if activity.busy(server) => todo.waits = true,
            Some(_) => return true,
        }
        false
    }

    fn our_ports(&self) -> impl Iterator<Item = (SocketAddrV4, bool)> {
        let ports = |(address, real): (Ipv4Addr, &Real)| {
            let ports = real.ports.clone().into_iter();
            ports.map(move |(port, enabled)| (SocketAddrV4::new(address, port), enabled))
        };
        self.held.ours().flat_map(ports)
    }

    /// Disables what is to take no new connections, and what is to go.
    fn leave(&self, todo: &mut Todo) {
        for (server, enabled) in self.our_ports() {
            if enabled && self.goal.ports.get(&server) != Some(&Want::Serve) {
                todo.steps.push(Step::Port(server, false));
            }
        }
    }

    /// Makes, weighs and enables real servers. Returns those that cannot be bound.
    fn come(&self, todo: &mut Todo) -> BTreeSet<Ipv4Addr> {
        let mut unfit = BTreeSet::new();
        for (&address, &weight) in &self.goal.reals {
            let real = self.held.reals.get(&address);
            if let Some(other) = real.filter(|real| !real.is_ours()) {
                todo.refusals.push(format!(
                    "{address} is real server `{}` of the site's own configuration: take it out \
                     there, or out of the service here",
                    other.name
                ));
                unfit.insert(address);
                continue;
            }
            if real.is_none() && self.memory.deleted.contains(&address) {
                match self.activity {
                    None => todo.look = true,
                    Some(activity) if activity.reals.contains_key(&address) => {
                        todo.waits = true;
                        todo.refusals.push(format!(
                            "real server {address} is still being deleted: it is made again when \
                             its connections have ended"
                        ));
                    }
                    Some(_) => {}
                }
                let gone = |activity: &Activity| !activity.reals.contains_key(&address);
                if !self.activity.is_some_and(gone) {
                    unfit.insert(address);
                    continue;
                }
            }
            if real.is_none() {
                todo.steps.push(Step::AddReal(address));
            }
            let has = real.map_or(Real::WEIGHT, |real| real.weight);
            if let Some(weight) = weight.filter(|&weight| weight != has) {
                todo.steps.push(Step::Weigh(address, weight));
            }
            self.ports(address, todo);
        }
        unfit
    }

    fn ports(&self, address: Ipv4Addr, todo: &mut Todo) {
        for (server, want) in self.goal.ports_of(address) {
            match (self.held.enabled(server), want) {
                (None, want) => todo.steps.push(Step::Port(server, want == Want::Serve)),
                (Some(false), Want::Serve) if self.quiet(server, todo) => {
                    todo.steps.push(Step::Port(server, true));
                }
                (Some(false), Want::Serve) => {
                    if let Some(activity) = self.activity {
                        todo.refusals.push(format!(
                            "{server} is still shutting down gracefully ({} connections): the \
                             switch lets it serve again when they have ended",
                            activity.of(server).connections
                        ));
                    }
                }
                (Some(_), _) => {}
            }
        }
    }

    /// Makes virtual servers where there are none, and binds.
    fn bind(&self, unfit: &BTreeSet<Ipv4Addr>, names: &BTreeMap<String, String>, todo: &mut Todo) {
        let mut lines: BTreeMap<SocketAddrV4, Vec<Bind>> = BTreeMap::new();
        for &bind in self.goal.binds.difference(&self.held.binds) {
            // One that was unbound with connections goes on with that first.
            let going = self.activity.is_some_and(|activity| activity.of(bind.server).going);
            if going {
                todo.waits = true;
                todo.refusals.push(format!(
                    "{} is still being unbound: it is bound when its connections have ended",
                    bind.server
                ));
            } else if !unfit.contains(bind.server.ip()) {
                lines.entry(bind.service).or_default().push(bind);
            }
        }
        let mut made = BTreeSet::new();
        for (service, binds) in lines {
            let there = self.held.virtuals.get(service.ip());
            if there.is_none() && made.insert(*service.ip()) {
                let name = self.goal.services.get(&service).map_or("", |name| name.as_str());
                let name = names.get(name).cloned().unwrap_or_else(|| virtual_name(name));
                todo.steps.push(Step::AddVirtual(*service.ip(), name));
            }
            if there.is_none_or(|server| !server.ports.contains(&service.port())) {
                todo.steps.push(Step::AddVirtualPort(service));
            }
            let lines = binds.chunks(PAIRS).map(|binds| Step::Bind(binds.to_vec()));
            todo.steps.extend(lines);
        }
    }

    fn break_all(&self, todo: &mut Todo) {
        let breaks = self.goal.ports.iter().filter(|(_, want)| **want == Want::Break);
        let reals: BTreeSet<_> = breaks.map(|(server, _)| *server.ip()).collect();
        let ours = |address: &Ipv4Addr| self.held.reals.get(address).is_some_and(Real::is_ours);
        let new = reals.into_iter().filter(|a| ours(a) && !self.memory.broken.contains(a));
        todo.steps.extend(new.map(Step::Break));
    }

    /// Takes out what is to go: a port of a real server at its end.
    fn unbind(&self, todo: &mut Todo) {
        // Bindings that go while their port stays.
        let stays = |bind: &Bind| self.goal.ports.contains_key(&bind.server);
        let strange = |bind: &Bind| !self.goal.binds.contains(bind);
        let moved = self.held.our_binds().filter(|bind| strange(bind) && stays(bind));
        todo.steps.extend(moved.map(Step::Unbind));
        let mut ended: BTreeMap<Ipv4Addr, Vec<SocketAddrV4>> = BTreeMap::new();
        for (server, enabled) in self.our_ports() {
            if !self.goal.ports.contains_key(&server) {
                if enabled {
                    // It was only now told to take no more.
                    todo.waits = true;
                } else if self.quiet(server, todo) {
                    ended.entry(*server.ip()).or_default().push(server);
                }
            }
        }
        let mut bound: BTreeMap<SocketAddrV4, Vec<Bind>> = BTreeMap::new();
        for bind in self.held.our_binds() {
            bound.entry(bind.server).or_default().push(bind);
        }
        for (address, real) in self.held.ours() {
            let ports = ended.remove(&address).unwrap_or_default();
            let binds = ports.iter().filter_map(|port| bound.get(port)).flatten();
            todo.steps.extend(binds.copied().map(Step::Unbind));
            if !self.goal.reals.contains_key(&address) && ports.len() == real.ports.len() {
                todo.steps.push(Step::RemoveReal(address));
            } else {
                todo.steps.extend(ports.into_iter().map(Step::RemovePort));
            }
        }
    }

    /// Takes out virtual servers that this process made, and that no service has.
    fn tidy(&self, todo: &mut Todo) {
        for (&address, server) in &self.held.virtuals {
            let unused = |port: &u16| {
                let service = SocketAddrV4::new(address, *port);
                self.memory.made.contains(&service)
                    && !self.goal.services.contains_key(&service)
                    && !self.held.binds.iter().any(|bind| bind.service == service)
            };
            let unused: Vec<_> = server.ports.iter().copied().filter(unused).collect();
            let whole = SocketAddrV4::new(address, 0);
            let wanted = self.goal.services.keys().any(|service| *service.ip() == address);
            let all = unused.len() == server.ports.len() && !wanted;
            if all && self.memory.made.contains(&whole) {
                todo.steps.push(Step::RemoveVirtual(address));
            } else {
                let ports = unused.into_iter().map(|port| SocketAddrV4::new(address, port));
                todo.steps.extend(ports.map(Step::RemoveVirtualPort));
            }
        }
    }
}

/// The name of the virtual server of a service: its own, within 32 characters.
fn virtual_name(service: &str) -> String {
    const MOST: usize = 32;
    if service.len() <= MOST {
        return service.to_owned();
    }
    // FNV-1a: two long names that begin alike are two names.
    let hash = service
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let start: String = service.chars().take(MOST - 9).collect();
    format!("{start}-{hash:08x}")
}
