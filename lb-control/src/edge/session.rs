//! A manager's session: the full read, then deltas in and counters out.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::mpsc,
    task::{block_in_place, spawn_blocking},
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{debug, info, warn};

use super::Shared;
use crate::model::{Change, Delta, FromSwitch, Hello, ToSwitch};

/// Between two reports of the counters.
const REPORT: Duration = Duration::from_secs(1);
/// How long a delta waits for the Ethernet addresses of new backends: without
/// them their first connections would be dropped.
const RESOLVE: Duration = Duration::from_millis(100);

/// Serves one manager until it closes its side.
///
/// # Errors
/// When a task of ours fails.
pub(super) async fn run(
    edge: Arc<Shared>,
    to_manager: mpsc::Sender<FromSwitch>,
    mut from_manager: mpsc::Receiver<ToSwitch>,
) -> anyhow::Result<()> {
    let (hello, _managed) = hello(&edge);
    let hello = FromSwitch::Hello(hello);
    if to_manager.send(hello).await.is_err() {
        return Ok(());
    }
    let mut report = interval(REPORT);
    report.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let answer = tokio::select! {
            command = from_manager.recv() => match command {
                Some(ToSwitch::Apply(delta)) => apply(&edge, delta).await?,
                None => return Ok(()),
            },
            drift = edge.drifts.next() => FromSwitch::Drifted(drift),
            _ = report.tick() => match counters(&edge).await? {
                Some(counters) => counters,
                None => continue,
            },
        };
        if to_manager.send(answer).await.is_err() {
            return Ok(());
        }
    }
}

/// While it lives, the edge decides nothing itself.
struct Managed<'a>(&'a Shared);

impl Drop for Managed<'_> {
    fn drop(&mut self) {
        let _plane = self.0.plane();
        self.0.managed.send_replace(false);
    }
}

fn hello(edge: &Shared) -> (Hello, Managed<'_>) {
    let plane = edge.plane();
    // Before anything changes that the manager would not have read.
    edge.managed.send_replace(true);
    let hello = Hello {
        name: edge.settings.name.clone(),
        stamp: plane.stamp(),
        generation: plane.generation(),
        state: plane.state().clone(),
        description: edge.description.clone(),
    };
    (hello, Managed(edge))
}

async fn apply(edge: &Arc<Shared>, delta: Delta) -> anyhow::Result<FromSwitch> {
    let received = Instant::now();
    let stamp = delta.stamp;
    let unresolved = unresolved(edge, &delta);
    if !unresolved.is_empty() && timeout(RESOLVE, edge.resolve(&unresolved)).await.is_err() {
        debug!("not all next hops were known in time");
    }
    let result = block(|| edge.plane().apply(&delta));
    edge.stop_resolving(&unresolved);
    let live_after = received.elapsed();
    Ok(match result {
        Ok(generation) => {
            edge.tell_bindings_changed();
            info!(term = stamp.term, sequence = stamp.sequence, generation, ?live_after, "live");
            FromSwitch::Applied { stamp, generation, live_after }
        }
        Err(refusal) => {
            warn!(term = stamp.term, sequence = stamp.sequence, "refused: {refusal}");
            FromSwitch::Refused { stamp, reason: refusal.to_string() }
        }
    })
}

async fn counters(edge: &Arc<Shared>) -> anyhow::Result<Option<FromSwitch>> {
    let theirs = Arc::clone(edge);
    let read = spawn_blocking(move || theirs.read_counters());
    match read.await.context("reading counters failed")? {
        Ok(counters) => Ok(Some(FromSwitch::Counters(counters))),
        Err(error) => {
            warn!("counters cannot be read: {error}");
            Ok(None)
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
