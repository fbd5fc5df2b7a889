//! Addresses, routes, and who answers for a VIP.

use std::{net::IpAddr, pin::pin, time::Duration};

use netlink_packet_route::{
    address::{AddressAttribute, AddressMessage},
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
};
use rtnetlink::{Error, Handle, RouteMessageBuilder};
use tokio::time::sleep;
use tokio_stream::StreamExt as _;

use crate::doctor::facts::{Address, Back, Claim, Known};

/// How long somebody has to answer for a VIP.
const ANSWER: Duration = Duration::from_secs(1);

/// Every address of this host.
pub(super) async fn addresses(handle: &Handle) -> Known<Vec<Address>> {
    let mut found = Vec::new();
    let mut messages = pin!(handle.address().get().execute());
    while let Some(message) = messages.next().await {
        found.extend(address(&message.map_err(|error| format!("addresses: {error}"))?));
    }
    Ok(found)
}

fn address(message: &AddressMessage) -> Option<Address> {
    // `Local` is ours; `Address` is the peer's on links that have one.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let other = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(ip) => Some(*ip),
        _ => None,
    });
    let ip = local.or(other)?;
    Some(Address { link: message.header.index, ip, prefix_len: message.header.prefix_len })
}

/// Whether the kernel takes packets to `ip` for its own.
pub(super) async fn is_local(handle: &Handle, ip: IpAddr) -> Known<bool> {
    let route = route(handle, ip, None).await?;
    Ok(route.is_some_and(|route| route.header.kind == RouteType::Local))
}

/// The way from `from`, an address of ours, to a host that is anywhere: one of
/// the addresses for documentation (RFC 5737, RFC 3849), which no route but the
/// default one is for.
pub(super) async fn back(handle: &Handle, from: IpAddr) -> Known<Option<Back>> {
    let anywhere: IpAddr = match from {
        IpAddr::V4(_) => [192, 0, 2, 1].into(),
        IpAddr::V6(_) => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
    };
    Ok(route(handle, anywhere, Some(from)).await?.and_then(|route| way_of(&route)))
}

fn way_of(route: &RouteMessage) -> Option<Back> {
    if route.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut ifindex, mut gateway) = (None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(v4))
            | RouteAttribute::Via(RouteVia::Inet(v4)) => gateway = Some(IpAddr::V4(*v4)),
            RouteAttribute::Gateway(RouteAddress::Inet6(v6))
            | RouteAttribute::Via(RouteVia::Inet6(v6)) => gateway = Some(IpAddr::V6(*v6)),
            _ => {}
        }
    }
    Some(Back { ifindex: ifindex?, gateway })
}

/// The route to an address; `None` when there is none.
async fn route(handle: &Handle, to: IpAddr, from: Option<IpAddr>) -> Known<Option<RouteMessage>> {
    let asked = match to {
        IpAddr::V4(v4) => {
            let asked = RouteMessageBuilder::<std::net::Ipv4Addr>::new().destination_prefix(v4, 32);
            match from {
                Some(IpAddr::V4(from)) => asked.source_prefix(from, 32).build(),
                _ => asked.build(),
            }
        }
        IpAddr::V6(v6) => {
            let asked =
                RouteMessageBuilder::<std::net::Ipv6Addr>::new().destination_prefix(v6, 128);
            match from {
                Some(IpAddr::V6(from)) => asked.source_prefix(from, 128).build(),
                _ => asked.build(),
            }
        }
    };
    let mut routes = pin!(handle.route().get(asked).execute());
    match routes.next().await {
        Some(Ok(route)) => Ok(Some(route)),
        Some(Err(Error::NetlinkError(_))) | None => Ok(None),
        Some(Err(error)) => Err(format!("routes: {error}")),
    }
}

/// Asks on each interface who has each VIP, as a host that looks for it would.
/// Nobody but this host should answer. What is left of the questions in the
/// kernel's table of neighbours is removed.
pub(super) async fn claims(handle: &Handle, questions: &[(IpAddr, u32)]) -> Known<Vec<Claim>> {
    // Only of IPv4: the kernel does not listen to others that advertise an IPv6
    // address of its own.
    let questions: Vec<_> = questions.iter().copied().filter(|(vip, _)| vip.is_ipv4()).collect();
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    // An answer from the past is none.
    forget(handle, &questions).await;
    for &(vip, ifindex) in &questions {
        let ask = handle.neighbours().add(ifindex, vip).state(NeighbourState::None);
        match ask.flags(NeighbourFlags::Use).replace().execute().await {
            Ok(()) => {}
            // Such as an interface that is down, about which others speak.
            Err(Error::NetlinkError(error)) if error.raw_code() != -libc::EPERM => {}
            Err(error) => return Err(format!("who answers for {vip}: {error}")),
        }
    }
    sleep(ANSWER).await;
    let mut found = Vec::new();
    {
        let mut entries = pin!(handle.neighbours().get().execute());
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(|error| format!("neighbours: {error}"))?;
            found.extend(claim(&entry).filter(|c| questions.contains(&(c.vip, c.ifindex))));
        }
    }
    forget(handle, &questions).await;
    Ok(found)
}

fn claim(entry: &NeighbourMessage) -> Option<Claim> {
    let (mut vip, mut mac) = (None, None);
    for attribute in &entry.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                vip = Some(IpAddr::V4(*v4));
            }
            NeighbourAttribute::LinkLayerAddress(found) => mac = found.as_slice().try_into().ok(),
            _ => {}
        }
    }
    Some(Claim { vip: vip?, ifindex: entry.header.ifindex, mac: mac? })
}

/// Entries that are not there are no failure, and others go by themselves.
async fn forget(handle: &Handle, questions: &[(IpAddr, u32)]) {
    for &(vip, ifindex) in questions {
        let mut entry = NeighbourMessage::default();
        entry.header.family = netlink_packet_route::AddressFamily::Inet;
        entry.header.ifindex = ifindex;
        let IpAddr::V4(v4) = vip else { continue };
        entry.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)));
        let _ = handle.neighbours().del(entry).execute().await;
    }
}
