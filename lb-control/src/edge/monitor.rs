//! What monitors are answered by an edge: what it counts itself, also while no
//! manager is there.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use hyper::StatusCode;
use tokio::{net::TcpListener, task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::metrics::{self, Answer, Page};

/// Answers where the settings say so, until `stop`.
///
/// # Errors
/// The address cannot be had.
pub(super) async fn run(edge: Arc<Shared>, stop: CancellationToken) -> anyhow::Result<()> {
    let Some(address) = edge.settings.metrics else {
        stop.cancelled().await;
        return Ok(());
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}, which is `edge.metrics`"))?;
    tracing::info!("monitors are answered at http://{}/metrics", listener.local_addr()?);
    let started = Instant::now();
    let answer = move |path: String| {
        let edge = Arc::clone(&edge);
        async move {
            let uptime = started.elapsed();
            let answered = spawn_blocking(move || answer(&edge, &path, uptime)).await;
            answered.unwrap_or_else(|error| unavailable(&error.to_string()))
        }
    };
    metrics::serve(listener, answer, stop).await
}

fn answer(edge: &Shared, path: &str, uptime: Duration) -> Answer {
    match path {
        "/metrics" => match page(edge) {
            Ok(mut page) => {
                metrics::process(&mut page, uptime);
                Answer::metrics(page)
            }
            Err(error) => unavailable(&format!("counters cannot be read: {error}")),
        },
        // Its tables can be locked: no commit hangs.
        "/healthz" => {
            edge.plane().generation();
            Answer::text(StatusCode::OK, "ok\n".to_owned())
        }
        "/readyz" if *edge.managed.borrow() => {
            Answer::text(StatusCode::OK, "[+] managed\n".to_owned())
        }
        "/readyz" => unavailable("[-] managed: no manager is connected; it steers as it did last"),
        _ => {
            let there = "there are /metrics, /healthz and /readyz\n".to_owned();
            Answer::text(StatusCode::NOT_FOUND, there)
        }
    }
}

fn unavailable(why: &str) -> Answer {
    Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
}

fn page(edge: &Shared) -> anyhow::Result<Page> {
    let counters = edge.read_counters()?;
    let stamp = edge.plane().stamp();
    let name = edge.settings.name.as_str();
    let labels = [("switch", name)];
    let mut page = Page::default();
    page.gauge("sluice_build_info", "The edge's version; always 1.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], true);
    page.gauge("sluice_edge_managed", "Whether a manager is connected.")
        .sample(&labels, *edge.managed.borrow());
    page.gauge("sluice_edge_term", "Term of the last delta applied.").sample(&labels, stamp.term);
    page.gauge("sluice_edge_sequence", "Its number within that term.")
        .sample(&labels, stamp.sequence);
    page.gauge("sluice_switch_generation", "Number of the configuration that packets see.")
        .sample(&labels, counters.generation);
    let (times, changes) = edge.drifts.counts();
    page.counter(
        "sluice_edge_drifts_total",
        "How often something in the kernel was not as this edge had put it.",
    )
    .sample(&labels, times);
    page.counter("sluice_edge_drifted_changes_total", "Words, rows and ring slots that were not.")
        .sample(&labels, changes);
    metrics::counted(&mut page, &[(name, &counters)]);
    Ok(page)
}
