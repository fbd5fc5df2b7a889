//! A switch's session with a manager on another host: over gRPC, taken up
//! again whenever it ends.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::{
    config::TlsSettings,
    model::{Delta, FromSwitch, Name, Stamp, ToSwitch},
    proto::{
        MAX_SWITCH_MESSAGE,
        v1::{self, edge_command::Kind, edges_client::EdgesClient},
    },
    transport::{self, Backoff},
};

/// Messages that may wait in either direction.
const CAPACITY: usize = 64;
/// How long the switch may take to end its session once the manager is gone.
const LET_GO: Duration = Duration::from_secs(2);
/// A session of this length was a good one: the next wait is short again.
const GOOD: Duration = Duration::from_secs(30);

/// Keeps the session `session` with the manager at `manager` (`HOST:PORT` or
/// `unix:/path`) until `shutdown`. The switch goes on with what it holds
/// whenever there is no manager.
///
/// `session` is the switch's side: it says hello on the first channel, applies
/// what comes from the second, and ends when that is closed.
///
/// # Errors
/// None but at `shutdown`: what fails is logged and tried again.
pub async fn run<F, Fut>(
    name: Name,
    manager: &str,
    tls: Option<&TlsSettings>,
    session: F,
    shutdown: CancellationToken,
) -> anyhow::Result<()>
where
    F: Fn(mpsc::Sender<FromSwitch>, mpsc::Receiver<ToSwitch>) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let mut backoff = Backoff::new();
    loop {
        let begun = Instant::now();
        let outcome = once(&name, manager, tls, &session, &shutdown).await;
        if shutdown.is_cancelled() {
            return Ok(());
        }
        if begun.elapsed() >= GOOD {
            backoff.reset();
        }
        let wait = backoff.next_wait();
        match outcome {
            Ok(()) => tracing::warn!(%name, manager, ?wait, "the manager ended the session"),
            Err(error) => {
                tracing::warn!(%name, manager, ?wait, "no session with the manager: {error:#}")
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// One session, from connecting to its end.
async fn once<F, Fut>(
    name: &Name,
    manager: &str,
    tls: Option<&TlsSettings>,
    session: &F,
    shutdown: &CancellationToken,
) -> anyhow::Result<()>
where
    F: Fn(mpsc::Sender<FromSwitch>, mpsc::Receiver<ToSwitch>) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let channel = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        channel = transport::connect(manager, tls) => channel?,
    };
    let mut client = EdgesClient::new(channel)
        .max_decoding_message_size(MAX_SWITCH_MESSAGE)
        .max_encoding_message_size(MAX_SWITCH_MESSAGE);
    let (to_manager, outbound) = mpsc::channel(CAPACITY);
    let (to_switch, from_manager) = mpsc::channel(CAPACITY);
    let refusals = to_manager.clone();
    let switch = session(to_manager, from_manager);
    tokio::pin!(switch);
    let wire = async {
        let outbound = ReceiverStream::new(outbound).map(v1::EdgeMessage::from);
        let inbound =
            client.session(outbound).await.map_err(lost).context("the manager took no session")?;
        tracing::info!(%name, manager, "connected to the manager");
        deliver(inbound.into_inner(), to_switch, refusals).await
    };
    let outcome = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        outcome = wire => outcome,
        outcome = &mut switch => return outcome.context("the switch's side of the session failed"),
    };
    // The wire's end has closed both channels; the switch ends what it is at.
    match timeout(LET_GO, switch).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%name, "the switch's side of the session: {error:#}"),
        Err(_) => tracing::warn!(%name, "the switch did not end its session within {LET_GO:?}"),
    }
    outcome
}

/// Hands the manager's commands to the switch until the stream ends.
async fn deliver(
    mut inbound: Streaming<v1::EdgeCommand>,
    to_switch: mpsc::Sender<ToSwitch>,
    refusals: mpsc::Sender<FromSwitch>,
) -> anyhow::Result<()> {
    while let Some(command) = inbound.message().await.map_err(lost)? {
        let taken = match command.kind {
            Some(Kind::Delta(delta)) => {
                let stamp = Stamp { term: delta.term, sequence: delta.sequence };
                match Delta::try_from(delta) {
                    Ok(delta) => to_switch.send(ToSwitch::Apply(delta)).await.is_ok(),
                    Err(error) => {
                        let reason = format!("it cannot be read: {error}");
                        refusals.send(FromSwitch::Refused { stamp, reason }).await.is_ok()
                    }
                }
            }
            Some(Kind::Probes(orders)) => {
                let orders = orders.try_into().context("the manager's probes cannot be read")?;
                to_switch.send(ToSwitch::Probe(orders)).await.is_ok()
            }
            None => anyhow::bail!(
                "the manager sent a command that this version does not know: upgrade the edge"
            ),
        };
        if !taken {
            return Ok(());
        }
    }
    Ok(())
}

fn lost(status: tonic::Status) -> anyhow::Error {
    anyhow::anyhow!("{}", transport::call_failure(&status))
}
