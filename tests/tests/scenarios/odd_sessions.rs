//! Agents that stand still, die, have a double, repeat themselves, or come and go over
//! and over.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Puppet, eventually, l2};
use lb_control::proto::v1::{
    AgentHello, BackendReport, BindRequest, Heartbeat, agent_message::Kind,
};

/// The defaults' heartbeats: dead within a second.
const DEFAULT: &str = "interval = \"250ms\"";

fn events(lab: &Lab) -> Result<String> {
    lab.sluice(&["events"])?.stdout()
}

/// Waits until server 0 is down; how long that took.
fn until_down(lab: &Lab, begun: Instant) -> Result<Duration> {
    eventually(Duration::from_secs(10), "it to be down", || {
        let state = lab.state("www", 0)?;
        Ok((state.as_deref() == Some("down")).then(|| begun.elapsed()))
    })
    .with_context(|| lab.last_words())
}

#[test]
fn an_agent_that_stands_still_is_dead_within_a_second() -> Result<()> {
    let lab = Lab::build().service(l2("www")).agent_interval(DEFAULT).start()?;
    lab.freeze_agent(0, true)?;
    let took = until_down(&lab, Instant::now())?;
    // What is beyond the second is the asking, on a machine that has other work.
    ensure!(took > Duration::from_millis(600) && took < Duration::from_millis(2500), "{took:?}");
    let events = events(&lab)?;
    ensure!(events.contains("agent `server-1` is lost: silent for 1s"), "{events}");
    let answers = lab.get_many("www", 100)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-2", 1)])?;
    lab.freeze_agent(0, false)?;
    lab.wait_state("www", 0, Some("active"))
}

#[test]
fn an_agent_that_is_killed_is_dead_at_once() -> Result<()> {
    let mut lab = Lab::build().service(l2("www")).agent_interval(DEFAULT).start()?;
    lab.kill_agent(0)?;
    let took = until_down(&lab, Instant::now())?;
    ensure!(took < Duration::from_millis(2000), "{took:?}");
    let events = events(&lab)?;
    ensure!(events.contains("agent `server-1` is lost: its connection ended"), "{events}");
    // And is back as soon as it is started anew.
    lab.start_agent(0)?;
    lab.wait_state("www", 0, Some("active"))
}

#[test]
fn a_double_is_refused_until_the_first_is_gone() -> Result<()> {
    let mut lab = Lab::build().service(l2("www")).start()?;
    let config = lab.directory().join("server-1.toml");
    let text = std::fs::read_to_string(&config)?.replace(".sock", ".double.sock");
    let double = lab.directory().join("double.toml");
    std::fs::write(&double, text)?;
    let args = ["agent".as_ref(), "--config".as_ref(), double.as_os_str()];
    let mut double = lab.servers()[0].spawn("double", lab::binary()?, &args)?;
    eventually(Duration::from_secs(10), "the double to hear it", || {
        double.check_alive()?;
        let log = double.log();
        ensure!(log.contains("another agent named `server-1` is connected and heard"), "{log}");
        Ok(Some(()))
    })?;
    thread::sleep(Duration::from_secs(2));
    let log = events(&lab)?;
    ensure!(log.matches("agent.refused").count() == 1, "{log}");
    ensure!(!log.contains("agent.replaced") && !log.contains("agent.lost"), "{log}");
    ensure!(lab.state("www", 0)?.as_deref() == Some("active"));
    let status = lab.sluice(&["status"])?.stdout()?;
    ensure!(status.contains("two agents are named `server-1`"), "{status}");
    // The first dies as a host does: silently. The second then stands for it.
    lab.freeze_agent(0, true)?;
    lab.wait_state("www", 0, Some("down"))?;
    lab.wait_state("www", 0, Some("active"))?;
    lab.kill_agent(0)?;
    ensure!(double.log().contains("connected to"), "{}", double.log());
    Ok(())
}

/// A heartbeat of an agent that speaks for server 0.
fn beat(lab: &Lab, sequence: u64, healthy: bool) -> Kind {
    let (service, backend) = ("www".to_owned(), lab.backend("www", 0).to_string());
    let report = BackendReport { service, backend, healthy, ..BackendReport::default() };
    Kind::Heartbeat(Heartbeat { sequence, backends: vec![report] })
}

#[test]
fn heartbeats_that_are_repeated_reordered_or_replayed_are_no_sign_of_life() -> Result<()> {
    let mut lab = Lab::build().service(l2("www")).prepare()?;
    lab.start_sluice(&[])?;
    lab.start_agent(1)?;
    lab.wait_state("www", 1, Some("active"))?;
    let session = || {
        let (service, backend) = ("www".to_owned(), lab.backend("www", 0).to_string());
        let bind = BindRequest { service, backend, weight: 100, server_id: String::new() };
        let hello =
            AgentHello { name: "web".to_owned(), boot_id: 7, interval_ms: 250, binds: vec![bind] };
        Puppet::start(&lab.servers()[0], lab.manager_address(), hello)
    };
    let mut last = 0;
    let mut speak_until = |puppet: &Puppet, state: &str, fresh: bool| {
        eventually(Duration::from_secs(20), &format!("it to be {state}"), || {
            last += u64::from(fresh);
            puppet.say(beat(&lab, last, true));
            // Behind the newest: neither its good word nor its bad one counts.
            puppet.say(beat(&lab, last - 1, !fresh));
            Ok((lab.state("www", 0)?.as_deref() == Some(state)).then_some(()))
        })
        .with_context(|| lab.last_words())
    };
    let puppet = session();
    speak_until(&puppet, "active", true)?;
    lab.get_many("www", 100)?.spread.follows(&[("server-1", 1), ("server-2", 1)])?;
    // It says the last word over and over.
    speak_until(&puppet, "down", false)?;
    lab.get_many("www", 50)?.spread.follows(&[("server-2", 1)])?;
    puppet.stop()?;
    // Somebody has recorded it all, and plays it to the manager in another session.
    let replayed = session();
    for _ in 0..10 {
        (1..=last).for_each(|sequence| replayed.say(beat(&lab, sequence, true)));
        thread::sleep(Duration::from_millis(100));
        ensure!(lab.state("www", 0)?.as_deref() == Some("down"));
    }
    lab.get_many("www", 50)?.spread.follows(&[("server-2", 1)])?;
    ensure!(events(&lab)?.contains("agent.disordered"), "{}", events(&lab)?);
    Ok(())
}

#[test]
fn a_server_that_flaps_is_held_out_while_others_serve() -> Result<()> {
    let mut lab = Lab::build()
        .service(l2("www"))
        .manager("flap_damping = { losses = 3, hold = \"12s\" }")
        .start()?;
    let crowd = lab.crowd("www", 40)?.keep_asking();
    for _ in 0..3 {
        lab.kill_agent(0)?;
        lab.wait_state("www", 0, Some("down"))?;
        lab.start_agent(0)?;
        eventually(Duration::from_secs(10), "it to be heard", || {
            Ok((lab.state("www", 0)?.as_deref() != Some("down")).then_some(()))
        })?;
    }
    let held = lab.sluice(&["get", "backends", "-o", "wide"])?.stdout()?;
    ensure!(held.contains("draining, held out for") && held.contains("it flaps"), "{held}");
    lab.get_many("www", 100)?.spread.follows(&[("server-2", 1)])?;
    lab.wait_state("www", 0, Some("active"))?;
    ensure!(events(&lab)?.contains("binding.damped"));
    let (_, report) = crowd.stop();
    report.untouched()
}

#[test]
fn a_server_that_has_just_come_starts_slowly() -> Result<()> {
    let service = l2("www").settings("slow_start = { duration = \"4s\", steps = 4 }");
    let mut lab = Lab::build().service(service).start()?;
    let weight = || -> Result<u64> {
        let rows = lab.sluice_json(&["get", "backends", "www"])?;
        let address = lab.backend("www", 0).to_string();
        let rows = rows.as_array().context("not a list")?;
        let row = rows.iter().find(|row| row["address"] == address.as_str());
        row.and_then(|row| row["effective_weight"].as_u64()).context("no weight")
    };
    let full = || {
        eventually(Duration::from_secs(15), "the whole weight", || {
            Ok((weight()? == 100).then_some(()))
        })
    };
    full()?;
    lab.notify(0, &["failed", "for the test"])?.stdout()?;
    lab.wait_state("www", 0, Some("down"))?;
    lab.notify(0, &["ready"])?.stdout()?;
    let mut seen = Vec::new();
    eventually(Duration::from_secs(15), "the whole weight again", || {
        let active = lab.state("www", 0)?.as_deref() == Some("active");
        let now = weight()?;
        if active && seen.last() != Some(&now) {
            seen.push(now);
        }
        Ok((active && now == 100).then_some(()))
    })?;
    ensure!(seen == [10, 32, 55, 77, 100], "{seen:?}");
    lab.kill_agent(0)
}
