//! What follows from the kernel's tables: for each backend, and for replies to
//! clients.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use lb_common::{abi, hash::siphash13};

use super::{
    Answer, RouteTables,
    kernel::{Host, Kernel},
    routes::{Path, Target},
};
use crate::edge::plane::mapped;

/// What the kernel says of an address when it is asked: a way, or why there is
/// none.
pub(super) type Told = Result<Path, String>;

/// The ways to all backends.
#[derive(Debug, Default)]
pub(super) struct Ways {
    pub kernel: Kernel,
    backends: BTreeSet<IpAddr>,
    /// Of backends whose routes only the kernel can follow.
    told: HashMap<IpAddr, Told>,
    /// Backends by the hosts on a link that their ways depend on.
    followers: HashMap<Host, Vec<IpAddr>>,
    /// Gateways of routes to clients.
    gateways: HashSet<Host>,
}

impl Ways {
    /// Says whose ways are wanted. Returns those that were not before.
    pub(super) fn want(&mut self, backends: BTreeSet<IpAddr>) -> Vec<IpAddr> {
        let new = backends.difference(&self.backends).copied().collect();
        self.told.retain(|backend, _| backends.contains(backend));
        self.backends = backends;
        new
    }

    /// Every backend.
    pub(super) fn backends(&self) -> Vec<IpAddr> {
        self.backends.iter().copied().collect()
    }

    /// Of these, whom the kernel must be asked about.
    pub(super) fn untold(&self, backends: &[IpAddr]) -> Vec<IpAddr> {
        let kernel = |ip: &IpAddr| *self.kernel.routes.target(*ip) == Target::Kernel;
        backends.iter().copied().filter(kernel).collect()
    }

    /// Takes in the kernel's answer.
    pub(super) fn tell(&mut self, backend: IpAddr, told: Told) {
        self.told.insert(backend, told);
    }

    /// Notes who depends on whom, after routes or backends have changed. With
    /// `to_clients`, the routes to clients count too.
    pub(super) fn arrange(&mut self, to_clients: bool) {
        let mut followers: HashMap<Host, Vec<IpAddr>> = HashMap::new();
        for &backend in &self.backends {
            for path in self.paths(backend).unwrap_or_default() {
                let host = (path.ifindex, path.gateway.unwrap_or(backend));
                followers.entry(host).or_default().push(backend);
            }
        }
        self.followers = followers;
        self.gateways.clear();
        if to_clients {
            let targets = self.kernel.routes.targets();
            let single = targets.iter().filter_map(|target| match target {
                Target::Paths(paths) if let [path] = paths[..] => Some(path),
                _ => None,
            });
            self.gateways.extend(single.filter_map(|path| Some((path.ifindex, path.gateway?))));
        }
    }

    /// Backends whose ways depend on these hosts.
    pub(super) fn depending(&self, hosts: &HashSet<Host>) -> Vec<IpAddr> {
        let of_host = |host| self.followers.get(host).into_iter().flatten().copied();
        hosts.iter().flat_map(of_host).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether routes to clients depend on one of these hosts.
    pub(super) fn carry_replies(&self, hosts: &HashSet<Host>) -> bool {
        hosts.iter().any(|host| self.gateways.contains(host))
    }

    /// Hosts that some way depends on.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.followers.keys().chain(&self.gateways)
    }

    /// Whether some way depends on a host.
    pub(super) fn needs(&self, host: &Host) -> bool {
        self.followers.contains_key(host) || self.gateways.contains(host)
    }

    /// The ways to these backends.
    pub(super) fn answers(&self, backends: &[IpAddr]) -> Vec<(IpAddr, Answer)> {
        backends.iter().map(|&backend| (backend, self.answer(backend))).collect()
    }

    fn answer(&self, backend: IpAddr) -> Answer {
        let paths = match self.paths(backend) {
            Ok(paths) => paths,
            Err(why) => return Answer::None(why),
        };
        let mut best = None;
        for path in paths {
            let answer = self.kernel.follow(&path, backend);
            match (&answer, &best) {
                (Answer::Known(_), _) => return answer,
                (Answer::Asked, Some(Answer::None(_))) | (_, None) => best = Some(answer),
                _ => {}
            }
        }
        best.unwrap_or(Answer::Asked)
    }

    /// The ways that the kernel may take to a backend, in the order in which we
    /// do: others of ours choose alike, and the loss of one moves none but those
    /// who took it.
    fn paths(&self, backend: IpAddr) -> Result<Vec<Path>, String> {
        let mut paths = match self.kernel.routes.target(backend) {
            Target::Paths(paths) => paths.clone(),
            Target::Local => return Err(format!("{backend} is an address of this host")),
            Target::Nowhere(why) => return Err((*why).to_owned()),
            Target::NextTable | Target::Kernel => match self.told.get(&backend) {
                Some(told) => vec![told.clone()?],
                None => Vec::new(),
            },
        };
        paths.sort_by_cached_key(|path| preference(backend, path));
        Ok(paths)
    }

    /// What packets to clients read.
    pub(super) fn tables(&self) -> RouteTables {
        let route = |&(start, next_hop): &(u128, u32)| abi::Route {
            start_hi: (start >> 64) as u64,
            start_lo: start as u64,
            next_hop,
            reserved: 0,
        };
        let routes = self.kernel.routes.ranges().iter().map(route).collect();
        RouteTables { routes, next_hops: self.next_hops() }
    }

    /// The next hops of these tables.
    pub(super) fn next_hops(&self) -> Vec<abi::NextHop> {
        self.kernel.routes.targets().iter().map(|target| self.kernel.row(target)).collect()
    }
}

fn preference(backend: IpAddr, path: &Path) -> u64 {
    let halves = |ip: IpAddr| {
        let number = u128::from_be_bytes(mapped(ip));
        [(number >> 64) as u64, number as u64]
    };
    let ([a, b], [c, d]) = (halves(backend), halves(path.gateway.unwrap_or(backend)));
    siphash13([0, 0], [a, b, c, d, path.ifindex.into()])
}

/// Says once what has changed.
#[derive(Debug, Default)]
pub(super) struct Log(BTreeMap<IpAddr, Option<String>>);

impl Log {
    /// Tells of the ways to these backends.
    pub(super) fn tell(&mut self, answers: &[(IpAddr, Answer)]) {
        for (backend, answer) in answers {
            let before = self.0.get(backend).cloned();
            let why = match answer {
                Answer::Known(_) => None,
                Answer::None(why) => Some(why.clone()),
                // No answer yet changes nothing.
                Answer::Asked => continue,
            };
            match (before.flatten(), &why) {
                (before, Some(why)) if before.as_ref() != Some(why) => {
                    tracing::warn!("backend {backend} cannot be reached: {why}");
                }
                (Some(_), None) => tracing::info!("backend {backend} can be reached again"),
                _ => {}
            }
            self.0.insert(*backend, why);
        }
    }

    /// Forgets all but these backends.
    pub(super) fn keep(&mut self, backends: &[IpAddr]) {
        self.0.retain(|backend, _| backends.binary_search(backend).is_ok());
    }
}

#[cfg(test)]
mod tests;
