//! What monitors are answered: `/metrics`, `/healthz`, `/readyz`.

mod families;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use hyper::StatusCode;
use tokio::{net::TcpListener, sync::Semaphore, task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;

use self::families::Snapshot;
use super::engine::Handle;
use crate::{
    config::Settings,
    metrics::{self, Answer},
};

/// A core that does not answer for this long does not work.
const PATIENCE: Duration = Duration::from_secs(5);

/// The open socket for monitors.
pub(super) struct Monitor(TcpListener);

impl Monitor {
    /// None where no address is set.
    ///
    /// # Errors
    /// The address cannot be had.
    pub(super) async fn open(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(address) = settings.manager.metrics else { return Ok(None) };
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}, which is `manager.metrics`"))?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            tracing::warn!(
                "everybody who reaches {address} (`manager.metrics`) can read names, addresses and \
                 counts"
            );
        }
        tracing::info!("monitors are answered at http://{address}/metrics");
        Ok(Some(Self(listener)))
    }

    /// Answers until `stop`.
    pub(super) async fn serve(self, handle: Handle, stop: CancellationToken) -> anyhow::Result<()> {
        // One scrape at a time, however many monitors there are.
        let turn = Arc::new(Semaphore::new(1));
        let answer = move |path| answer(handle.clone(), Arc::clone(&turn), path);
        metrics::serve(self.0, answer, stop).await
    }
}

async fn answer(handle: Handle, turn: Arc<Semaphore>, path: String) -> Answer {
    let asked = async {
        match path.as_str() {
            "/metrics" => scrape(&handle, &turn).await,
            "/readyz" => ready(&handle).await,
            "/healthz" => handle
                .query(|_, _| ())
                .await
                .map(|()| Answer::text(StatusCode::OK, "ok\n".to_owned())),
            _ => {
                let there = "there are /metrics, /healthz and /readyz\n".to_owned();
                Ok(Answer::text(StatusCode::NOT_FOUND, there))
            }
        }
    };
    let unavailable = |why: &str| Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(status)) => unavailable(status.message()),
        Err(_) => unavailable(&format!("the manager's core does not answer within {PATIENCE:?}")),
    }
}

/// Everything there is to measure. The core only copies; the text is made elsewhere.
async fn scrape(handle: &Handle, turn: &Semaphore) -> Result<Answer, tonic::Status> {
    let stopping = |_| tonic::Status::unavailable("the manager is stopping");
    let _turn = turn.acquire().await.map_err(stopping)?;
    let snapshot = handle.query(Snapshot::take).await?;
    let uptime = handle.started.elapsed();
    let page = spawn_blocking(move || {
        let mut page = snapshot.page();
        metrics::process(&mut page, uptime);
        page
    });
    let page = page.await.map_err(|error| tonic::Status::internal(error.to_string()))?;
    Ok(Answer::metrics(page))
}

/// Whether the manager can be relied on, and what is missing if not.
async fn ready(handle: &Handle) -> Result<Answer, tonic::Status> {
    let conditions = handle.query(|core, _| core.readiness()).await?;
    let all = conditions.iter().all(|(_, holds)| holds.is_ok());
    let line = |(name, holds): &(&str, Result<(), String>)| match holds {
        Ok(()) => format!("[+] {name}\n"),
        Err(why) => format!("[-] {name}: {why}\n"),
    };
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(Answer::text(status, conditions.iter().map(line).collect()))
}
