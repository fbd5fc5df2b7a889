//! `sluice trace` says what the edge does with a packet, and changes nothing.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, eventually, ipip, l2};
use serde_json::Value;

/// What the edge would do with a packet of this client.
fn trace(lab: &Lab, client: &str, more: &[&str]) -> Result<Value> {
    let config = lab.directory().join("sluice.toml");
    let vip = lab.vip("www").to_string();
    let mut args = vec!["trace", client, &vip, "--config", config.to_str().context("UTF-8")?];
    args.extend(more);
    lab.sluice_json(&args)
}

/// Of both kinds of packets: backend, who chose it, and the reason.
fn told(report: &Value) -> [&str; 3] {
    ["backend", "owner", "reason"].map(|field| report[field].as_str().unwrap_or("-"))
}

#[test]
fn it_names_service_slot_backend_and_next_hop() -> Result<()> {
    for service in [l2("www"), ipip("www")] {
        let lab = Lab::build().servers(2).service(service).start()?;
        let report = trace(&lab, "198.18.1.11:5", &["--new"])?;
        let [backend, owner, reason] = told(&report);
        ensure!(report["service"] == "www" && reason == "forward_new", "{report:#}");
        ensure!(owner.contains("current") && report["class"] == "default", "{report:#}");
        ensure!(report["current"] == backend && report["interface"] == "eth0", "{report:#}");
        ensure!(report["next_hop"].as_str().is_some_and(|mac| mac.len() == 17), "{report:#}");
        let established = trace(&lab, "198.18.1.11:5", &[])?;
        ensure!(told(&established)[2] == "forward_established", "{established:#}");
        // The servers were bound one after the other: old connections may be another's.
        ensure!(told(&established)[0] == established["settled"], "{established:#}");
        let udp = trace(&lab, "198.18.1.11:5", &["--protocol", "udp"])?;
        ensure!(udp["reason"] == "not_ours" && udp["service"].is_null(), "{udp:#}");
    }
    Ok(())
}

#[test]
fn it_counts_and_remembers_nothing() -> Result<()> {
    let lab = Lab::build().servers(2).service(l2("www")).start()?;
    let first = lab.backend("www", 0).to_string();
    // An agent's server with no connection comes to rest after a while: only
    // a connection that is open keeps the service moving for sure.
    let mut crowd = lab.crowd("www", 40)?;
    let (begun, forwarded) = eventually(Duration::from_secs(10), "its counters to tell", || {
        let now = (lab.counter("www", "new_connections")?, lab.reason("forward_new")?);
        Ok((now == (40, 40)).then_some(now))
    })?;
    lab.sluice(&["weight", "www", &first, "0"])?.stdout()?;
    let mut moving = 0;
    for port in 1..8 {
        crowd.ask().untouched()?;
        let client = format!("198.18.1.11:{port}");
        let new = trace(&lab, &client, &["--new"])?;
        ensure!(told(&new)[0] != first, "{new:#}");
        moving += u32::from(new["moving"] == true);
        // The new connection was not remembered: this is an old one.
        let old = trace(&lab, &client, &[])?;
        ensure!(old["settled"] == told(&old)[0], "{old:#}");
    }
    ensure!(moving > 0, "the service was at rest all the time");
    thread::sleep(Duration::from_millis(1500));
    ensure!(lab.counter("www", "new_connections")? == begun);
    ensure!(lab.reason("forward_new")? == forwarded);
    Ok(())
}

#[test]
fn it_says_what_admission_decides() -> Result<()> {
    let lab = Lab::build().servers(1).service(l2("www")).start()?;
    lab.sluice(&["drop", "www", "100"])?.stdout()?;
    let report = trace(&lab, "198.18.1.11:5", &["--new"])?;
    ensure!(
        report["reason"] == "refused_reset" && report["refused_percent"] == 100.0,
        "{report:#}"
    );
    Ok(())
}

#[test]
fn packets_are_watched_and_steered_as_before() -> Result<()> {
    let lab = Lab::build().servers(2).service(l2("www")).start()?;
    let config = lab.directory().join("sluice.toml");
    let config = config.to_str().context("UTF-8")?;
    let args =
        ["trace", "--watch", "--service", "www", "--for", "8s", "--config", config, "-o", "json"];
    let watched = thread::scope(|scope| -> Result<String> {
        let watch = scope.spawn(|| lab.sluice(&args)?.stdout());
        // It says nothing before the first packet, and a busy machine takes
        // its time to load a program.
        thread::sleep(Duration::from_secs(4));
        lab.get_many("www", 50)?.all_answered()?;
        watch.join().expect("the watcher ends")
    })?;
    let packets: Vec<Value> =
        watched.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let new = packets.iter().filter(|packet| packet["reason"] == "forward_new").count();
    ensure!(new == 50 && packets.len() > 200, "{new} of {} packets", packets.len());
    ensure!(packets.iter().all(|packet| packet["service"] == "www"), "{watched}");
    // It is over: nothing is told any more, and everything goes on.
    lab.get_many("www", 50)?.all_answered()
}

#[test]
fn where_no_edge_is_it_says_so() -> Result<()> {
    let lab = Lab::build().servers(1).service(l2("www")).start()?;
    let config = lab.directory().join("elsewhere.toml");
    std::fs::write(&config, "[edge]\ninterfaces = [\"eth0\"]\npin = \"/sys/fs/bpf/nowhere\"\n")?;
    let vip = lab.vip("www").to_string();
    let args = ["trace", "198.18.1.11:5", &vip, "--config", config.to_str().context("UTF-8")?];
    let outcome = lab.sluice(&args)?;
    let error = format!("{:#}", outcome.stdout().unwrap_err());
    ensure!(error.contains("is this the edge's host"), "{error}");
    Ok(())
}
