//! Several edges at once: one that is slow, dead or empty holds up no other.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, binary, eventually, l2};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);
/// A delta that waits for another edge takes the operator's whole patience,
/// which is 8 seconds.
const AT_ONCE: f64 = 2.0;

/// Gives a command, also where not every switch has it live: outcomes by switch.
fn say(lab: &Lab, words: &[&str]) -> Result<BTreeMap<String, Value>> {
    let outcome = lab.sluice(&[words, &["-o", "json"]].concat())?;
    let answer: Value = serde_json::from_str(&outcome.stdout)
        .with_context(|| format!("{words:?}: {} {}", outcome.stdout, outcome.stderr))?;
    let switches = answer["switches"].as_array().context("no switches")?;
    let named = |switch: &Value| Some((switch["name"].as_str()?.to_owned(), switch.clone()));
    Ok(switches.iter().filter_map(named).collect())
}

fn events(lab: &Lab, kind: &str, switch: &str) -> Result<usize> {
    let events = lab.sluice_json(&["events"])?;
    let of = |event: &&Value| event["kind"] == kind && event["switch"] == switch;
    Ok(events.as_array().context("no list")?.iter().filter(of).count())
}

fn wait_in_step(lab: &Lab, edge: usize) -> Result<()> {
    eventually(PATIENCE, "the edge to have caught up", || {
        let switch = lab.switch(edge)?;
        let in_step = switch["connected"] == true
            && switch["sequence_live"] == switch["sequence_sent"]
            && switch["last_error"].is_null();
        ensure!(in_step, "{switch}");
        Ok(Some(()))
    })
}

#[test]
fn a_slow_and_a_dead_edge_delay_no_other() -> Result<()> {
    let mut lab = Lab::build().edges(3).clients(3).servers(3).service(l2("www")).start()?;
    let crowds = (0..3).map(|client| Ok(lab.crowd_by(client, "www", 20)?.keep_asking()));
    let crowds = crowds.collect::<Result<Vec<_>>>()?;
    let all = [("server-1", 1), ("server-2", 1), ("server-3", 1)];
    for client in 0..3 {
        let answers = lab.get_many_by(client, "www", 150)?;
        answers.all_answered()?;
        answers.spread.follows(&all)?;
    }
    lab.freeze_edge(1, true)?;
    lab.kill_edge_at(2)?;
    eventually(PATIENCE, "the manager to miss the dead edge", || {
        ensure!(lab.switch(2)?["connected"] == false);
        Ok(Some(()))
    })?;

    let first = lab.backend("www", 0).to_string();
    let begun = Instant::now();
    let outcomes = say(&lab, &["weight", "www", &first, "0"])?;
    // The answer waits for the slow one, and the delta to the first has not.
    ensure!(begun.elapsed() > Duration::from_secs(5), "it waited {:?}", begun.elapsed());
    ensure!(outcomes["edge"]["live"] == true, "{outcomes:?}");
    let after = outcomes["edge"]["live_after_seconds"].as_f64().context("no time")?;
    ensure!(after < AT_ONCE, "the first edge waited {after} s");
    for (lagging, why) in [("edge-2", "not acknowledged yet"), ("edge-3", "not connected")] {
        let outcome = &outcomes[lagging];
        let said = outcome["error"].as_str().unwrap_or_default();
        ensure!(outcome["live"] == false && said.starts_with(why), "{outcomes:?}");
    }
    // Their programs steer on, each by what its edge has.
    let rest = [("server-2", 1), ("server-3", 1)];
    for (client, shares) in [(0, &rest[..]), (1, &all), (2, &all)] {
        let answers = lab.get_many_by(client, "www", 150)?;
        answers.all_answered()?;
        answers.spread.follows(shares)?;
    }

    lab.freeze_edge(1, false)?;
    wait_in_step(&lab, 1)?;
    lab.get_many_by(1, "www", 150)?.spread.follows(&rest)?;
    // Back, it is reconciled: it has missed a delta.
    lab.spawn_edge_at(2)?;
    eventually(PATIENCE, "the dead edge to be reconciled", || {
        Ok((events(&lab, "switch.reconciled", "edge-3")? == 1).then_some(()))
    })?;
    wait_in_step(&lab, 2)?;
    lab.get_many_by(2, "www", 150)?.spread.follows(&rest)?;
    for crowd in crowds {
        crowd.stop().1.untouched()?;
    }
    Ok(())
}

#[test]
fn a_wiped_edge_is_refilled() -> Result<()> {
    let mut lab = Lab::build().edges(2).clients(2).service(l2("www")).start()?;
    let crowd = lab.crowd_by(0, "www", 20)?.keep_asking();
    lab.kill_edge_at(1)?;
    lab.wipe_edge(1)?;
    let lost = lab.get_many_by(1, "www", 5)?;
    ensure!(lost.all_answered().is_err(), "nobody steers any more, and all is answered");
    lab.get_many_by(0, "www", 50)?.all_answered()?;
    lab.spawn_edge_at(1)?;
    eventually(PATIENCE, "the empty edge to be refilled", || {
        Ok((events(&lab, "switch.refilled", "edge-2")? == 2).then_some(()))
    })?;
    wait_in_step(&lab, 1)?;
    let answers = lab.get_many_by(1, "www", 100)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-1", 1), ("server-2", 1)])?;
    crowd.stop().1.untouched()
}

#[test]
fn a_manager_killed_in_the_middle_of_a_delta_loses_nothing() -> Result<()> {
    let mut lab = Lab::build().edges(2).clients(2).servers(3).service(l2("www")).start()?;
    let crowds = [0, 1].map(|client| lab.crowd_by(client, "www", 20));
    let crowds = crowds.into_iter().map(|crowd| Ok(crowd?.keep_asking()));
    let crowds = crowds.collect::<Result<Vec<_>>>()?;
    lab.freeze_edge(1, true)?;
    // The first edge has it, the second one's is under way.
    let first = lab.backend("www", 0).to_string();
    let socket = format!("unix:{}", lab.directory().join("manager/sluice.sock").display());
    let words = ["--manager", &socket, "weight", "www", &first, "0"];
    let mut command = lab.manager_host().spawn("weight", binary()?, &words)?;
    eventually(PATIENCE, "the first edge to have it", || {
        let switch = lab.switch(1)?;
        ensure!(switch["sequence_live"] != switch["sequence_sent"], "{switch}");
        let answers = lab.get_many_by(0, "www", 60)?;
        Ok(answers.spread.follows(&[("server-2", 1), ("server-3", 1)]).is_ok().then_some(()))
    })?;
    ensure!(command.exited()?.is_none(), "the command is answered already: {}", command.log());
    lab.kill_manager()?;
    lab.freeze_edge(1, false)?;
    lab.start_manager()?;
    for edge in 0..2 {
        wait_in_step(&lab, edge)?;
        eventually(PATIENCE, "what was asked for to be so", || {
            let answers = lab.get_many_by(edge, "www", 60)?;
            answers.all_answered()?;
            Ok(answers.spread.follows(&[("server-2", 1), ("server-3", 1)]).is_ok().then_some(()))
        })?;
    }
    for crowd in crowds {
        crowd.stop().1.untouched()?;
    }
    Ok(())
}

#[test]
fn what_nobody_vouches_for_goes_after_the_learning_period_and_not_before() -> Result<()> {
    let mut lab = Lab::build()
        .edges(2)
        .clients(2)
        .servers(3)
        .service(l2("www"))
        .manager("missed_heartbeats = 8")
        .start()?;
    let crowd = lab.crowd_by(1, "www", 30)?.keep_asking();
    lab.kill_manager()?;
    // Its server is well, and nobody speaks for it any more.
    lab.kill_agent(2)?;
    lab.start_manager()?;
    lab.wait_state("www", 2, Some("draining"))?;
    let told = lab.sluice_json(&["events"])?;
    let at = |kind: &str| {
        let events = told.as_array()?;
        events.iter().position(|event| event["kind"] == kind)
    };
    let learned = at("manager.learned").context("no end of learning")?;
    let unvouched = at("binding.unvouched").with_context(|| format!("{told:#}"))?;
    ensure!(learned < unvouched, "{told:#}");
    for client in 0..2 {
        let answers = lab.get_many_by(client, "www", 150)?;
        answers.all_answered()?;
        answers.spread.follows(&[("server-1", 1), ("server-2", 1)])?;
    }
    // It drains: nobody's connection is broken by that.
    crowd.stop().1.untouched()
}
