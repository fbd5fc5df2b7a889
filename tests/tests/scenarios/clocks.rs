//! Clocks that jump and clocks that disagree. Nothing goes by the time of day, which
//! is shown with events and is what certificates are checked by; silence, drains and
//! what is remembered go by monotonic clocks, each by that of its own process.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, eventually, l2};

const PATIENCE: Duration = Duration::from_secs(30);
const DAY: i64 = 86_400;

fn events(lab: &Lab, kind: &str) -> Result<usize> {
    let events = lab.sluice_json(&["events"])?;
    Ok(events.as_array().context("no list")?.iter().filter(|event| event["kind"] == kind).count())
}

/// Many times their timeout: every agent would be silent, if time alone counted.
#[test]
fn a_manager_that_stood_still_loses_nobody() -> Result<()> {
    let lab = Lab::build().servers(4).service(l2("www")).roles_apart().start()?;
    let crowd = lab.crowd("www", 40)?.keep_asking();
    for _ in 0..5 {
        lab.freeze_manager(true)?;
        thread::sleep(Duration::from_secs(2));
        lab.freeze_manager(false)?;
        lab.sluice(&["status"])?.stdout()?;
        // Longer than their timeout.
        thread::sleep(Duration::from_secs(1));
    }
    let told = lab.sluice(&["events"])?.stdout()?;
    for kind in ["agent.lost", "binding.down", "binding.unknown", "switch.disconnected"] {
        ensure!(events(&lab, kind)? == 0, "{kind}:\n{told}");
    }
    // It has not become blind: who is silent now is lost.
    lab.freeze_agent(0, true)?;
    lab.wait_state("www", 0, Some("down"))?;
    lab.freeze_agent(0, false)?;
    lab.wait_state("www", 0, Some("active"))?;
    crowd.stop().1.untouched()
}

/// Manager, edge and agents have clocks that are days apart, and an agent and the edge
/// come back with earlier ones, as after a reboot.
#[test]
fn clocks_that_disagree_decide_nothing() -> Result<()> {
    let mut lab = Lab::build().servers(3).service(l2("www")).roles_apart().prepare()?;
    lab.start_manager()?;
    lab.start_edge_ahead(10 * DAY)?;
    for (server, ahead) in [(0, 400 * DAY), (1, 0), (2, DAY)] {
        lab.start_agent_ahead(server, ahead)?;
        lab.wait_state("www", server, Some("active"))?;
    }
    let all = [("server-1", 1), ("server-2", 1), ("server-3", 1)];
    lab.get_many("www", 150)?.spread.follows(&all)?;

    // While a server leaves, flows on its slots are remembered, with the time.
    let old = lab.crowd("www", 40)?.keep_asking();
    let leaving = lab.backend("www", 2).to_string();
    lab.sluice(&["remove", "www", &leaving, "--deadline", "60s"])?.stdout()?;
    let young = lab.crowd("www", 60)?.keep_asking();
    thread::sleep(Duration::from_secs(4));
    lab.kill_edge()?;
    lab.start_edge_ahead(0)?;
    thread::sleep(Duration::from_secs(4));
    old.stop().1.untouched()?;
    young.stop().1.untouched()?;
    // None of them is left, as its agent has counted.
    lab.wait_state("www", 2, None)?;

    // Its clock is 400 days behind what it was.
    lab.kill_agent(0)?;
    lab.wait_state("www", 0, Some("down"))?;
    lab.start_agent_ahead(0, 0)?;
    lab.wait_state("www", 0, Some("active"))?;
    // Asked with a heartbeat, the agent closes what is broken, by its own clock.
    let kept = lab.crowd("www", 20)?;
    let first = lab.backend("www", 0).to_string();
    lab.sluice(&["remove", "www", &first, "--force"])?.stdout()?;
    eventually(PATIENCE, "its connections to be closed", || {
        Ok((events(&lab, "connections.closed")? > 0).then_some(()))
    })?;
    drop(kept);
    lab.freeze_agent(1, true)?;
    lab.wait_state("www", 1, Some("down"))
}
