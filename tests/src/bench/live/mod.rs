//! From an application's event, or an operator's command, until packets obey it
//! on a real edge: with manager and edge in one process, as `sluice run` has them,
//! and with each in a process of its own, over TCP. The agent is a process of its
//! own in both, and the event is a line on its socket.

mod site;
mod tap;

use std::time::Duration;

use anyhow::Result;
use lb_control::model::{Binding, Phase};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::sleep};

use self::site::Site;
use super::{
    Filter,
    commits::{introduce_servers, with_pins},
    report::Percentiles,
};
use crate::packet::routed;

/// Events of each kind.
const EVENTS: u32 = 150;
/// Between two of them. An agent sends eight between two heartbeats.
const PAUSE: Duration = Duration::from_millis(70);

/// Where manager and edge are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    OneProcess,
    OverTcp,
}

const PLACES: [(&str, Where); 2] =
    [("one process", Where::OneProcess), ("over TCP", Where::OverTcp)];

const FAILED: &str = "application: failed";
const READY: &str = "application: ready";
/// What happens, by turns with its opposite where it has one. One that is ready is
/// verified first: its agent runs its check, here a command.
const KINDS: [&str; 4] = ["application: a weight", FAILED, READY, "operator: a weight"];

/// One line of the table.
pub(super) struct Lag {
    case: String,
    times: Percentiles,
}

/// Those that the filter takes.
pub(super) fn measure(filter: &Filter) -> Result<Vec<Lag>> {
    let mut lags = Vec::new();
    for (place, at) in PLACES {
        let name = |kind: &&str| format!("{place}/{kind}");
        let kinds = KINDS.into_iter().filter(|kind| filter.takes("live", &name(kind)));
        let kinds: Vec<_> = kinds.collect();
        if kinds.is_empty() {
            continue;
        }
        eprintln!("until live, {place}");
        let seen = routed(|| {
            introduce_servers()?;
            with_pins(|edge, pins| {
                let directory = pins.parent().unwrap_or(pins);
                Runtime::new()?.block_on(Site::run(at, directory, edge, async |site| {
                    let mut seen = Vec::new();
                    for &kind in &kinds {
                        seen.push(repeat(site, kind).await?);
                    }
                    Ok(seen)
                }))
            })
        })?;
        let lag = |(kind, times)| Lag { case: name(kind), times: Percentiles::of(times) };
        lags.extend(kinds.iter().zip(seen).map(lag));
    }
    Ok(lags)
}

/// How long each event takes.
async fn repeat(site: &mut Site, kind: &str) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for n in 0..EVENTS {
        sleep(PAUSE).await;
        let weight = 50 + n as u16 % 3;
        let weighs = move |binding: &Binding| binding.weight == weight;
        times.push(match kind {
            "application: a weight" => site.notify(&format!("weight {weight}"), weighs).await?,
            FAILED | READY => {
                let enters = |phase| move |binding: &Binding| binding.phase == phase;
                let failed = site.notify("failed a test", enters(Phase::Drain)).await?;
                sleep(PAUSE).await;
                let ready = site.notify("ready", enters(Phase::Serve)).await?;
                if kind == FAILED { failed } else { ready }
            }
            _ => site.weigh(weight, weighs).await?,
        });
    }
    Ok(times)
}

pub(super) fn print(lags: &[Lag]) {
    if lags.is_empty() {
        return;
    }
    println!("\n{:42}  {:>9}  {:>9}", "until an event is live on an edge", "p50", "p99");
    for Lag { case, times } in lags {
        let [p50, p99] = [times.p50, times.p99].map(|time| format!("{time:.1?}"));
        println!("{case:42}  {p50:>9}  {p99:>9}");
    }
}

pub(super) fn rows(lags: &[Lag]) -> Vec<Value> {
    lags.iter().map(|lag| json!({"case": lag.case, "times": lag.times.json()})).collect()
}
