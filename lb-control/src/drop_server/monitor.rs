//! What monitors are answered by a drop server.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use anyhow::Context as _;
use hyper::StatusCode;
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;

use super::Tally;
use crate::metrics::{self, Answer, Page};

pub(super) async fn run(
    address: SocketAddr,
    tally: Arc<Tally>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}, which is --metrics"))?;
    let started = Instant::now();
    let answer = move |path: String| {
        let tally = Arc::clone(&tally);
        async move {
            match path.as_str() {
                "/metrics" => {
                    let mut page = page(&tally);
                    metrics::process(&mut page, started.elapsed());
                    Answer::metrics(page)
                }
                "/healthz" | "/readyz" => Answer::text(StatusCode::OK, "ok\n".to_owned()),
                _ => {
                    let there = "there are /metrics, /healthz and /readyz\n".to_owned();
                    Answer::text(StatusCode::NOT_FOUND, there)
                }
            }
        }
    };
    metrics::serve(listener, answer, stop).await
}

fn page(tally: &Tally) -> Page {
    let mut page = Page::default();
    let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    page.gauge("sluice_build_info", "The drop server's version; always 1.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], true);
    page.counter("sluice_drop_server_connections_total", "Connections taken, to be refused.")
        .sample(&[], load(&tally.accepted));
    page.gauge("sluice_drop_server_held", "Connections that are held now.")
        .sample(&[], load(&tally.held));
    page.counter(
        "sluice_drop_server_beyond_total",
        "Connections that were reset at once since as many as may be were held.",
    )
    .sample(&[], load(&tally.beyond));
    page.counter("sluice_drop_server_given_up_total", "Held connections that their clients ended.")
        .sample(&[], load(&tally.given_up));
    page
}
