//! From an adapter to the core and back.

use std::time::Instant;

use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use super::{Adapter, Failure};
use crate::model::{Delta, FromSwitch, Hello, Name, ToSwitch};

/// Carries messages between an adapter and the manager: first a full read, then
/// deltas in and counters out, until the manager closes its side.
///
/// # Errors
/// Why the switch cannot go on: never [`Failure::Refused`].
pub async fn session(
    name: &Name,
    adapter: &mut dyn Adapter,
    to_manager: mpsc::Sender<FromSwitch>,
    mut from_manager: mpsc::Receiver<ToSwitch>,
) -> Result<(), Failure> {
    if to_manager.send(hello(name, adapter).await?).await.is_err() {
        return Ok(());
    }
    let mut lacks = Vec::new();
    let mut poll = interval(adapter.pause());
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let answers = tokio::select! {
            biased;
            command = from_manager.recv() => match command {
                Some(ToSwitch::Apply(delta)) => apply(adapter, &delta, &mut lacks).await?,
                Some(ToSwitch::Probe(orders)) => {
                    adapter.probe(orders);
                    continue;
                }
                None => return Ok(()),
            },
            said = adapter.hear() => vec![said],
            _ = poll.tick() => match adapter.poll().await {
                Ok(report) if report.drifted => vec![hello(name, adapter).await?],
                Ok(report) => match report.counters {
                    Some(counters) => vec![FromSwitch::Counters(counters)],
                    None => continue,
                },
                Err(Failure::Refused(why)) => {
                    warn!(switch = %name, "not all could be read: {why}");
                    continue;
                }
                Err(failure) => return Err(failure),
            },
        };
        for answer in answers {
            if to_manager.send(answer).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// What the switch holds, as its first word or when it is not what it was.
async fn hello(name: &Name, adapter: &mut dyn Adapter) -> Result<FromSwitch, Failure> {
    let held = adapter.read().await?;
    Ok(FromSwitch::Hello(Hello {
        name: name.clone(),
        stamp: held.stamp,
        generation: held.generation,
        state: held.state,
        description: held.description,
        probes: held.probes,
    }))
}

async fn apply(
    adapter: &mut dyn Adapter,
    delta: &Delta,
    lacks: &mut Vec<String>,
) -> Result<Vec<FromSwitch>, Failure> {
    let received = Instant::now();
    let stamp = delta.stamp;
    match adapter.apply(delta).await {
        Ok(live) => {
            let (generation, live_after) = (live.generation, received.elapsed());
            info!(term = stamp.term, sequence = stamp.sequence, generation, ?live_after, "live");
            let mut answers = vec![FromSwitch::Applied { stamp, generation, live_after }];
            if live.lacks != *lacks {
                lacks.clone_from(&live.lacks);
                answers.push(FromSwitch::Lacks(live.lacks));
            }
            Ok(answers)
        }
        Err(Failure::Refused(reason)) => {
            warn!(term = stamp.term, sequence = stamp.sequence, "refused: {reason}");
            Ok(vec![FromSwitch::Refused { stamp, reason }])
        }
        Err(failure) => Err(failure),
    }
}
