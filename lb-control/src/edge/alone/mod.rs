//! While no manager is there: the edge goes on with what it holds, and probes
//! its backends itself, so that a server that dies meanwhile does not stay
//! bound. What it has done the manager finds when it is back, and settles.

mod watch;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};

use self::watch::{Decision, Watch};
use super::Shared;

/// How long no manager must have been there: one that starts anew is back
/// sooner.
const ALONE: Duration = Duration::from_secs(3);
/// Between two probes of a backend.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a backend may take to accept a connection.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Connections that probes may have under way together.
const AT_ONCE: usize = 256;

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
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut rounds = interval(INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let targets = watch.targets(edge.plane().state());
        let outcomes = ask(targets, &turns).await;
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

/// Which of these accept a connection.
async fn ask(targets: Vec<SocketAddr>, turns: &Arc<Semaphore>) -> BTreeMap<SocketAddr, bool> {
    let mut probes = JoinSet::new();
    for target in targets {
        let turns = Arc::clone(turns);
        probes.spawn(async move {
            let _turn = turns.acquire().await;
            let accepted = timeout(TIMEOUT, TcpStream::connect(target)).await;
            (target, matches!(accepted, Ok(Ok(_))))
        });
    }
    probes.join_all().await.into_iter().collect()
}
