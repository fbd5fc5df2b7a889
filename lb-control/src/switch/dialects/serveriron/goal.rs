//! A plan in the words of a ServerIron, which has one weight for a real server and one
//! switch for each of its ports, whatever is bound to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
};

use super::config::Bind;
use crate::{
    model::{Name, Phase},
    switch::Plan,
};

/// What should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Goal {
    /// Weights, where one is asked for.
    pub reals: BTreeMap<Ipv4Addr, Option<u32>>,
    pub ports: BTreeMap<SocketAddrV4, Want>,
    pub services: BTreeMap<SocketAddrV4, Name>,
    pub binds: BTreeSet<Bind>,
    /// What it has no words for, for people.
    pub conflicts: Vec<String>,
}

/// What a port of a real server should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Take its share of what is new: at weight 0 nothing, which is no shutdown.
    Serve,
    /// Take nothing new.
    Hold,
    /// Take nothing new, and lose what it has.
    Break,
}

impl Goal {
    pub fn of(plan: &Plan) -> Self {
        let mut goal = Self::default();
        // Who asked first: for the words about who disagrees.
        let mut weighed: BTreeMap<Ipv4Addr, (&Name, u32)> = BTreeMap::new();
        let mut wants: BTreeMap<SocketAddrV4, Vec<(&Name, Want)>> = BTreeMap::new();
        for (name, service) in &plan.services {
            let IpAddr::V4(vip) = service.address else {
                goal.conflicts.push(format!("service `{name}`: the switch has no IPv6"));
                continue;
            };
            let vip = SocketAddrV4::new(vip, service.port);
            goal.services.insert(vip, name.clone());
            for (&address, server) in &service.servers {
                let SocketAddr::V4(address) = address else {
                    goal.conflicts.push(format!("server {address}: the switch has no IPv6"));
                    continue;
                };
                let want = match server.phase {
                    Phase::Serve => Want::Serve,
                    Phase::Drain => Want::Hold,
                    Phase::Break => Want::Break,
                };
                wants.entry(address).or_default().push((name, want));
                goal.binds.insert(Bind { service: vip, server: address });
                goal.reals.entry(*address.ip()).or_default();
                if want == Want::Serve {
                    let (first, weight) =
                        *weighed.entry(*address.ip()).or_insert((name, server.weight));
                    if weight != server.weight {
                        goal.conflicts.push(format!(
                            "the switch has one weight for real server {}: `{first}` asks for \
                             {weight}, which it has, and `{name}` for {}",
                            address.ip(),
                            server.weight
                        ));
                    }
                }
            }
        }
        for (address, (_, weight)) in weighed {
            goal.reals.insert(address, Some(weight));
        }
        for (address, wants) in wants {
            let want = goal.agree(address, &wants);
            goal.ports.insert(address, want);
        }
        goal.spare_neighbours();
        goal
    }

    /// The ports of a real server.
    pub fn ports_of(&self, address: Ipv4Addr) -> impl Iterator<Item = (SocketAddrV4, Want)> {
        let all = SocketAddrV4::new(address, 0)..=SocketAddrV4::new(address, u16::MAX);
        self.ports.range(all).map(|(server, want)| (*server, *want))
    }

    /// What a port does that is in several services.
    fn agree(&mut self, address: SocketAddrV4, wants: &[(&Name, Want)]) -> Want {
        let any = |want| wants.iter().find(|(_, other)| *other == want).map(|(name, _)| *name);
        let all = |want| wants.iter().all(|(_, other)| *other == want);
        match (any(Want::Serve), any(Want::Hold)) {
            (Some(_), _) if all(Want::Serve) => Want::Serve,
            (Some(serves), _) => {
                self.conflicts.push(format!(
                    "the switch takes {address} out of all services or of none: it serves \
                     in `{serves}`, so that it serves in all"
                ));
                Want::Serve
            }
            (None, None) => Want::Break,
            (None, Some(_)) if all(Want::Hold) => Want::Hold,
            (None, Some(drains)) => {
                self.conflicts.push(format!(
                    "connections of {address} are not broken: it drains in `{drains}`, and the \
                     switch would break those too"
                ));
                Want::Hold
            }
        }
    }

    /// Sessions are cleared for a whole real server: not while another port has some.
    fn spare_neighbours(&mut self) {
        let whole = |address| self.ports_of(address).all(|(_, want)| want == Want::Break);
        let breaks = self.ports.iter().filter(|(_, want)| **want == Want::Break);
        let spared: Vec<_> = breaks.map(|(&s, _)| s).filter(|s| !whole(*s.ip())).collect();
        for server in spared {
            self.ports.insert(server, Want::Hold);
            self.conflicts.push(format!(
                "connections of {server} are not broken: the switch would break those of \
                 {}'s other ports too",
                server.ip()
            ));
        }
    }
}
