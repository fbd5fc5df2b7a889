//! The core's surroundings: gRPC, timers, probes, the intent file.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `engine` | the one task that owns the core, and the handle that others hold |
//! | `outbox` | what goes out to a peer: bounded, and never waited for |
//! | `sessions` | gRPC sessions of agents and switches |
//! | `control` | gRPC of the command line |
//! | `declaration` | the intent as text: what `sluice export` and `apply` carry |
//! | `events` | the last events, and those who follow them |
//! | `select` | which of them somebody asks for |
//! | `probe` | TCP probes |
//! | `intent` | the intent file |
//! | `listen` | sockets |
//! | `agent_check` | how bindings stand, for balancers that ask |
//! | `feedback` | DFP agents on servers |
//! | `monitor` | `/metrics`, `/healthz`, `/readyz` |
//! | `external` | external switches, each with a task of its own |
//! | `rate` | how much a session may send |

mod agent_check;
mod control;
mod declaration;
mod engine;
mod events;
mod external;
mod feedback;
mod intent;
mod listen;
mod monitor;
mod outbox;
mod probe;
mod rate;
mod select;
mod sessions;

use std::time::Duration;

use anyhow::Context as _;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::{
    agent_check::AgentCheck, engine::Engine, intent::IntentFile, listen::Listeners,
    monitor::Monitor,
};
use crate::{
    config::Settings,
    core::{Core, CoreSettings},
    model::{FromSwitch, ToSwitch},
};

/// A switch in the same process.
pub type LocalSwitch = (mpsc::Receiver<FromSwitch>, mpsc::Sender<ToSwitch>);

/// How long a stop may take.
const STOP: Duration = Duration::from_millis(1500);

/// Runs the connection manager until `shutdown`. The data plane is left as it is.
///
/// # Errors
/// The configuration contradicts itself, a socket cannot be had, the intent
/// file is damaged or in use, or a server failed; says what to do.
pub async fn run(
    settings: Settings,
    local: Option<LocalSwitch>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let core_settings =
        CoreSettings::try_from(&settings).context("the configuration cannot be used")?;
    let listeners = Listeners::open(&settings).await?;
    let monitor = Monitor::open(&settings).await?;
    let agent_check = AgentCheck::open(&settings).await?;
    let external = external::open(&settings).context("the configuration cannot be used")?;
    let file = IntentFile::open(&settings.manager.intent)?;
    let mut intent = file.load()?;
    intent.term += 1;
    file.save(&intent)?;
    tracing::info!(term = intent.term, listen = %listeners.address()?, "the manager starts");
    let core = Core::new(core_settings, intent).context("the configuration cannot be used")?;

    let stop = shutdown.child_token();
    let mut tasks = JoinSet::new();
    let (engine, handle) = Engine::new(core, file, settings.manager.keep_events, &stop, &mut tasks);
    tasks.spawn(engine.run());
    if settings.tls.is_some() && settings.manager.allow.is_empty() {
        tracing::warn!(
            "no [[manager.allow]]: over the network nobody may do anything, not even with a \
             certificate"
        );
    }
    listeners.serve(&handle, &settings, &stop, &mut tasks)?;
    if let Some(monitor) = monitor {
        tasks.spawn(monitor.serve(handle.clone(), stop.clone()));
    }
    if let Some(agent_check) = agent_check {
        tasks.spawn(agent_check.serve(handle.clone(), stop.clone()));
    }
    for dfp in &settings.manager.dfp {
        tasks.spawn(feedback::hear(dfp.clone(), handle.clone(), stop.clone()));
    }
    if let Some(local) = local {
        tokio::spawn(sessions::local(handle.clone(), local));
    }
    for (switch, adapter) in external {
        tasks.spawn(external::keep(switch, adapter, handle.clone(), stop.clone()));
    }
    drop(handle);

    let outcome = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        // Nothing here ends before it is told to.
        Some(ended) = tasks.join_next() => {
            flatten(ended).and_then(|()| anyhow::bail!("a task of the manager ended by itself"))
        }
    };
    stop.cancel();
    let ended = timeout(STOP, async {
        let mut outcome = outcome;
        while let Some(ended) = tasks.join_next().await {
            outcome = outcome.and(flatten(ended));
        }
        outcome
    });
    match ended.await {
        Ok(outcome) => outcome,
        Err(_) => {
            tracing::warn!(
                "some clients did not let go within {STOP:?}; the manager stops without them"
            );
            Ok(())
        }
    }
}

fn flatten(ended: Result<anyhow::Result<()>, JoinError>) -> anyhow::Result<()> {
    ended.context("a task of the manager failed")?
}

#[cfg(test)]
mod tests;
