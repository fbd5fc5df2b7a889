//! The edge as a switch: the full read, deltas, counters, and what it says unasked.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::mpsc,
    task::{block_in_place, spawn_blocking},
    time::{sleep_until, timeout},
};
use tracing::debug;

use super::{Shared, probe::Runs};
use crate::{
    model::{Change, Delta, FromSwitch, ProbeOrders, Probed},
    switch::{Adapter, Failure, Held, Live, Report},
};

/// Between two reports of the counters.
const REPORT: Duration = Duration::from_secs(1);
/// How long what a probe has found waits for what others find.
const GATHER: Duration = Duration::from_millis(10);
/// How long a delta waits for the Ethernet addresses of new backends: without
/// them their first connections would be dropped.
const RESOLVE: Duration = Duration::from_millis(100);

/// An edge in a manager's session.
pub(super) struct EdgeAdapter {
    edge: Arc<Shared>,
    /// From the first read on.
    managed: Option<Managed>,
    probes: Runs,
    found: mpsc::Receiver<Probed>,
    /// What probes have found, and when it is told.
    gathered: Vec<Probed>,
    due: Option<Instant>,
}

impl EdgeAdapter {
    pub(super) fn new(edge: Arc<Shared>) -> Self {
        let (probes, found) = Runs::new(&edge);
        Self { edge, managed: None, probes, found, gathered: Vec::new(), due: None }
    }
}

/// While it lives, the edge decides nothing itself.
struct Managed(Arc<Shared>);

impl Drop for Managed {
    fn drop(&mut self) {
        let _plane = self.0.plane();
        self.0.managed.send_replace(false);
    }
}

#[async_trait]
impl Adapter for EdgeAdapter {
    async fn read(&mut self) -> Result<Held, Failure> {
        let plane = self.edge.plane();
        // Before anything changes that the manager would not have read.
        self.edge.managed.send_replace(true);
        self.managed.get_or_insert_with(|| Managed(Arc::clone(&self.edge)));
        Ok(Held {
            state: plane.state().clone(),
            stamp: plane.stamp(),
            generation: plane.generation(),
            description: self.edge.description.clone(),
            probes: self.edge.prober.is_able(),
        })
    }

    async fn apply(&mut self, delta: &Delta) -> Result<Live, Failure> {
        let edge = &self.edge;
        let unresolved = unresolved(edge, delta);
        if !unresolved.is_empty() && timeout(RESOLVE, edge.resolve(&unresolved)).await.is_err() {
            debug!("not all next hops were known in time");
        }
        let result = block(|| edge.plane().apply(delta));
        edge.stop_resolving(&unresolved);
        let generation = result.map_err(|refusal| Failure::Refused(refusal.to_string()))?;
        edge.tell_bindings_changed();
        Ok(Live { generation, lacks: Vec::new() })
    }

    async fn poll(&mut self) -> Result<Report, Failure> {
        let edge = Arc::clone(&self.edge);
        let read = spawn_blocking(move || edge.read_counters()).await;
        let counters = read
            .map_err(|error| Failure::Lost(format!("reading counters failed: {error}")))?
            .map_err(|error| Failure::Refused(format!("counters cannot be read: {error}")))?;
        Ok(Report { counters: Some(counters), drifted: false })
    }

    fn pause(&self) -> Duration {
        REPORT
    }

    fn probe(&mut self, orders: ProbeOrders) {
        self.probes.follow(orders);
    }

    async fn hear(&mut self) -> FromSwitch {
        loop {
            let due = self.due.unwrap_or_else(Instant::now);
            tokio::select! {
                // It undoes such changes itself.
                drift = self.edge.drifts.next() => return FromSwitch::Drifted(drift),
                Some(probed) = self.found.recv() => {
                    self.gathered.push(probed);
                    self.due.get_or_insert_with(|| Instant::now() + GATHER);
                }
                () = sleep_until(due.into()), if self.due.is_some() => {
                    self.due = None;
                    return FromSwitch::Probed(std::mem::take(&mut self.gathered));
                }
            }
        }
    }
}

/// Runs what may wait for a grace period. Handing it to another thread would
/// take longer than most deltas do.
fn block<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => work(),
        _ => block_in_place(work),
    }
}

/// Addresses of backends that are new and whose next hops are not known.
fn unresolved(edge: &Shared, delta: &Delta) -> BTreeSet<IpAddr> {
    let plane = edge.plane();
    let address = |change: &Change| match change {
        Change::PutBinding(key, _) if !plane.state().bindings.contains_key(key) => {
            Some(key.backend.ip()).filter(|&ip| plane.hop(ip).is_none())
        }
        _ => None,
    };
    delta.changes.iter().filter_map(address).collect()
}
