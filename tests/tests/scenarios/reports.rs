//! What the command line says is what happened.

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, eventually, l2};
use serde_json::Value;
use std::time::Duration;

/// The element of `list` whose `field` is `value`.
fn find<'a>(list: &'a Value, field: &str, value: &str) -> Result<&'a Value> {
    let found = list.as_array().and_then(|list| list.iter().find(|one| one[field] == value));
    found.with_context(|| format!("no {field} {value} in {list:#}"))
}

#[test]
fn counters_add_up() -> Result<()> {
    let lab = Lab::build().servers(2).service(l2("www")).start()?;
    let answers = lab.get_many("www", 100)?;
    answers.all_answered()?;
    lab.sluice(&["drop", "www", "100"])?.stdout()?;
    ensure!(lab.get_many("www", 20)?.refused == 20);
    // An edge reports once a second.
    eventually(Duration::from_secs(5), "the counters to arrive", || {
        let counters = lab.sluice_json(&["counters"])?;
        let service = find(&counters["services"], "service", "www")?;
        ensure!(service["new_connections"] == 100, "{service:#}");
        ensure!(service["refused_reset"] == 20, "{service:#}");
        let class = find(&counters["classes"], "class", "default")?;
        ensure!(class["admitted"] == 100 && class["refused"] == 20, "{class:#}");
        for (index, server) in lab.servers().iter().enumerate() {
            let address = lab.backend("www", index).to_string();
            let backend = find(&counters["backends"], "backend", &address)?;
            ensure!(backend["new_connections"] == answers.spread.of(server.name()), "{backend:#}");
        }
        let refused = find(&counters["reasons"], "reason", "refused_reset")?;
        ensure!(refused["packets"] == 20 && refused["fate"] == "reset", "{refused:#}");
        let sick = ["inconsistent", "rewrite_failed", "malformed_tcp", "malformed_ip"];
        for reason in sick {
            ensure!(find(&counters["reasons"], "reason", reason)?["packets"] == 0, "{counters:#}");
        }
        Ok(Some(()))
    })
}

#[test]
fn events_tell_the_story_in_order() -> Result<()> {
    let mut lab = Lab::build().servers(1).service(l2("www")).start()?;
    lab.kill_agent(0)?;
    lab.wait_state("www", 0, Some("down"))?;
    lab.start_agent(0)?;
    lab.wait_state("www", 0, Some("active"))?;
    let printed = lab.sluice_json(&["events"])?;
    let events = printed.as_array().context("not a list")?;
    let address = lab.backend("www", 0).to_string();
    let states: Vec<_> = events
        .iter()
        .filter(|event| event["backend"] == address.as_str())
        .filter_map(|event| event["kind"].as_str())
        .filter(|kind| ["binding.active", "binding.down"].contains(kind))
        .collect();
    ensure!(states == ["binding.active", "binding.down", "binding.active"], "{printed:#}");
    let numbers: Vec<_> = events.iter().filter_map(|event| event["sequence"].as_u64()).collect();
    ensure!(numbers.len() == events.len() && numbers.is_sorted_by(|a, b| a < b), "{printed:#}");
    Ok(())
}

#[test]
fn status_counts_what_is_there() -> Result<()> {
    let lab = Lab::build().servers(3).service(l2("www")).start()?;
    let status = lab.sluice_json(&["status"])?;
    for (field, number) in [
        ("services", 1),
        ("backends_active", 3),
        ("backends_total", 3),
        ("agents", 3),
        ("switches_connected", 1),
    ] {
        ensure!(status[field] == number, "{field}: {status:#}");
    }
    ensure!(status["alarms"].as_array().is_some_and(Vec::is_empty), "{status:#}");
    let switches = lab.sluice_json(&["get", "switches"])?;
    let description = switches[0]["description"].as_str().unwrap_or_default();
    ensure!(description.contains("native") && description.contains("eth0"), "{switches:#}");
    Ok(())
}
