//! While no manager is there: the edge goes on with what it holds, and probes
//! its backends itself, so that a server that dies meanwhile does not stay
//! bound. What it has done the manager finds when it is back, and settles.

mod watch;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};

use self::watch::{Decision, Watch};
use super::{Shared, probe};
use crate::{
    model::{BindingKey, ProbePath, SwitchState},
    probe::connect,
};

/// How long no manager must have been there: one that starts anew is back
/// sooner.
const ALONE: Duration = Duration::from_secs(3);
/// Between two probes of a backend.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a backend may take to accept a connection.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Probes whenever no manager is there; does not end.
pub(super) async fn run(edge: &Arc<Shared>) {
    let mut managed = edge.managed.subscribe();
    loop {
        // The sender lives as long as the edge.
        if managed.wait_for(|managed| !managed).await.is_err() {
            return;
        }
        if timeout(ALONE, managed.wait_for(|&managed| managed)).await.is_ok() {
            continue;
        }
        info!("no manager for {ALONE:?}: the edge probes its backends itself");
        tokio::select! {
            _ = managed.wait_for(|&managed| managed) => {}
            () = probe(edge) => {}
        }
    }
}

/// Round after round.
async fn probe(edge: &Arc<Shared>) {
    let mut watch = Watch::default();
    let mut rounds = interval(INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let targets = targets(&watch, edge.plane().state());
        let outcomes = ask(edge, targets).await;
        let mut plane = edge.plane();
        if *edge.managed.borrow() {
            return;
        }
        let decisions = watch.decide(plane.state(), &outcomes);
        let changes: Vec<_> = decisions.iter().map(Decision::change).collect();
        if changes.is_empty() {
            continue;
        }
        match plane.apply_own(&changes) {
            Ok(generation) => {
                for decision in &decisions {
                    warn!(generation, "{decision}");
                }
            }
            Err(refusal) => {
                warn!("what the probes have shown cannot be carried out: {refusal}");
                watch = Watch::default();
            }
        }
        drop(plane);
        edge.tell_bindings_changed();
    }
}

/// How a backend is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// As clients' packets reach it.
    Path(ProbePath),
    /// At its own address, where its service is verified so.
    Backend(SocketAddr),
}

/// What is to be asked, and how. A service without TCP cannot be.
fn targets(watch: &Watch, state: &SwitchState) -> Vec<(BindingKey, Target)> {
    let target = |key: BindingKey| {
        let spec = state.services.get(&key.service)?;
        let path = spec.probe_path.then(|| ProbePath::of(spec, key.backend, None)).flatten();
        let target = match path {
            Some(path) => Target::Path(path),
            None if spec.protocol.has_tcp() => Target::Backend(key.backend),
            None => return None,
        };
        Some((key, target))
    };
    watch.wanted(state).into_iter().filter_map(target).collect()
}

/// Who of these accepts a connection; the cause if not.
async fn ask(
    edge: &Arc<Shared>,
    targets: Vec<(BindingKey, Target)>,
) -> BTreeMap<BindingKey, Result<(), String>> {
    let mut probes = JoinSet::new();
    for (key, target) in targets {
        let edge = Arc::clone(edge);
        probes.spawn(async move {
            let outcome = match target {
                Target::Path(path) => probe::probe(&edge, &path, TIMEOUT).await,
                Target::Backend(address) => connect(address, TIMEOUT).await,
            };
            (key, outcome)
        });
    }
    probes.join_all().await.into_iter().collect()
}

#[cfg(test)]
mod tests;
