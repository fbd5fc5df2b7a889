//! The kernel's tables over rtnetlink.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    pin::{Pin, pin},
};

use anyhow::{Context as _, bail};
use netlink_packet_route::{
    link::{LinkAttribute, LinkFlags},
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder, new_multicast_connection};
use tokio_stream::{Stream, StreamExt as _};
use tracing::debug;

use super::resolve::{Neighbour, Route};

/// What the next hops depend on.
const GROUPS: [MulticastGroup; 6] = [
    MulticastGroup::Neigh,
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// A netlink connection.
pub(super) struct Kernel {
    handle: Handle,
}

/// That something changed; what it was is read from the tables.
pub(super) struct Announcements(Pin<Box<dyn Stream<Item = ()> + Send>>);

impl Announcements {
    /// Waits for the next one.
    ///
    /// # Errors
    /// When there will be no more.
    pub(super) async fn next(&mut self) -> anyhow::Result<()> {
        self.0.next().await.context("the kernel closed the netlink connection")
    }

    /// Takes all that are there already.
    pub(super) fn drain(&mut self) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        while let std::task::Poll::Ready(Some(())) = self.0.as_mut().poll_next(&mut context) {}
    }
}

impl Kernel {
    /// Connects, on the current tokio runtime.
    ///
    /// # Errors
    /// When netlink is not to be had.
    pub(super) fn connect() -> anyhow::Result<(Self, Announcements)> {
        let (connection, handle, messages) = new_multicast_connection(&GROUPS)
            .context("no netlink connection, so next hops cannot be resolved")?;
        tokio::spawn(connection);
        let announcements = Announcements(Box::pin(messages.map(|_| ())));
        Ok((Self { handle }, announcements))
    }

    /// The routes to these addresses; one without a route is left out.
    pub(super) async fn routes(
        &self,
        addresses: &[IpAddr],
    ) -> anyhow::Result<BTreeMap<IpAddr, Route>> {
        let mut routes = BTreeMap::new();
        for &address in addresses {
            let request = match address {
                IpAddr::V4(a) => {
                    RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(a, 32).build()
                }
                IpAddr::V6(a) => {
                    RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(a, 128).build()
                }
            };
            let mut replies = pin!(self.handle.route().get(request).execute());
            match replies.next().await {
                Some(Ok(message)) => {
                    routes.extend(route(&message).map(|route| (address, route)));
                }
                // ENETUNREACH and the like are an answer: there is none.
                Some(Err(rtnetlink::Error::NetlinkError(error))) => {
                    debug!("no route to {address}: {error}");
                }
                Some(Err(error)) => return Err(error).context("reading a route"),
                None => bail!("the kernel did not answer when asked for a route"),
            }
        }
        Ok(routes)
    }

    /// Ethernet addresses of the interfaces that are up.
    pub(super) async fn links(&self) -> anyhow::Result<HashMap<u32, [u8; 6]>> {
        let mut replies = pin!(self.handle.link().get().execute());
        let mut links = HashMap::new();
        while let Some(link) = replies.next().await {
            let link = link.context("reading the interfaces")?;
            if !link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp) {
                continue;
            }
            let address = link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::Address(address) => <[u8; 6]>::try_from(address.as_slice()).ok(),
                _ => None,
            });
            links.extend(address.map(|address| (link.header.index, address)));
        }
        Ok(links)
    }

    /// All neighbours of both families.
    pub(super) async fn neighbours(&self) -> anyhow::Result<HashMap<(u32, IpAddr), Neighbour>> {
        let mut replies = pin!(self.handle.neighbours().get().execute());
        let mut neighbours = HashMap::new();
        while let Some(message) = replies.next().await {
            neighbours.extend(neighbour(&message.context("reading the neighbours")?));
        }
        Ok(neighbours)
    }

    /// Asks the kernel to verify a neighbour, as if a packet went there. What
    /// comes of it is announced.
    pub(super) async fn verify(&self, ifindex: u32, address: IpAddr) {
        let asked = self
            .handle
            .neighbours()
            .add(ifindex, address)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace()
            .execute()
            .await;
        if let Err(error) = asked {
            debug!("the kernel would not ask for {address} on interface {ifindex}: {error}");
        }
    }
}

fn route(message: &RouteMessage) -> Option<Route> {
    if message.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut ifindex, mut gateway) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(a)) => gateway = Some(IpAddr::V4(*a)),
            RouteAttribute::Gateway(RouteAddress::Inet6(a)) => gateway = Some(IpAddr::V6(*a)),
            RouteAttribute::Via(RouteVia::Inet6(a)) => gateway = Some(IpAddr::V6(*a)),
            _ => {}
        }
    }
    Some(Route { ifindex: ifindex?, gateway })
}

fn neighbour(message: &NeighbourMessage) -> Option<((u32, IpAddr), Neighbour)> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(a)) => {
                address = Some(IpAddr::V4(*a));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(a)) => {
                address = Some(IpAddr::V6(*a));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => {
                mac = <[u8; 6]>::try_from(bytes.as_slice()).ok();
            }
            _ => {}
        }
    }
    let state = match (message.header.state, mac) {
        (NeighbourState::Failed, _) => Neighbour::Silent,
        (NeighbourState::Stale, Some(mac)) => Neighbour::Stale(mac),
        (
            NeighbourState::Reachable
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
            | NeighbourState::Noarp,
            Some(mac),
        ) => Neighbour::Known(mac),
        _ => Neighbour::Asked,
    };
    Some(((message.header.ifindex, address?), state))
}
