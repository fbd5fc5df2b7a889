//! Probes through the path that clients' packets take.
//!
//! A probe is the beginning of a TCP connection to the service's address, sent
//! as the data plane would send a client's: to the backend's Ethernet address, or
//! in a tunnel to it. Its answer comes straight back to this host, as a client's
//! would. So a server is found well only if it owns the service's address, takes
//! what comes out of the tunnel, listens, and knows a way back. An accepted
//! connection is reset at once, by the same path; so is what got no answer.
//!
//! The kernel has no part in it: frames leave by a packet socket, and answers are
//! heard by another before routing, reverse path filters or a firewall of this
//! host can judge them. Listening sockets that drop everything hold the ports, so
//! that the kernel neither gives them to others nor answers what it does not
//! know. XDP programs see the answers first, find that they are for none of our
//! services, and pass them.
//!
//! In mode `nat` the path is that of a plain connection to the backend.
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`packet`] | the frames, and what an answer says |
//! | [`sockets`] | how they get out and in |
//! | [`runs`] | the probes that a manager asks for |

mod packet;
mod runs;
mod sockets;

use std::{
    collections::{BTreeMap, HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nix::{ifaddrs::getifaddrs, net::if_::if_indextoname};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, sleep_until, timeout},
};
use tracing::warn;

pub(super) use self::runs::Runs;
use self::{
    packet::{Answer, Flag, Way},
    sockets::Sockets,
};
use super::{Shared, hops, hops::NextHop, plane::Site};
use crate::{
    model::{Mode, ProbePath},
    probe::connect,
};

/// Probes that begin in a second at the most; more of them are further apart
/// than their intervals say.
const RATE: u32 = 10_000;
/// Probes that wait for answers together.
const AT_ONCE: usize = 4096;

/// Probes for all of an edge.
#[derive(Debug)]
pub(super) struct Prober {
    /// None where the kernel does not let us.
    sockets: Option<Sockets>,
    site: Site,
    /// By the acknowledgement number of the answer.
    waiting: Mutex<HashMap<u32, Waiting>>,
    /// Hosts that are probed, and by how many.
    hosts: Mutex<BTreeMap<IpAddr, usize>>,
    /// When the next probe may begin.
    next: Mutex<Instant>,
    turns: Semaphore,
    /// Nobody who has not seen a probe knows what its answer must acknowledge.
    secret: RandomState,
    count: AtomicU64,
}

/// A probe that waits for its answer.
#[derive(Debug)]
struct Waiting {
    from: SocketAddr,
    to: SocketAddr,
    accepted: oneshot::Sender<bool>,
}

impl Prober {
    /// Takes the sockets that it needs, while we may. Without them backends are
    /// probed at their own addresses, which the log says.
    pub(super) fn open(site: Site) -> Self {
        let sockets = Sockets::open();
        if let Err(error) = &sockets {
            warn!(
                "backends are not probed through the path of clients, but at their own addresses: \
                 {error}: give the edge CAP_NET_RAW to start with"
            );
        }
        Self {
            sockets: sockets.ok(),
            site,
            waiting: Mutex::default(),
            hosts: Mutex::default(),
            next: Mutex::new(Instant::now()),
            turns: Semaphore::new(AT_ONCE),
            secret: RandomState::new(),
            count: AtomicU64::default(),
        }
    }

    /// Whether it can probe through the path.
    pub(super) fn is_able(&self) -> bool {
        self.sockets.is_some()
    }

    /// Hosts whose next hops are wanted.
    pub(super) fn hosts(&self) -> Vec<IpAddr> {
        lock(&self.hosts).keys().copied().collect()
    }

    /// Hears answers; does not end.
    ///
    /// # Errors
    /// A socket fails.
    pub(super) async fn listen(&self) -> anyhow::Result<()> {
        match &self.sockets {
            Some(sockets) => Ok(sockets.listen(|bytes| self.hear(bytes)).await?),
            None => std::future::pending().await,
        }
    }

    fn hear(&self, bytes: &[u8]) {
        let Some(Answer { from, to, acknowledged, accepted }) = Answer::read(bytes) else {
            return;
        };
        let mut waiting = lock(&self.waiting);
        if waiting.get(&acknowledged).is_some_and(|one| (one.to, one.from) == (from, to))
            && let Some(one) = waiting.remove(&acknowledged)
        {
            // Who asked may have stopped.
            _ = one.accepted.send(accepted);
        }
    }

    /// Waits until one more probe may begin.
    async fn pace(&self) {
        let at = {
            let mut next = lock(&self.next);
            let at = Instant::now().max(*next);
            *next = at + Duration::from_secs(1) / RATE;
            at
        };
        sleep_until(at).await;
    }

    /// A number that nobody can guess.
    fn number(&self) -> u64 {
        self.secret.hash_one(self.count.fetch_add(1, Ordering::Relaxed))
    }
}

/// Probes a backend through the path, or without the sockets for it at its own
/// address. Says why it is not well.
pub(super) async fn probe(edge: &Shared, path: &ProbePath, within: Duration) -> Result<(), String> {
    let prober = &edge.prober;
    prober.pace().await;
    match &prober.sockets {
        Some(sockets) if path.mode != Mode::Nat => {
            let _turn = prober.turns.acquire().await;
            let hop = next_hop(edge, path.via, within).await?;
            shake_hands(prober, sockets, path, &hop, within).await
        }
        _ => {
            let address = SocketAddr::new(path.via, path.to.port());
            connect(address, within).await.map_err(|why| format!("{address}: {why}"))
        }
    }
}

/// The next hop, or why there is none; one that was never asked for may take as
/// long as an answer.
async fn next_hop(edge: &Shared, via: IpAddr, within: Duration) -> Result<NextHop, String> {
    let mut set = edge.ways_set.subscribe();
    let known = async {
        loop {
            if let Some(answer) = edge.plane().hop(via).cloned() {
                return Some(answer);
            }
            set.changed().await.ok()?;
        }
    };
    match timeout(within, known).await {
        Ok(Some(hops::Answer::Known(hop))) => Ok(hop),
        Ok(Some(hops::Answer::None(why))) => Err(format!("{via} cannot be reached: {why}")),
        _ => Err(format!("the next hop to {via} is not known: does it answer ARP or ND?")),
    }
}

async fn shake_hands(
    prober: &Prober,
    sockets: &Sockets,
    path: &ProbePath,
    hop: &NextHop,
    within: Duration,
) -> Result<(), String> {
    let number = prober.number();
    let port = sockets.port(number >> 32);
    let from = SocketAddr::new(source(path, hop)?, port);
    let seq = number as u32;
    let (accepted, answer) = oneshot::channel();
    let mut asked = Asked {
        prober,
        sockets,
        way: Way { hop: *hop, mode: path.mode, via: path.via, from, to: path.to },
        seq,
        ends: true,
    };
    lock(&prober.waiting).insert(seq.wrapping_add(1), Waiting { from, to: path.to, accepted });
    asked.send(Flag::Syn).map_err(|why| format!("{path} cannot be asked: {why}"))?;
    match timeout(within, answer).await {
        Ok(Ok(true)) => Ok(()),
        Ok(_) => {
            asked.ends = false;
            Err(format!("{path} refuses connections: does anything listen on {}?", path.to))
        }
        Err(_) => Err(silence(path, from.ip(), within)),
    }
}

/// What silence may mean.
fn silence(path: &ProbePath, from: IpAddr, within: Duration) -> String {
    let tunnel =
        if path.mode.is_tunnel() { ", and does `sluice agent` end tunnels there?" } else { "?" };
    format!(
        "no answer from {path} within {within:?}: is {} on the server's lo, has it a way back to \
         {from}{tunnel}",
        path.to.ip()
    )
}

/// A connection that was asked for; it is taken back when this is dropped.
struct Asked<'a> {
    prober: &'a Prober,
    sockets: &'a Sockets,
    way: Way,
    seq: u32,
    /// The server may know of it.
    ends: bool,
}

impl Asked<'_> {
    fn send(&self, flag: Flag) -> Result<(), String> {
        let frame = self.way.frame(&self.prober.site, flag, self.seq)?;
        self.sockets.send(&frame, self.way.hop.ifindex).map_err(|error| error.to_string())
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        lock(&self.prober.waiting).remove(&self.seq.wrapping_add(1));
        if self.ends {
            // A server that does not hear it gives up by itself.
            drop(self.send(Flag::Reset));
        }
    }
}

/// The address of this host that a backend answers: that by which the kernel would
/// speak to it, or where the service is of the other family, one on the way there.
fn source(path: &ProbePath, hop: &NextHop) -> Result<IpAddr, String> {
    let v4 = path.to.is_ipv4();
    let by_route = || {
        let any: IpAddr =
            if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        // Nothing is sent.
        socket.connect((path.via, path.to.port())).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let found = if path.via.is_ipv4() == v4 { by_route() } else { on_link(hop.ifindex, v4) };
    let family = if v4 { "IPv4" } else { "IPv6" };
    let interface = || {
        let name = if_indextoname(hop.ifindex).ok();
        name.map_or("the way there".to_owned(), |name| name.to_string_lossy().into_owned())
    };
    match found {
        Some(ip) if ip == path.to.ip() => Err(format!(
            "{path} cannot be asked: this host would ask from that address itself: give {} \
             another one",
            interface()
        )),
        Some(ip) => Ok(ip),
        None => Err(format!(
            "{path} cannot be asked: this host has no {family} address on {} to ask from",
            interface()
        )),
    }
}

/// The first address of a family that others can answer.
fn on_link(ifindex: u32, v4: bool) -> Option<IpAddr> {
    let name = if_indextoname(ifindex).ok()?;
    let name = name.to_str().ok()?;
    getifaddrs().ok()?.filter(|one| one.interface_name == name).find_map(|one| {
        let address = one.address?;
        if v4 {
            return Some(IpAddr::V4(address.as_sockaddr_in()?.ip()));
        }
        let v6 = address.as_sockaddr_in6()?.ip();
        (!v6.is_unicast_link_local()).then_some(IpAddr::V6(v6))
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
