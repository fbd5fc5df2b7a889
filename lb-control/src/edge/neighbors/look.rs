//! One look at the kernel's tables.

use std::{collections::HashMap, net::IpAddr, pin::pin};

use netlink_packet_route::{
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia},
};
use rtnetlink::{Error, Handle, RouteMessageBuilder};
use tokio_stream::StreamExt as _;

use super::NextHop;
use crate::xdp::interfaces::Interface;

/// The way to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Answer {
    Known(NextHop),
    /// The kernel has been asked to find the Ethernet address.
    Asked,
    /// There is no way, and why.
    None(String),
}

/// What a look at the tables found.
#[derive(Debug, Default)]
pub(in crate::edge) struct Look {
    pub answers: Vec<(IpAddr, Answer)>,
    /// The gateways (or backends on the link) that the answers depend on.
    pub gateways: Vec<IpAddr>,
}

type Neighbors = HashMap<(u32, IpAddr), (NeighbourState, Option<[u8; 6]>)>;

/// Looks up the ways to `addresses`, and has the kernel find or verify the
/// Ethernet addresses that it is not sure of.
///
/// # Errors
/// Of netlink.
pub(in crate::edge) async fn look(handle: &Handle, addresses: &[IpAddr]) -> Result<Look, Error> {
    let mut found = Look::default();
    if addresses.is_empty() {
        return Ok(found);
    }
    let links = links(handle).await?;
    let neighbors = neighbors(handle).await?;
    for &address in addresses {
        let answer = match route(handle, address).await? {
            Err(why) => Answer::None(why),
            Ok(way) => {
                found.gateways.push(way.gateway);
                let neighbor = neighbors.get(&(way.ifindex, way.gateway));
                if !neighbor.is_some_and(|(state, _)| is_sure(*state)) {
                    ask(handle, way.ifindex, way.gateway).await?;
                }
                judge(&way, neighbor, links.get(&way.ifindex))
            }
        };
        found.answers.push((address, answer));
    }
    Ok(found)
}

/// Whether the kernel needs no reminder to verify the entry.
fn is_sure(state: NeighbourState) -> bool {
    use NeighbourState::{Delay, Noarp, Permanent, Probe, Reachable};
    matches!(state, Reachable | Delay | Probe | Permanent | Noarp)
}

fn judge(
    way: &Way,
    neighbor: Option<&(NeighbourState, Option<[u8; 6]>)>,
    link: Option<&Interface>,
) -> Answer {
    let &Way { gateway, ifindex, .. } = way;
    let Some((link, src_mac)) = link.and_then(|link| Some((link, link.mac?))) else {
        return Answer::None(format!("interface {ifindex} has no Ethernet address"));
    };
    match neighbor {
        Some((NeighbourState::Failed, _)) => Answer::None(format!("{gateway} does not answer")),
        Some((state, Some(dst_mac))) if is_sure(*state) || *state == NeighbourState::Stale => {
            let mtu = way.mtu.unwrap_or(link.mtu).min(link.mtu);
            let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
            Answer::Known(NextHop { dst_mac: *dst_mac, src_mac, ifindex, mtu })
        }
        _ => Answer::Asked,
    }
}

async fn links(handle: &Handle) -> Result<HashMap<u32, Interface>, Error> {
    let mut links = pin!(handle.link().get().execute());
    let mut found = HashMap::new();
    while let Some(link) = links.try_next().await? {
        let interface = Interface::of(&link);
        found.insert(interface.index, interface);
    }
    Ok(found)
}

async fn neighbors(handle: &Handle) -> Result<Neighbors, Error> {
    let mut entries = pin!(handle.neighbours().get().execute());
    let mut found = HashMap::new();
    while let Some(entry) = entries.try_next().await? {
        if let Some(address) = address_of(&entry) {
            let mac = entry.attributes.iter().find_map(|attribute| match attribute {
                NeighbourAttribute::LinkLayerAddress(mac) => mac.as_slice().try_into().ok(),
                _ => None,
            });
            found.insert((entry.header.ifindex, address), (entry.header.state, mac));
        }
    }
    Ok(found)
}

/// The IP address that a neighbour entry is about.
pub(super) fn address_of(entry: &NeighbourMessage) -> Option<IpAddr> {
    entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    /// The address itself on the link.
    gateway: IpAddr,
    ifindex: u32,
    /// Where the route says so.
    mtu: Option<u32>,
}

/// The route to an address, or why there is none.
async fn route(handle: &Handle, to: IpAddr) -> Result<Result<Way, String>, Error> {
    let bits = if to.is_ipv4() { 32 } else { 128 };
    let asked = match to {
        IpAddr::V4(v4) => {
            RouteMessageBuilder::<std::net::Ipv4Addr>::new().destination_prefix(v4, bits).build()
        }
        IpAddr::V6(v6) => {
            RouteMessageBuilder::<std::net::Ipv6Addr>::new().destination_prefix(v6, bits).build()
        }
    };
    let mut routes = pin!(handle.route().get(asked).execute());
    match routes.next().await {
        Some(Ok(route)) => Ok(way(&route, to)),
        // No route, or one that forbids: an answer, not a failure of the lookup.
        Some(Err(Error::NetlinkError(error))) => {
            Ok(Err(format!("no route to {to}: {}", error.to_io())))
        }
        Some(Err(error)) => Err(error),
        None => Ok(Err(format!("no route to {to}"))),
    }
}

fn way(route: &RouteMessage, to: IpAddr) -> Result<Way, String> {
    match route.header.kind {
        RouteType::Unicast => {}
        RouteType::Local => return Err(format!("{to} is an address of this host")),
        kind => return Err(format!("the route to {to} is {kind:?}")),
    }
    let mut gateway = to;
    let (mut ifindex, mut mtu) = (None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(v4))
            | RouteAttribute::Via(RouteVia::Inet(v4)) => gateway = IpAddr::V4(*v4),
            RouteAttribute::Gateway(RouteAddress::Inet6(v6))
            | RouteAttribute::Via(RouteVia::Inet6(v6)) => gateway = IpAddr::V6(*v6),
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Metrics(metrics) => {
                mtu = metrics.iter().find_map(|metric| match *metric {
                    RouteMetric::Mtu(mtu) => Some(mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let ifindex = ifindex.ok_or(format!("the route to {to} names no interface"))?;
    Ok(Way { gateway, ifindex, mtu })
}

/// Has the kernel resolve or verify an entry, as if it had a packet to send.
async fn ask(handle: &Handle, ifindex: u32, gateway: IpAddr) -> Result<(), Error> {
    let request = handle
        .neighbours()
        .add(ifindex, gateway)
        .state(NeighbourState::None)
        .flags(NeighbourFlags::Use)
        .replace();
    match request.execute().await {
        // Such as an interface that is down: the next look tells.
        Err(Error::NetlinkError(_)) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 9];

    fn link(mac: Option<[u8; 6]>) -> Interface {
        Interface { index: 3, mac, mtu: 1500, program: None }
    }

    fn to(mtu: Option<u32>) -> Way {
        Way { gateway: "192.0.2.1".parse().unwrap(), ifindex: 3, mtu }
    }

    fn answer(state: NeighbourState, mac: Option<[u8; 6]>) -> Answer {
        judge(&to(None), Some(&(state, mac)), Some(&link(Some(OWN))))
    }

    #[test]
    fn the_shortest_mtu_counts() {
        let entry = (NeighbourState::Reachable, Some(MAC));
        for (route, mtu) in [(None, 1500), (Some(1400), 1400), (Some(9000), 1500)] {
            let hop = NextHop { dst_mac: MAC, src_mac: OWN, ifindex: 3, mtu };
            let answer = judge(&to(route), Some(&entry), Some(&link(Some(OWN))));
            assert_eq!(answer, Answer::Known(hop));
        }
    }

    #[test]
    fn entries_are_used_while_they_may_be_right() {
        let hop = NextHop { dst_mac: MAC, src_mac: OWN, ifindex: 3, mtu: 1500 };
        use NeighbourState::{Delay, Failed, Incomplete, Permanent, Probe, Reachable, Stale};
        for state in [Reachable, Stale, Delay, Probe, Permanent] {
            assert_eq!(answer(state, Some(MAC)), Answer::Known(hop), "{state:?}");
        }
        assert_eq!(answer(Incomplete, None), Answer::Asked);
        assert!(matches!(answer(Failed, None), Answer::None(_)));
        assert!(matches!(answer(Failed, Some(MAC)), Answer::None(_)));
    }

    #[test]
    fn an_interface_without_ethernet_is_no_way() {
        let entry = (NeighbourState::Noarp, Some(MAC));
        assert!(matches!(judge(&to(None), Some(&entry), Some(&link(None))), Answer::None(_)));
    }

    #[test]
    fn gateways_come_before_the_address_itself() {
        let to: IpAddr = "192.0.2.1".parse().unwrap();
        let mut route = RouteMessage::default();
        route.header.kind = RouteType::Unicast;
        route.attributes.push(RouteAttribute::Oif(4));
        assert_eq!(way(&route, to), Ok(Way { gateway: to, ifindex: 4, mtu: None }));
        let gateway = RouteAddress::Inet([198, 51, 100, 1].into());
        route.attributes.push(RouteAttribute::Gateway(gateway));
        assert_eq!(
            way(&route, to),
            Ok(Way { gateway: "198.51.100.1".parse().unwrap(), ifindex: 4, mtu: None })
        );
        route.header.kind = RouteType::Local;
        assert!(way(&route, to).unwrap_err().contains("this host"));
    }
}
