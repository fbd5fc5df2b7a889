//! Reading the kernel's tables, and asking it to find what it does not know.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    pin::pin,
};

use netlink_packet_route::{
    neighbour::{NeighbourFlags, NeighbourState},
    route::RouteMessage,
};
use rtnetlink::{Error, Handle, IpVersion, RouteMessageBuilder};
use tokio_stream::StreamExt as _;

use super::{
    kernel::{Host, Neighbor},
    messages,
    routes::{Route, Routes},
    ways::Told,
};
use crate::xdp::interfaces::Interface;

/// Routes that are read, at most: many more are a table of the whole Internet,
/// whose every change would cost seconds.
const MAX_READ: usize = 131_072;

pub(super) async fn links(handle: &Handle) -> Result<HashMap<u32, Interface>, Error> {
    let mut links = pin!(handle.link().get().execute());
    let mut found = HashMap::new();
    while let Some(link) = links.try_next().await? {
        let interface = Interface::of(&link);
        found.insert(interface.index, interface);
    }
    Ok(found)
}

pub(super) async fn neighbors(handle: &Handle) -> Result<HashMap<Host, Neighbor>, Error> {
    let mut entries = pin!(handle.neighbours().get().execute());
    let mut found = HashMap::new();
    while let Some(entry) = entries.try_next().await? {
        found.extend(messages::neighbor(&entry));
    }
    Ok(found)
}

/// The routes of both families, flattened, and why some of them are left to
/// the kernel, if any are.
pub(super) async fn routes(handle: &Handle) -> Result<(Routes, Option<String>), Error> {
    let ruled = [rules(handle, IpVersion::V4).await?, rules(handle, IpVersion::V6).await?];
    let requests = [
        RouteMessageBuilder::<Ipv4Addr>::new().build(),
        RouteMessageBuilder::<Ipv6Addr>::new().build(),
    ];
    let mut routes: Vec<Route> = Vec::new();
    for (request, _) in requests.into_iter().zip(ruled).filter(|(_, ruled)| !ruled) {
        let mut messages = pin!(handle.route().get(request).execute());
        while let Some(message) = messages.try_next().await? {
            routes.extend(messages::route(&message));
            if routes.len() > MAX_READ {
                let why = format!("the kernel has more than {MAX_READ} routes");
                return Ok((Routes::unknown(), Some(why)));
            }
        }
    }
    Ok(match Routes::flatten(&routes, ruled) {
        Ok(routes) => {
            let left = match ruled {
                [false, false] => None,
                [true, false] => Some("there are routing rules for IPv4"),
                [false, true] => Some("there are routing rules for IPv6"),
                [true, true] => Some("there are routing rules"),
            };
            (routes, left.map(str::to_owned))
        }
        Err(error) => (Routes::unknown(), Some(error.to_string())),
    })
}

/// Whether a family has rules that not every host has.
async fn rules(handle: &Handle, family: IpVersion) -> Result<bool, Error> {
    let mut rules = pin!(handle.rule().get(family).execute());
    let mut own = false;
    while let Some(rule) = rules.try_next().await? {
        own |= !messages::is_plain(&rule);
    }
    Ok(own)
}

/// The kernel's own word on the way to an address.
pub(super) async fn way(handle: &Handle, to: IpAddr) -> Result<Told, Error> {
    let asked: RouteMessage = match to {
        IpAddr::V4(v4) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(v4, 32).build(),
        IpAddr::V6(v6) => {
            RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(v6, 128).build()
        }
    };
    let mut routes = pin!(handle.route().get(asked).execute());
    match routes.next().await {
        Some(Ok(route)) => Ok(match messages::answered(&route) {
            Ok(Some(path)) => Ok(path),
            Ok(None) => Err(format!("{to} is an address of this host")),
            Err(why) => Err(why),
        }),
        // No route, or one that forbids: an answer, not a failure of the lookup.
        Some(Err(Error::NetlinkError(error))) => Ok(Err(error.to_io().to_string())),
        Some(Err(error)) => Err(error),
        None => Ok(Err("there is no route".to_owned())),
    }
}

/// Has the kernel resolve or verify an entry, as if it had a packet to send.
pub(super) async fn ask(handle: &Handle, &(ifindex, ip): &Host) -> Result<(), Error> {
    let request = handle
        .neighbours()
        .add(ifindex, ip)
        .state(NeighbourState::None)
        .flags(NeighbourFlags::Use)
        .replace();
    match request.execute().await {
        // Such as an interface that is down: the next look tells.
        Err(Error::NetlinkError(_)) => Ok(()),
        result => result,
    }
}
