//! External switches: each has a task that keeps a session with it, and one with
//! the core.

use std::{collections::BTreeSet, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{engine::Handle, sessions};
use crate::{
    config::{Settings, SwitchSettings},
    core::Input,
    switch::{self, Planned, Shape, dialects},
};

/// Messages that may wait in either direction.
const CAPACITY: usize = 64;
/// The waits after a failure double from the first to the last of these.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// After a session of this length the next wait is short again.
const GOOD: Duration = Duration::from_secs(30);

/// An adapter of each external switch of the file.
///
/// # Errors
/// What is wrong with its settings.
pub(super) fn open(settings: &Settings) -> anyhow::Result<Vec<(SwitchSettings, Planned)>> {
    let open = |switch: &SwitchSettings| {
        let dialect = dialects::find(&switch.kind).map_err(anyhow::Error::msg)?;
        let device = (dialect.make)(switch).map_err(anyhow::Error::msg)?;
        let services: BTreeSet<_> = switch.services.iter().cloned().collect();
        let shape = Shape {
            capabilities: device.capabilities(),
            services: (!services.is_empty()).then_some(services),
            drop_servers: switch.drop_servers.clone(),
        };
        let specs = settings.services.iter().map(|service| service.spec());
        let planned = Planned::new(device, shape, (switch.poll, switch.verify), specs);
        Ok((switch.clone(), planned))
    };
    settings.switches.iter().map(open).collect()
}

/// Keeps a switch in step until `stop`, whatever becomes of it.
pub(super) async fn keep(
    settings: SwitchSettings,
    mut adapter: Planned,
    handle: Handle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let name = settings.name;
    let mut wait = WAITS.0;
    loop {
        let begun = Instant::now();
        let (to_manager, from_switch) = mpsc::channel(CAPACITY);
        let (to_switch, from_manager) = mpsc::channel(CAPACITY);
        let core = tokio::spawn(sessions::local(handle.clone(), (from_switch, to_switch)));
        let outcome = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            outcome = switch::session(&name, &mut adapter, to_manager, from_manager) => outcome,
        };
        // The core knows of the session's end before it hears why.
        drop(core.await);
        if stop.is_cancelled() {
            return Ok(());
        }
        if begun.elapsed() >= GOOD {
            wait = WAITS.0;
        }
        let pause = wait.mul_f64(0.5 + fastrand::f64() / 2.0);
        wait = (wait * 2).min(WAITS.1);
        match outcome {
            Ok(()) => tracing::warn!(switch = %name, ?pause, "the manager ended its session"),
            Err(failure) => {
                tracing::warn!(switch = %name, ?pause, "tried again: {failure}");
                let why = failure.to_string();
                // A core that has stopped needs no telling.
                drop(handle.input(Input::Unreachable { switch: name.clone(), why }).await);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(pause) => {}
        }
    }
}
