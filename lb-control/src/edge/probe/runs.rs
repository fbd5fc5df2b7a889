//! The probes that a manager asks for: they end with its session.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};
use tracing::warn;

use super::{Shared, lock, probe};
use crate::model::{ProbeId, ProbeOrder, ProbeOrders, Probed, SwitchState};

/// Shortest time between two probes of a backend.
const LEAST: Duration = Duration::from_millis(100);
/// So often what has not changed is told again: a manager may have lost a word.
const REPEAT: u32 = 10;
/// What may wait to be told.
const CAPACITY: usize = 1024;

/// The probes that run for a manager.
pub(in crate::edge) struct Runs {
    edge: Arc<Shared>,
    tasks: HashMap<ProbeId, AbortHandle>,
    found: mpsc::Sender<Probed>,
}

impl Runs {
    /// None yet, and where one hears what they find.
    pub(in crate::edge) fn new(edge: &Arc<Shared>) -> (Self, mpsc::Receiver<Probed>) {
        let (found, heard) = mpsc::channel(CAPACITY);
        (Self { edge: Arc::clone(edge), tasks: HashMap::new(), found }, heard)
    }

    /// Starts and stops what the manager says.
    pub(in crate::edge) fn follow(&mut self, orders: ProbeOrders) {
        for probe in orders.stop {
            if let Some(task) = self.tasks.remove(&probe) {
                task.abort();
            }
        }
        let known: BTreeMap<_, _> = lock(&self.edge.prober.hosts).clone();
        let new = orders.start.iter().any(|order| !known.contains_key(&order.path.via));
        for order in orders.start {
            if self.tasks.len() >= SwitchState::MAX_BINDINGS {
                warn!("the manager asks for more probes than there can be bindings");
                break;
            }
            // Noted before the next hops are asked for.
            let host = Host::new(&self.edge, order.path.via);
            let run = run(host, order, self.found.clone());
            let task = tokio::spawn(run).abort_handle();
            if let Some(old) = self.tasks.insert(order.probe, task) {
                old.abort();
            }
        }
        if new {
            self.edge.tell_bindings_changed();
        }
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.tasks.values().for_each(AbortHandle::abort);
    }
}

/// A host that is probed: its next hop is followed while this lives.
struct Host {
    edge: Arc<Shared>,
    ip: IpAddr,
}

impl Host {
    fn new(edge: &Arc<Shared>, ip: IpAddr) -> Self {
        *lock(&edge.prober.hosts).entry(ip).or_default() += 1;
        Self { edge: Arc::clone(edge), ip }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let mut hosts = lock(&self.edge.prober.hosts);
        if let Some(count) = hosts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                hosts.remove(&self.ip);
            }
        }
    }
}

async fn run(host: Host, order: ProbeOrder, found: mpsc::Sender<Probed>) {
    let mut turns = interval(order.interval.max(LEAST));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<Result<(), String>> = None;
    let mut run: u32 = 0;
    loop {
        turns.tick().await;
        let outcome = probe(&host.edge, &order.path, order.timeout).await;
        let alike = last.as_ref().is_some_and(|last| last.is_ok() == outcome.is_ok());
        run = if alike { run.saturating_add(1) } else { 1 };
        let is_news = run <= order.rise.max(order.fall)
            || last.as_ref() != Some(&outcome)
            || run.is_multiple_of(REPEAT);
        last = Some(outcome.clone());
        let probed = Probed { probe: order.probe, outcome, run };
        if is_news && found.send(probed).await.is_err() {
            return;
        }
    }
}
