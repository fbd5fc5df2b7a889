//! The kernel's links, neighbours and routes, as far as it has told of them.

use std::{collections::HashMap, net::IpAddr};

use lb_common::abi::{self, next_hop};
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage, link::LinkMessage, neighbour::NeighbourState,
};

use super::{
    Answer, NextHop, messages,
    routes::{Path, Routes, Target},
};
use crate::xdp::interfaces::Interface;

/// A host on the link of an interface.
pub(super) type Host = (u32, IpAddr);

/// What the kernel knows of a host on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbor {
    pub state: NeighbourState,
    pub mac: Option<[u8; 6]>,
}

impl Neighbor {
    /// Its Ethernet address, while that may be right.
    pub(super) fn valid_mac(&self) -> Option<[u8; 6]> {
        self.mac.filter(|_| self.is_sure() || self.state == NeighbourState::Stale)
    }

    /// Whether the kernel needs no reminder to verify it.
    pub(super) fn is_sure(&self) -> bool {
        use NeighbourState::{Delay, Noarp, Permanent, Probe, Reachable};
        matches!(self.state, Reachable | Delay | Probe | Permanent | Noarp)
    }
}

/// What a message has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    Neighbor(Host),
    /// Routes may have gone with it, of which the kernel says nothing.
    Link,
    Routes,
    /// Messages were lost.
    Everything,
}

#[derive(Debug)]
pub(super) struct Kernel {
    pub links: HashMap<u32, Interface>,
    pub neighbors: HashMap<Host, Neighbor>,
    pub routes: Routes,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { links: HashMap::new(), neighbors: HashMap::new(), routes: Routes::unknown() }
    }
}

impl Kernel {
    /// Takes in what the kernel tells.
    pub(super) fn note(&mut self, payload: &NetlinkPayload<RouteNetlinkMessage>) -> Change {
        use RouteNetlinkMessage::{
            DelLink, DelNeighbour, DelRoute, DelRule, NewLink, NewNeighbour, NewRoute, NewRule,
        };
        let NetlinkPayload::InnerMessage(message) = payload else { return Change::Everything };
        match message {
            NewNeighbour(entry) => {
                let Some((host, neighbor)) = messages::neighbor(entry) else {
                    return Change::Nothing;
                };
                let before = self.neighbors.insert(host, neighbor);
                if before == Some(neighbor) { Change::Nothing } else { Change::Neighbor(host) }
            }
            DelNeighbour(entry) => match messages::neighbor(entry) {
                Some((host, _)) if self.neighbors.remove(&host).is_some() => Change::Neighbor(host),
                _ => Change::Nothing,
            },
            NewLink(link) if is_whole(link) => {
                let interface = Interface::of(link);
                let before = self.links.insert(interface.index, interface.clone());
                if before == Some(interface) { Change::Nothing } else { Change::Link }
            }
            DelLink(link) if is_whole(link) => {
                self.links.remove(&link.header.index);
                Change::Link
            }
            NewRoute(_) | DelRoute(_) | NewRule(_) | DelRule(_) => Change::Routes,
            _ => Change::Nothing,
        }
    }

    /// Where packets go that take `path` to `to`.
    pub(super) fn follow(&self, path: &Path, to: IpAddr) -> Answer {
        let gateway = path.gateway.unwrap_or(to);
        let link = match self.link(path) {
            Ok(link) => link,
            Err(why) => return Answer::None(why),
        };
        let Some(neighbor) = self.neighbors.get(&(path.ifindex, gateway)) else {
            return Answer::Asked;
        };
        if neighbor.state == NeighbourState::Failed {
            return Answer::None(format!("{gateway} does not answer"));
        }
        let Some(dst_mac) = neighbor.valid_mac() else { return Answer::Asked };
        let Egress { src_mac, mtu } = link;
        Answer::Known(NextHop { dst_mac, src_mac, ifindex: path.ifindex, mtu })
    }

    /// How packets leave that take a path, or why they cannot.
    fn link(&self, path: &Path) -> Result<Egress, String> {
        let link = self.links.get(&path.ifindex);
        let link = link.ok_or_else(|| format!("there is no interface {}", path.ifindex))?;
        if !link.running {
            return Err(format!("interface {} is down", link.name));
        }
        let src_mac =
            link.mac.ok_or_else(|| format!("interface {} has no Ethernet address", link.name))?;
        let mtu = path.mtu.unwrap_or(link.mtu).min(link.mtu);
        Ok(Egress { src_mac, mtu: u16::try_from(mtu).unwrap_or(u16::MAX) })
    }

    /// What packets to clients read of a target.
    pub(super) fn row(&self, target: &Target) -> abi::NextHop {
        let of_kind = |kind| abi::NextHop { kind, ..Default::default() };
        let path = match target {
            Target::Local => return of_kind(next_hop::LOCAL),
            Target::Nowhere(_) => return of_kind(next_hop::NONE),
            Target::Paths(paths) if let [path] = paths[..] => path,
            Target::Paths(_) | Target::NextTable | Target::Kernel => {
                return of_kind(next_hop::KERNEL);
            }
        };
        let row = |kind, ifindex, mtu, dst_mac, src_mac| abi::NextHop {
            ifindex,
            mtu,
            dst_mac,
            src_mac,
            ..of_kind(kind)
        };
        match path.gateway.map(|gateway| self.follow(&path, gateway)) {
            Some(Answer::Known(hop)) => {
                row(next_hop::GATEWAY, hop.ifindex, hop.mtu, hop.dst_mac, hop.src_mac)
            }
            Some(_) => of_kind(next_hop::KERNEL),
            None => match self.link(&path) {
                Ok(link) => row(next_hop::ON_LINK, path.ifindex, link.mtu, [0; 6], link.src_mac),
                Err(_) => of_kind(next_hop::KERNEL),
            },
        }
    }
}

struct Egress {
    src_mac: [u8; 6],
    mtu: u16,
}

/// Whether a message is about a link itself, and not its part in a bridge.
fn is_whole(link: &LinkMessage) -> bool {
    link.header.interface_family == AddressFamily::Unspec
}

#[cfg(test)]
mod tests;
