//! From the kernel's tables to a next hop.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::NextHop;

/// The kernel's tables, as far as they matter here.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// For each backend address that has a route.
    pub routes: BTreeMap<IpAddr, Route>,
    /// Interfaces that are up, by index.
    pub links: HashMap<u32, [u8; 6]>,
    /// By interface and address.
    pub neighbours: HashMap<(u32, IpAddr), Neighbour>,
}

/// A route's interface and gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub ifindex: u32,
    /// `None`: the address itself is on the link.
    pub gateway: Option<IpAddr>,
}

/// What the kernel thinks of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// Answered lately, is being asked, or is known for ever.
    Known([u8; 6]),
    /// Answered once, and has not been asked for long.
    Stale([u8; 6]),
    /// Being asked for the first time.
    Asked,
    /// Did not answer.
    Silent,
}

/// A next hop, and what is to be done about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub hop: Option<NextHop>,
    /// Interface and address whose Ethernet address is wanted.
    pub neighbour: Option<(u32, IpAddr)>,
    /// The kernel should verify it.
    pub doubtful: bool,
}

impl Tables {
    /// The next hop to `address`. While a neighbour is being asked, the hop
    /// that was used `before` stays; one that did not answer is given up.
    pub(super) fn resolve(&self, address: IpAddr, before: Option<&NextHop>) -> Found {
        let nowhere = Found { hop: None, neighbour: None, doubtful: false };
        let Some(route) = self.routes.get(&address) else { return nowhere };
        let ifindex = route.ifindex;
        let Some(&src_mac) = self.links.get(&ifindex) else { return nowhere };
        let neighbour = (ifindex, route.gateway.unwrap_or(address));
        let to = |dst_mac| Some(NextHop { dst_mac, src_mac, ifindex });
        let (hop, doubtful) = match self.neighbours.get(&neighbour) {
            Some(&Neighbour::Known(mac)) => (to(mac), false),
            Some(&Neighbour::Stale(mac)) => (to(mac), true),
            Some(Neighbour::Asked) => (self.same(before, ifindex, src_mac), false),
            Some(Neighbour::Silent) => (None, true),
            None => (self.same(before, ifindex, src_mac), true),
        };
        Found { hop, neighbour: Some(neighbour), doubtful }
    }

    fn same(&self, before: Option<&NextHop>, ifindex: u32, src_mac: [u8; 6]) -> Option<NextHop> {
        before.copied().filter(|hop| hop.ifindex == ifindex && hop.src_mac == src_mac)
    }
}

#[cfg(test)]
mod tests;
