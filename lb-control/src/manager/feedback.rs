//! DFP agents on servers: each has a task that keeps a connection to it.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::engine::Handle;
use crate::{
    config::DfpSettings,
    core::Input,
    dfp::{self, Patience},
};

/// Words of an agent that may wait for the core.
const CAPACITY: usize = 16;

/// Hears an agent until `stop`, whatever becomes of it.
pub(super) async fn hear(
    settings: DfpSettings,
    handle: Handle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let DfpSettings { name, address, keepalive, retries, interval, timeout, .. } = settings;
    let patience = Patience {
        keepalive: u32::try_from(keepalive.as_secs()).unwrap_or(u32::MAX),
        retries,
        interval,
        connect: timeout,
    };
    let (to, mut from) = mpsc::channel(CAPACITY);
    let pass_on = async {
        while let Some(message) = from.recv().await {
            tracing::debug!(agent = %name, "{message:?}");
            let input = Input::Dfp { agent: name.clone(), message };
            if handle.input(input).await.is_err() {
                break; // The manager stops.
            }
        }
    };
    tokio::select! {
        () = dfp::keep(move || dfp::connect(address), patience, to) => {}
        () = pass_on => {}
        () = stop.cancelled() => {}
    }
    // Nothing here ends before it is told to.
    stop.cancelled().await;
    Ok(())
}
