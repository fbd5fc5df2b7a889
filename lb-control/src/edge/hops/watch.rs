//! Follows the kernel's tables.

use std::{
    collections::{BTreeSet, HashSet},
    future::Future,
    net::IpAddr,
    time::Duration,
};

use anyhow::Context as _;
use netlink_packet_core::NetlinkMessage;
use netlink_packet_route::{RouteNetlinkMessage, neighbour::NeighbourState};
use netlink_sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup};
use tokio::time::{Instant, sleep_until};
use tokio_stream::{Stream, StreamExt as _};
use tracing::{info, warn};

use super::{
    Answer, RouteTables,
    clients::Clients,
    kernel::{Change, Host},
    netlink,
    ways::{Log, Ways},
};
use crate::edge::Shared;

/// Between looks at everything, with and without a backend that has no way.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(5);
/// Reading routes takes this part of the time at most, however often they
/// change.
const READING: u32 = 10;

const GROUPS: [MulticastGroup; 6] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
];

type Message = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr);

/// Keeps next hops current. Never returns unless netlink or a map fails.
///
/// # Errors
/// Of netlink, and of the map of clients.
pub(in crate::edge) async fn watch(edge: &Shared) -> anyhow::Result<()> {
    let (connection, handle, mut messages) =
        rtnetlink::new_multicast_connection(&GROUPS).context("netlink cannot be opened")?;
    // Ends when it loses the handle and the receiver.
    tokio::spawn(connection);
    let mut map = edge.clients.lock().await;
    let clients = Clients::of(&mut map).context("the map of clients cannot be read")?;
    let mut follower = Follower {
        edge,
        handle,
        clients,
        ways: Ways::default(),
        log: Log::default(),
        replies: false,
        left: None,
        rested: Instant::now(),
        next: Instant::now(),
    };
    let mut due = Due::everything();
    loop {
        follower.act(&mut due).await?;
        follower.wait(&mut due, &mut messages).await?;
    }
}

/// What is to be done.
#[derive(Default)]
struct Due {
    everything: bool,
    links: bool,
    routes: bool,
    backends: bool,
    hosts: HashSet<Host>,
}

impl Due {
    fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    fn add(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Neighbor(host) => drop(self.hosts.insert(host)),
            Change::Link => (self.links, self.routes) = (true, true),
            Change::Routes => self.routes = true,
            Change::Everything => self.everything = true,
        }
    }

    /// Whether there is something to do now; routes wait until `rested`.
    fn is_now(&self, rested: Instant) -> bool {
        let routes = self.routes && Instant::now() >= rested;
        self.everything || self.links || self.backends || routes || !self.hosts.is_empty()
    }
}

struct Follower<'a> {
    edge: &'a Shared,
    handle: Handle,
    clients: Clients<'a>,
    ways: Ways,
    log: Log,
    /// Whether `nat` servers have replies carried, and so want routes.
    replies: bool,
    /// What packets ask the kernel for, and why.
    left: Option<String>,
    /// When routes may be read again.
    rested: Instant,
    /// When everything is read again.
    next: Instant,
}

impl Follower<'_> {
    async fn act(&mut self, due: &mut Due) -> anyhow::Result<()> {
        let Due { everything, links, routes, backends, hosts } = std::mem::take(due);
        let silent = "netlink does not answer";
        if everything {
            self.ways.kernel.links = netlink::links(&self.handle).await.context(silent)?;
            self.ways.kernel.neighbors = netlink::neighbors(&self.handle).await.context(silent)?;
        }
        let (new, turned) = if everything || backends { self.want() } else { (Vec::new(), false) };
        let read = everything || (routes && Instant::now() >= self.rested);
        if links && read {
            // Reading takes longer than knowing that a link is gone.
            self.publish_all()?;
        }
        if read {
            self.read_routes().await.context(silent)?;
        } else {
            due.routes = routes;
        }
        let all = read || links || turned;
        let concerned = if all { self.ways.backends() } else { new };
        for backend in self.ways.untold(&concerned) {
            let told = netlink::way(&self.handle, backend).await.context(silent)?;
            self.ways.tell(backend, told);
        }
        if read || backends {
            self.ways.arrange(self.replies);
        }
        if all {
            self.publish_all()?;
        } else {
            self.publish(concerned, &hosts)?;
        }
        let unsure = if all || backends { self.unsure() } else { self.doubted(&hosts) };
        for host in unsure {
            netlink::ask(&self.handle, &host).await.context(silent)?;
        }
        Ok(())
    }

    /// Asks the plane whose ways are wanted: backends that are new, and whether
    /// replies are carried now and were not, or the other way round.
    fn want(&mut self) -> (Vec<IpAddr>, bool) {
        let resolving = self.edge.resolving();
        let mut plane = self.edge.plane();
        let mut backends: BTreeSet<_> = plane.backend_addresses().into_iter().collect();
        backends.extend(resolving);
        let replies = plane.has_replies();
        let turned = std::mem::replace(&mut self.replies, replies) != replies;
        let new = self.ways.want(backends);
        let all = self.ways.backends();
        plane.keep_hops(&all);
        self.log.keep(&all);
        (new, turned)
    }

    async fn read_routes(&mut self) -> Result<(), rtnetlink::Error> {
        let begun = Instant::now();
        let (routes, left) = netlink::routes(&self.handle).await?;
        self.ways.kernel.routes = routes;
        if left != self.left {
            match &left {
                Some(why) => warn!("{why}: the kernel is asked for ways, packet by packet"),
                None => info!("the kernel need not be asked for ways any more"),
            }
        }
        self.left = left;
        let now = Instant::now();
        let took = now - begun;
        self.rested = now + took * READING;
        self.next = now + LATER.max(took * READING * READING);
        Ok(())
    }

    /// Publishes everything anew.
    fn publish_all(&mut self) -> anyhow::Result<()> {
        let answers = self.ways.answers(&self.ways.backends());
        let tables = if self.replies { self.ways.tables() } else { RouteTables::default() };
        self.tell(&answers, Some(&tables));
        let links = &self.ways.kernel.links;
        let is_client = |((ifindex, _), _): &(&Host, &_)| {
            self.replies && links.get(ifindex).is_some_and(|link| link.mac.is_some())
        };
        let hosts = self.ways.kernel.neighbors.iter().filter(is_client);
        self.clients.hold(hosts).context(MAP)
    }

    /// Publishes the ways to these backends, and what has changed with hosts.
    fn publish(&mut self, backends: Vec<IpAddr>, hosts: &HashSet<Host>) -> anyhow::Result<()> {
        let mut concerned = self.ways.depending(hosts);
        concerned.extend(backends);
        let answers = self.ways.answers(&concerned);
        let tables = self.ways.carry_replies(hosts).then(|| self.ways.tables());
        self.tell(&answers, tables.as_ref());
        for host in hosts.iter().filter(|_| self.replies) {
            self.clients.note(host, self.ways.kernel.neighbors.get(host)).context(MAP)?;
        }
        Ok(())
    }

    fn tell(&mut self, answers: &[(IpAddr, Answer)], tables: Option<&RouteTables>) {
        self.log.tell(answers);
        self.edge.set_ways(answers, tables);
        if answers.iter().any(|(_, answer)| !matches!(answer, Answer::Known(_))) {
            self.next = self.next.min(Instant::now() + SOON);
        }
    }

    /// Hosts that some way depends on and that the kernel should verify, since
    /// packets that it does not see give it no reason to.
    fn unsure(&self) -> HashSet<Host> {
        let sure = |host: &&Host| {
            let neighbor = self.ways.kernel.neighbors.get(*host);
            neighbor.is_some_and(|neighbor| neighbor.is_sure())
        };
        self.ways
            .hosts()
            .filter(|host| !sure(host))
            .filter(|host| self.is_up(host))
            .copied()
            .collect()
    }

    /// Of hosts of which the kernel has just spoken, those that it has forgotten
    /// or is not sure of any more. Those that did not answer have to wait.
    fn doubted(&self, hosts: &HashSet<Host>) -> HashSet<Host> {
        use NeighbourState::{Failed, Incomplete};
        let doubted = |host: &&Host| match self.ways.kernel.neighbors.get(*host) {
            Some(neighbor) => !neighbor.is_sure() && !matches!(neighbor.state, Incomplete | Failed),
            None => true,
        };
        let needed = hosts.iter().filter(|host| self.ways.needs(host) && self.is_up(host));
        needed.filter(doubted).copied().collect()
    }

    fn is_up(&self, (ifindex, _): &Host) -> bool {
        self.ways.kernel.links.get(ifindex).is_some_and(|link| link.running)
    }

    /// Waits for something to do.
    async fn wait(
        &mut self,
        due: &mut Due,
        messages: &mut (impl Stream<Item = Message> + Unpin),
    ) -> anyhow::Result<()> {
        while !due.is_now(self.rested) {
            tokio::select! {
                () = sleep_until(self.next) => due.everything = true,
                () = sleep_until(self.rested), if due.routes => {}
                () = self.edge.bindings_changed() => due.backends = true,
                message = messages.next() => {
                    let message = message.context("netlink was closed")?;
                    self.note(due, &message);
                }
            }
        }
        // What came together is done together.
        while let Some(message) = waiting(messages.next()).await {
            self.note(due, &message);
        }
        Ok(())
    }

    fn note(&mut self, due: &mut Due, (message, _): &Message) {
        match self.ways.kernel.note(&message.payload) {
            Change::Neighbor(host) if !self.replies && !self.ways.needs(&host) => {}
            change => due.add(change),
        }
    }
}

const MAP: &str = "the map of clients cannot be written";

/// What has come already.
async fn waiting<T>(next: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::select! {
        biased;
        message = next => message,
        () = std::future::ready(()) => None,
    }
}
