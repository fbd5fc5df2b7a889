//! Follows the kernel's tables.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    net::IpAddr,
    time::Duration,
};

use anyhow::Context as _;
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::{Handle, MulticastGroup, packet_core::NetlinkPayload};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::StreamExt as _;
use tracing::{info, warn};

use super::{
    Answer,
    look::{Look, address_of, look},
};
use crate::edge::Shared;

/// Changes come in bursts; one look follows a burst.
const BURST: Duration = Duration::from_millis(10);
/// Between looks without a change, with and without an unanswered question.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(5);

/// Keeps the next hops of all backends current. Never returns unless netlink
/// fails.
///
/// # Errors
/// Of netlink.
pub(in crate::edge) async fn watch(edge: &Shared) -> anyhow::Result<()> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Neigh,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
    ];
    let (connection, handle, mut messages) =
        rtnetlink::new_multicast_connection(&groups).context("netlink cannot be opened")?;
    // Ends when it loses the handle and the receiver.
    tokio::spawn(connection);
    let mut log = Log::default();
    loop {
        let looked = update(edge, &handle, &mut log).await.context("netlink does not answer")?;
        let open = looked.answers.iter().any(|(_, a)| !matches!(a, Answer::Known(_)));
        let again = Instant::now() + if open { SOON } else { LATER };
        let gateways: HashSet<_> = looked.gateways.into_iter().collect();
        loop {
            tokio::select! {
                () = sleep_until(again) => break,
                () = edge.bindings_changed() => break,
                message = messages.next() => {
                    let (message, _) = message.context("netlink was closed")?;
                    if concerns(&message.payload, &gateways) {
                        sleep(BURST).await;
                        break;
                    }
                }
            }
        }
        while drained(messages.next()).await {}
    }
}

/// Whether a message was waiting already.
async fn drained<T>(next: impl Future<Output = Option<T>>) -> bool {
    tokio::select! {
        biased;
        message = next => message.is_some(),
        () = std::future::ready(()) => false,
    }
}

/// Whether a change may change an answer.
fn concerns(payload: &NetlinkPayload<RouteNetlinkMessage>, gateways: &HashSet<IpAddr>) -> bool {
    // Anything else says that messages were lost.
    let NetlinkPayload::InnerMessage(message) = payload else { return true };
    match message {
        RouteNetlinkMessage::NewNeighbour(entry) | RouteNetlinkMessage::DelNeighbour(entry) => {
            address_of(entry).is_some_and(|address| gateways.contains(&address))
        }
        _ => true,
    }
}

async fn update(edge: &Shared, handle: &Handle, log: &mut Log) -> Result<Look, rtnetlink::Error> {
    let addresses = edge.plane().backend_addresses();
    let looked = look(handle, &addresses).await?;
    log.tell(&looked);
    edge.set_hops(&looked.answers);
    edge.plane().keep_hops(&addresses);
    Ok(looked)
}

/// Says once what has changed.
#[derive(Default)]
struct Log(HashMap<IpAddr, Option<String>>);

impl Log {
    fn tell(&mut self, looked: &Look) {
        let mut now = HashMap::new();
        for (address, answer) in &looked.answers {
            let before = self.0.remove(address);
            let why = match (answer, &before) {
                (Answer::Known(_), _) => None,
                (Answer::None(why), _) => Some(why.clone()),
                // No answer yet changes nothing.
                (Answer::Asked, Some(before)) => before.clone(),
                (Answer::Asked, None) => continue,
            };
            match (before.flatten(), &why) {
                (before, Some(why)) if before.as_ref() != Some(why) => {
                    warn!("backend {address} cannot be reached: {why}");
                }
                (Some(_), None) => info!("backend {address} can be reached again"),
                _ => {}
            }
            now.insert(*address, why);
        }
        self.0 = now;
    }
}
