//! The kernel's routes as one sorted list of address ranges, each with where
//! its packets go: what the kernel finds by rules, tables, longest prefixes and
//! metrics is then found by halving.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use lb_common::{
    abi::{MAX_NEXT_HOPS, MAX_ROUTES},
    ranges::{self, Border},
};

use crate::edge::plane::mapped;

/// Routing tables, in the order in which the kernel's three rules ask them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Local,
    Main,
    Default,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub table: Table,
    pub to: IpAddr,
    /// Bits of `to` that count.
    pub len: u8,
    /// The least one wins.
    pub metric: u32,
    pub target: Target,
}

/// Where the packets of a route go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// Out of the host, by one of these.
    Paths(Vec<Path>),
    /// To the host itself: its own addresses, broadcast, multicast.
    Local,
    /// Nowhere; such as `blackhole`.
    Nowhere(&'static str),
    /// To whatever the next table says.
    NextTable,
    /// Whither only the kernel can tell.
    Kernel,
}

/// A way out of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Path {
    pub ifindex: u32,
    /// `None`: everybody on the link is reached directly.
    pub gateway: Option<IpAddr>,
    /// Longest IP packet, where the route says so.
    pub mtu: Option<u32>,
}

/// More than fits the tables that packets read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the kernel's routes make {ranges} address ranges with {targets} next hops, and {MAX_ROUTES} \
     with {MAX_NEXT_HOPS} fit"
)]
pub(super) struct TooMany {
    ranges: usize,
    targets: usize,
}

/// Every address, and where its packets go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Routes {
    /// First address (IPv4-mapped), and index of the target.
    ranges: Vec<(u128, u32)>,
    targets: Vec<Target>,
}

/// IPv4 addresses in their mapped form.
const V4: (u128, u128) = (0xffff << 32, 0xffff_ffff_ffff);

/// Which of the routes that hold an address the kernel takes: the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    table: Table,
    len: Reverse<u8>,
    metric: u32,
    index: usize,
}

#[derive(Clone, Copy)]
enum Item {
    V4,
    Route(usize),
}

impl Routes {
    /// Everything is asked of the kernel.
    pub(super) fn unknown() -> Self {
        Self { ranges: vec![(0, 0)], targets: vec![Target::Kernel] }
    }

    /// Flattens `routes`. Families (IPv4, IPv6) of which `ruled` holds have
    /// rules of their own, which only the kernel follows.
    ///
    /// # Errors
    /// When they do not fit into the tables that packets read.
    pub(super) fn flatten(routes: &[Route], ruled: [bool; 2]) -> Result<Self, TooMany> {
        let family = |v4: bool| usize::from(!v4);
        let items =
            routes.iter().enumerate().filter(|(_, route)| !ruled[family(route.to.is_ipv4())]);
        let items = items.map(|(index, route)| {
            let (first, last) = range(route);
            (first, last, Item::Route(index))
        });
        let mut targets = Targets::default();
        let mut holding = [BTreeSet::new(), BTreeSet::new()];
        let mut v4 = false;
        let ranges = ranges::flatten(items.chain([(V4.0, V4.1, Item::V4)]), |borders| {
            for border in borders {
                let (item, begins) = match *border {
                    Border::Begins(item) => (item, true),
                    Border::Ends(item) => (item, false),
                };
                let Item::Route(index) = item else {
                    v4 = begins;
                    continue;
                };
                let route = &routes[index];
                let Route { table, len, metric, .. } = *route;
                let rank = Rank { table, len: Reverse(len), metric, index };
                let held = &mut holding[family(route.to.is_ipv4())];
                if begins {
                    held.insert(rank)
                } else {
                    held.remove(&rank)
                };
            }
            let kernel = ruled[family(v4)];
            let of_family = &holding[family(v4)];
            targets.index(if kernel { &Target::Kernel } else { winner(of_family, routes) })
        });
        let targets = targets.list;
        if ranges.len() > MAX_ROUTES as usize || targets.len() > MAX_NEXT_HOPS as usize {
            return Err(TooMany { ranges: ranges.len(), targets: targets.len() });
        }
        Ok(Self { ranges, targets })
    }

    /// Where packets to an address go.
    pub(super) fn target(&self, ip: IpAddr) -> &Target {
        let after = self.ranges.partition_point(|&(start, _)| start <= number(ip));
        &self.targets[self.ranges[after - 1].1 as usize]
    }

    /// First addresses, and index of the target; sorted.
    pub(super) fn ranges(&self) -> &[(u128, u32)] {
        &self.ranges
    }

    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }
}

/// Every target once.
#[derive(Default)]
struct Targets {
    list: Vec<Target>,
    places: HashMap<Target, u32>,
}

impl Targets {
    fn index(&mut self, target: &Target) -> u32 {
        if let Some(&place) = self.places.get(target) {
            return place;
        }
        let place = self.list.len() as u32;
        self.list.push(target.clone());
        self.places.insert(target.clone(), place);
        place
    }
}

/// What the kernel takes of the routes that hold an address.
fn winner<'a>(holding: &BTreeSet<Rank>, routes: &'a [Route]) -> &'a Target {
    let mut thrown = None;
    let mut ranks = holding.iter().peekable();
    while let Some(rank) = ranks.next() {
        if thrown == Some(rank.table) {
            continue;
        }
        let target = &routes[rank.index].target;
        if *target == Target::NextTable {
            thrown = Some(rank.table);
            continue;
        }
        // Among equals it chooses by what is not seen here.
        let equal = |other: &&&Rank| Rank { index: 0, ..***other } == Rank { index: 0, ..*rank };
        return match ranks.peek().filter(equal) {
            Some(other) if routes[other.index].target != *target => &Target::Kernel,
            _ => target,
        };
    }
    &Target::Nowhere("there is no route")
}

fn number(ip: IpAddr) -> u128 {
    u128::from_be_bytes(mapped(ip))
}

/// First and last address of a route.
fn range(route: &Route) -> (u128, u128) {
    let len = u32::from(route.len) + if route.to.is_ipv4() { 96 } else { 0 };
    let rest = u128::MAX.checked_shr(len).unwrap_or(0);
    let first = number(route.to) & !rest;
    (first, first | rest)
}

#[cfg(test)]
mod tests;
