//! The agent's role: it listens, and tells each manager that connects the weights.
//!
//! | when | what is sent |
//! | --- | --- |
//! | a manager connects, or sends DFP Parameters | all weights |
//! | weights change | those that changed, at once |
//! | three quarters of the manager's keepalive later | all weights |
//! | a BindID Request comes | an empty BindID Report: clients are not told apart |
//!
//! DFP has no word for a server that is gone: it is told weight 0 at once and then
//! with the others for [`GONE`], so that a manager which was away hears it too.

mod session;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use super::{Weights, tcp};
use crate::model::{DfpServer, Prefix};

/// Managers that may be connected; others are sent away.
const CONNECTIONS: usize = 16;
/// How long a server that is gone is told of.
pub const GONE: Duration = Duration::from_secs(3600);
/// Servers that are gone and told of; beyond, the first to have gone are left out.
const MOST_GONE: usize = 4096;

/// What is told, and how often it has changed.
#[derive(Clone, Debug, Default)]
struct Table {
    version: u64,
    weights: Weights,
    gone: BTreeMap<DfpServer, Instant>,
}

impl Table {
    fn put(&mut self, weights: Weights, now: Instant) {
        let before = std::mem::replace(&mut self.weights, weights);
        self.gone.retain(|_, since| now - *since < GONE);
        self.gone.extend(before.into_keys().map(|server| (server, now)));
        self.gone.retain(|server, _| !self.weights.contains_key(server));
        let surplus = self.gone.len().saturating_sub(MOST_GONE);
        if surplus > 0 {
            let mut by_age: Vec<_> = self.gone.iter().map(|(s, since)| (*since, *s)).collect();
            by_age.sort_unstable();
            for (_, server) in by_age.into_iter().take(surplus) {
                self.gone.remove(&server);
            }
        }
        self.version += 1;
    }

    /// Everything that is to be told.
    fn all(&self) -> Weights {
        let gone = self.gone.keys().map(|server| (*server, 0));
        gone.chain(self.weights.iter().map(|(server, weight)| (*server, *weight))).collect()
    }
}

/// Of each connected manager, the version of the table that it was told.
type Told = BTreeMap<u64, u64>;

/// A listening agent. It ends when this is dropped.
pub struct Agent {
    table: watch::Sender<Table>,
    told: watch::Receiver<Told>,
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Agent {
    /// Listens. Managers may come from these prefixes; with none, from anywhere.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn listen(address: SocketAddr, from: Vec<Prefix>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (table, _) = watch::channel(Table::default());
        let (telling, told) = watch::channel(Told::new());
        let shared = Arc::new(Shared { table: table.subscribe(), told: telling, from });
        let mut serving = JoinSet::new();
        serving.spawn(shared.serve(listener));
        Ok(Self { table, told, address, _serving: serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells these weights from now on.
    pub fn tell(&self, weights: Weights) {
        self.table.send_modify(|table| table.put(weights, Instant::now()));
    }

    /// How many managers are connected.
    pub fn managers(&self) -> usize {
        self.told.borrow().len()
    }

    /// Until a manager is connected.
    pub async fn connected(&self) {
        let mut told = self.told.clone();
        // It ends with this alone.
        drop(told.wait_for(|told| !told.is_empty()).await);
    }

    /// Until each connected manager was told what [`tell`](Self::tell) was given last.
    /// One that does not read is sent away meanwhile.
    pub async fn told(&self) {
        let version = self.table.borrow().version;
        let mut told = self.told.clone();
        drop(told.wait_for(|told| told.values().all(|told| *told >= version)).await);
    }
}

/// What sessions have in common.
struct Shared {
    table: watch::Receiver<Table>,
    told: watch::Sender<Told>,
    from: Vec<Prefix>,
}

impl Shared {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut sessions = JoinSet::new();
        loop {
            while sessions.try_join_next().is_some() {}
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!("a DFP manager's connection could not be taken: {error}");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let source = from.ip().to_canonical();
            if !self.from.is_empty() && !self.from.iter().any(|prefix| prefix.takes(source)) {
                warn!("{from} is no DFP manager of ours: sent away");
                continue;
            }
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                warn!("{CONNECTIONS} DFP managers are connected: {from} is sent away");
                continue;
            };
            let shared = Arc::clone(&self);
            sessions.spawn(async move {
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                shared.one(number, stream, from).await;
                drop(place);
            });
        }
    }

    async fn one(&self, number: u64, stream: TcpStream, from: SocketAddr) {
        info!("DFP manager {from} is connected");
        let outcome = match tcp::prepare(&stream) {
            Ok(()) => {
                let entry = Entry::new(&self.told, number);
                session::session(stream, self.table.clone(), |version| entry.told(version)).await
            }
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(()) => info!("DFP manager {from} has closed its connection"),
            Err(error) => warn!("the connection of DFP manager {from} is closed: {error}"),
        }
    }
}

/// A session's place among those that are told, for as long as it lasts.
struct Entry<'a> {
    told: &'a watch::Sender<Told>,
    number: u64,
}

impl<'a> Entry<'a> {
    fn new(told: &'a watch::Sender<Told>, number: u64) -> Self {
        told.send_modify(|told| {
            told.insert(number, 0);
        });
        Self { told, number }
    }

    fn told(&self, version: u64) {
        self.told.send_modify(|told| {
            told.insert(self.number, version);
        });
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.told.send_modify(|told| {
            told.remove(&self.number);
        });
    }
}

#[cfg(test)]
mod tests;
