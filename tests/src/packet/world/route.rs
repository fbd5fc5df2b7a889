//! The way back to clients, as the edge's own tables have it.

use std::net::IpAddr;

use lb_common::{
    abi::{Neighbor, NeighborKey, NextHop, Route, next_hop},
    ranges::{self, Border},
};

use super::{INGRESS, World, octets};
use crate::packet::{GATEWAY_MAC, UPLINK_MAC};

/// Where packets to some addresses go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Of [`next_hop`].
    pub(in crate::packet) kind: u8,
    pub(in crate::packet) interface: u32,
    pub(in crate::packet) mtu: u16,
    pub(in crate::packet) mac: [u8; 6],
    /// Of the interface.
    pub(in crate::packet) own_mac: [u8; 6],
}

impl Hop {
    fn new(kind: u8) -> Self {
        let (interface, own_mac) = (INGRESS, UPLINK_MAC);
        Self { kind, interface, mtu: 0, mac: [0; 6], own_mac }
    }

    /// To a gateway, on the interface that frames come in by.
    pub fn gateway() -> Self {
        Self { mac: GATEWAY_MAC, ..Self::new(next_hop::GATEWAY) }
    }

    /// Straight to the host, on the interface that frames come in by.
    pub fn on_link() -> Self {
        Self::new(next_hop::ON_LINK)
    }

    /// Whither the kernel says.
    pub fn kernel() -> Self {
        Self::new(next_hop::KERNEL)
    }

    /// To the edge itself.
    pub fn local() -> Self {
        Self::new(next_hop::LOCAL)
    }

    /// Nowhere.
    pub fn none() -> Self {
        Self::new(next_hop::NONE)
    }

    /// Out by this interface.
    pub fn behind(self, interface: u32) -> Self {
        Self { interface, ..self }
    }

    /// IP packets of this many bytes at most.
    pub fn mtu(self, mtu: u16) -> Self {
        Self { mtu, ..self }
    }

    fn row(&self) -> NextHop {
        NextHop {
            ifindex: self.interface,
            mtu: self.mtu,
            kind: self.kind,
            dst_mac: self.mac,
            src_mac: self.own_mac,
            ..Default::default()
        }
    }
}

/// A prefix, by its first and last address.
#[derive(Clone, Copy, Debug)]
pub(in crate::packet) struct Prefix {
    first: u128,
    last: u128,
    /// Of the IPv4-mapped form.
    len: u8,
}

impl Prefix {
    /// Such as `198.51.100.0/24`.
    pub(in crate::packet) fn of(text: &str) -> Self {
        let read = || {
            let (ip, len) = text.split_once('/')?;
            Some((ip.parse::<IpAddr>().ok()?, len.parse::<u8>().ok()?))
        };
        let (ip, len) = read().unwrap_or_else(|| panic!("`{text}` is no prefix"));
        let len = if ip.is_ipv4() { 96 + len } else { len };
        let rest = u128::MAX.checked_shr(len.into()).unwrap_or(0);
        let first = number(ip);
        assert_eq!(first & rest, 0, "`{text}` has more bits than its length");
        Self { first, last: first | rest, len }
    }

    pub(in crate::packet) fn holds(&self, ip: IpAddr) -> bool {
        (self.first..=self.last).contains(&number(ip))
    }
}

fn number(ip: IpAddr) -> u128 {
    u128::from_be_bytes(octets(ip))
}

impl World {
    /// Adds a way to the addresses of a prefix, such as `198.51.100.0/24`; the
    /// longest prefix counts. With any, addresses of none have no way; without,
    /// the kernel is asked for all.
    pub fn route(mut self, prefix: &str, hop: Hop) -> Self {
        self.routes.push((Prefix::of(prefix), hop));
        self
    }

    /// The Ethernet address of a host on the link of an interface is known.
    pub fn neighbor(mut self, ip: &str, interface: u32, mac: [u8; 6]) -> Self {
        let ip = ip.parse().unwrap_or_else(|_| panic!("`{ip}` is no address"));
        self.neighbors.push((ip, interface, mac));
        self
    }

    /// The way to an address; `None`: the kernel is asked.
    pub(in crate::packet) fn hop_to(&self, ip: IpAddr) -> Option<Hop> {
        let none = || (!self.routes.is_empty()).then(Hop::none);
        let of_ip = self.routes.iter().filter(|(prefix, _)| prefix.holds(ip));
        of_ip.max_by_key(|(prefix, _)| prefix.len).map(|&(_, hop)| hop).or_else(none)
    }

    pub(in crate::packet) fn mac_of(&self, ip: IpAddr, interface: u32) -> Option<[u8; 6]> {
        let found =
            self.neighbors.iter().find(|(known, link, _)| (*known, *link) == (ip, interface));
        found.map(|&(_, _, mac)| mac)
    }

    pub(in crate::packet) fn neighbors(&self) -> Vec<(NeighborKey, Neighbor)> {
        let row = |&(ip, ifindex, mac): &(IpAddr, u32, [u8; 6])| {
            let key = NeighborKey { addr: octets(ip), ifindex };
            (key, Neighbor { mac, ..Default::default() })
        };
        self.neighbors.iter().map(row).collect()
    }

    /// The tables of routes and next hops. The last hop is that of addresses
    /// that no prefix holds.
    pub(in crate::packet) fn routes(&self) -> (Vec<Route>, Vec<NextHop>) {
        if self.routes.is_empty() {
            return Default::default();
        }
        let mut hops: Vec<NextHop> = self.routes.iter().map(|(_, hop)| hop.row()).collect();
        hops.push(Hop::none().row());
        let rest = hops.len() - 1;
        let prefixes = self.routes.iter().enumerate();
        let ranges =
            prefixes.map(|(index, (prefix, _))| (prefix.first, prefix.last, (prefix.len, index)));
        let mut holding = Vec::new();
        let flat = ranges::flatten(ranges, |borders| {
            for border in borders {
                match *border {
                    Border::Begins(route) => holding.push(route),
                    Border::Ends(route) => holding.retain(|held| *held != route),
                }
            }
            holding.iter().max().map_or(rest, |&(_, index)| index)
        });
        let route = |(start, index): (u128, usize)| Route {
            start_hi: (start >> 64) as u64,
            start_lo: start as u64,
            next_hop: index as u32,
            reserved: 0,
        };
        (flat.into_iter().map(route).collect(), hops)
    }
}
