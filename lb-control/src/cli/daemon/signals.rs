//! SIGTERM and SIGINT.

use anyhow::Context as _;
use nix::sys::signal::{SigSet, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// A token that the first SIGTERM or SIGINT cancels. The second ends the
/// process at once.
pub(super) fn shutdown() -> anyhow::Result<CancellationToken> {
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        info!("{}: stopping", next(&mut terminate, &mut interrupt).await);
        stop.cancel();
        warn!("{} again: ending at once", next(&mut terminate, &mut interrupt).await);
        std::process::exit(1);
    });
    Ok(token)
}

/// Signals that wait, so that what is half done is not left behind.
pub(super) struct Held(SigSet);

/// Has SIGTERM and SIGINT wait, for this thread and those that it starts.
pub(super) fn hold() -> anyhow::Result<Held> {
    let held = SigSet::from_iter([Number::SIGTERM, Number::SIGINT]);
    held.thread_block().context("signals cannot be held back")?;
    Ok(Held(held))
}

impl Held {
    /// As [`shutdown`]: what has come meanwhile comes now. On the thread that
    /// held them.
    pub(super) fn release(self) -> anyhow::Result<CancellationToken> {
        let token = shutdown()?;
        self.0.thread_unblock().context("signals cannot be let through")?;
        Ok(token)
    }
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot listen for signals")
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
