//! What the kernel's messages say of routes, rules and neighbours.

use std::net::IpAddr;

use netlink_packet_route::{
    AddressFamily,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage},
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHopFlags,
        RouteType, RouteVia,
    },
    rule::{RuleAction, RuleAttribute, RuleMessage},
};

use super::{
    kernel::{Host, Neighbor},
    routes::{Path, Route, Table, Target},
};

/// A route in one of the three tables that packets are looked up in; `None`
/// for any other, and for one that the kernel does not use now.
pub(super) fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    if header.flags.intersects(RouteFlags::Cloned | RouteFlags::Dead) {
        return None;
    }
    let mut table = u32::from(header.table);
    let mut to = match header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let mut metric = 0;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(address) => to = address_of_route(address)?,
            RouteAttribute::Priority(priority) => metric = *priority,
            _ => {}
        }
    }
    let table = match table {
        255 => Table::Local,
        254 => Table::Main,
        253 => Table::Default,
        _ => return None,
    };
    Some(Route {
        table,
        to,
        len: header.destination_prefix_length,
        metric,
        target: target(message)?,
    })
}

/// `None` when every way is out of use.
fn target(message: &RouteMessage) -> Option<Target> {
    // Of some sources, or kinds of service, only.
    if message.header.source_prefix_length != 0 || message.header.tos != 0 {
        return Some(Target::Kernel);
    }
    match message.header.kind {
        RouteType::Unicast => paths(message),
        RouteType::Local | RouteType::Broadcast | RouteType::Anycast | RouteType::Multicast => {
            Some(Target::Local)
        }
        RouteType::BlackHole => Some(Target::Nowhere("the route is a blackhole")),
        RouteType::Unreachable => Some(Target::Nowhere("the route says unreachable")),
        RouteType::Prohibit => Some(Target::Nowhere("the route says prohibited")),
        RouteType::Throw => Some(Target::NextTable),
        _ => Some(Target::Kernel),
    }
}

fn paths(message: &RouteMessage) -> Option<Target> {
    let mut mtu = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Encap(_) | RouteAttribute::EncapType(_) => return Some(Target::Kernel),
            RouteAttribute::Metrics(metrics) => mtu = mtu_of(metrics),
            RouteAttribute::MultiPath(hops) => {
                let mut paths = Vec::new();
                for hop in hops.iter().filter(|hop| !hop.flags.contains(RouteNextHopFlags::Dead)) {
                    let encapsulates = |a: &RouteAttribute| {
                        matches!(a, RouteAttribute::Encap(_) | RouteAttribute::EncapType(_))
                    };
                    if hop.attributes.iter().any(encapsulates) {
                        return Some(Target::Kernel);
                    }
                    let gateway = gateway(&hop.attributes);
                    paths.push(Path { ifindex: hop.interface_index, gateway, mtu });
                }
                return (!paths.is_empty()).then_some(Target::Paths(paths));
            }
            _ => {}
        }
    }
    let ifindex = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    // A next hop object, of which the kernel may tell nothing here.
    let Some(ifindex) = ifindex else { return Some(Target::Kernel) };
    Some(Target::Paths(vec![Path { ifindex, gateway: gateway(&message.attributes), mtu }]))
}

fn mtu_of(metrics: &[RouteMetric]) -> Option<u32> {
    metrics.iter().find_map(|metric| match *metric {
        RouteMetric::Mtu(mtu) => Some(mtu),
        _ => None,
    })
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => address_of_route(address),
        RouteAttribute::Via(RouteVia::Inet(v4)) => Some(IpAddr::V4(*v4)),
        RouteAttribute::Via(RouteVia::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })
}

fn address_of_route(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

/// The one way that the kernel names when it is asked for an address, or why
/// there is none. `None`: it is the host's own.
pub(super) fn answered(message: &RouteMessage) -> Result<Option<Path>, String> {
    match &target(message) {
        Some(Target::Paths(paths)) if let Some(path) = paths.first() => Ok(Some(*path)),
        Some(Target::Local) => Ok(None),
        Some(Target::Nowhere(why)) => Err((*why).to_owned()),
        _ => Err("the kernel's route names no interface".to_owned()),
    }
}

/// Whether a rule is one of the three that every host has, which ask the three
/// tables one after another.
pub(super) fn is_plain(rule: &RuleMessage) -> bool {
    let header = &rule.header;
    let mut table = u32::from(header.table);
    let mut priority = 0;
    for attribute in &rule.attributes {
        match attribute {
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Priority(number) => priority = *number,
            // Who made it, and that it does nothing more.
            RuleAttribute::Protocol(_) | RuleAttribute::SuppressPrefixLen(u32::MAX) => {}
            _ => return false,
        }
    }
    header.action == RuleAction::ToTable
        && (header.dst_len, header.src_len, header.tos) == (0, 0, 0)
        && header.flags.is_empty()
        && matches!((priority, table), (0, 255) | (32766, 254) | (32767, 253))
}

/// Who a neighbour entry is about, and what it says; `None` for what is no
/// host on a link.
pub(super) fn neighbor(message: &NeighbourMessage) -> Option<(Host, Neighbor)> {
    let header = &message.header;
    let is_ip = matches!(header.family, AddressFamily::Inet | AddressFamily::Inet6);
    if !is_ip || header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let (mut ip, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                ip = Some(IpAddr::V4(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                ip = Some(IpAddr::V6(*v6));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            _ => {}
        }
    }
    let ip = ip.filter(|ip| !ip.is_multicast())?;
    Some(((header.ifindex, ip), Neighbor { state: header.state, mac }))
}

#[cfg(test)]
mod tests;
