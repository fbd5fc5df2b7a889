//! A manager on one core with 10,000 agents and 100 edges: what it takes, how
//! soon the edges know that a thousand agents died, and how soon all of them have
//! a change.
//!
//! The manager is `sluice manager`, a process on a core of its own. Agents and
//! edges share the other core; each has a connection of its own over loopback.
//! The agents that die are a process, which is killed, so that the kernel closes
//! their connections, or is stopped, so that they fall silent.

mod agents;
mod edges;
mod site;

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::runtime::Builder;

pub(super) use self::agents::alone as agents_alone;
use self::site::Site;
use super::{Filter, pin_to_core, report::Percentiles};
use crate::packet::routed;

const AGENTS: u32 = 10_000;
/// Of them, those that die at once.
const VICTIMS: u32 = 1000;
const EDGES: usize = 100;
const SERVICES: u32 = 10;
/// Between two heartbeats of an agent.
const BEAT: Duration = Duration::from_secs(1);
/// What it says that it is at the most: a heartbeat that comes later is missed.
const PROMISE: Duration = Duration::from_millis(1150);

const MANAGER_CORE: &str = "0";
const OTHERS_CORE: &str = "1";

const NAME: &str = "crowd/agents=10000/edges=100";

/// What was seen.
pub(super) struct Seen {
    /// Sessions of agents that were well.
    lost: usize,
    /// From the first connection until every edge has every binding.
    filled: Duration,
    /// CPU seconds of the manager a second, while nothing changes, and how long it
    /// waited for its core because of others.
    cpu: f64,
    waited: f64,
    /// What each edge's counters of all backends take besides, once a second.
    counters: f64,
    /// Bytes of its memory then, and at the most so far.
    memory: u64,
    most: u64,
    /// From the manager's decision until the last edge has acknowledged it.
    delta: Percentiles,
    /// From the agents' death until an edge has heard of one, of all of both.
    killed: Percentiles,
    frozen: Percentiles,
}

pub(super) fn measure(filter: &Filter) -> Result<Option<Seen>> {
    if !filter.takes("manager", NAME) {
        return Ok(None);
    }
    let seen = routed(|| {
        pin_to_core(OTHERS_CORE.parse()?)?;
        let directory = tempfile::tempdir()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Site::measure(directory.path()))
    });
    seen.map(Some)
}

pub(super) fn print(seen: Option<&Seen>) {
    let Some(seen) = seen else { return };
    println!("\na manager on one core, {AGENTS} agents and {EDGES} edges");
    println!("  filled after {:.1?}; agents lost that were well: {}", seen.filled, seen.lost);
    let [memory, most] = [seen.memory, seen.most].map(|bytes| bytes >> 20);
    println!(
        "  at rest {:.2} of a core (others kept it waiting {:.2}), {memory} MiB, {most} at the most \
         so far",
        seen.cpu, seen.waited
    );
    println!("  counters, from each edge that sends them, {:.4} of a core", seen.counters);
    println!("  {:48}  {:>9}  {:>9}  {:>9}", "", "p50", "p99", "most");
    let lines = [
        ("a change until the last edge acknowledges it", seen.delta),
        ("1000 agents killed, until an edge knows", seen.killed),
        ("1000 agents frozen, until an edge knows", seen.frozen),
    ];
    for (name, Percentiles { p50, p99, most }) in lines {
        let [p50, p99, most] = [p50, p99, most].map(|time| format!("{time:.1?}"));
        println!("  {name:48}  {p50:>9}  {p99:>9}  {most:>9}");
    }
}

pub(super) fn rows(seen: Option<&Seen>) -> Vec<Value> {
    let row = |seen: &Seen| {
        json!({
            "case": NAME,
            "lost": seen.lost,
            "filled_ns": seen.filled.as_nanos() as u64,
            "cpu": seen.cpu,
            "waited": seen.waited,
            "counters": seen.counters,
            "memory": seen.memory,
            "most_memory": seen.most,
            "delta": seen.delta.json(),
            "killed": seen.killed.json(),
            "frozen": seen.frozen.json(),
        })
    };
    seen.map(row).into_iter().collect()
}
