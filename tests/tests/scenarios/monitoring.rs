//! What monitors are answered, and how far a state can be followed back.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Host, Lab, eventually, l2, nat};
use serde_json::Value;

const METRICS: &str = "metrics = \"127.0.0.1:9740\"";

/// Status and body of a path that monitors ask for.
fn ask(lab: &Lab, path: &str) -> Result<(u16, String)> {
    ask_at(lab.manager_host(), 9740, path)
}

fn ask_at(host: &Host, port: u16, path: &str) -> Result<(u16, String)> {
    let url = format!("http://127.0.0.1:{port}{path}");
    let args = ["--silent", "--max-time", "10", "--write-out", "\n%{http_code}", &url];
    let answer = host.run("curl", &args)?.stdout()?;
    let (body, status) = answer.rsplit_once('\n').context("no status")?;
    Ok((status.parse()?, body.to_owned()))
}

/// The sum of a metric's samples that have each of `labels`.
fn sum(page: &str, metric: &str, labels: &[&str]) -> Result<f64> {
    let mut sum = None;
    for line in page.lines() {
        let (sample, value) = line.rsplit_once(' ').context("no value")?;
        let (name, rest) = sample.split_once('{').unwrap_or((sample, ""));
        if name == metric && labels.iter().all(|label| rest.contains(label)) {
            *sum.get_or_insert(0.0) += value.parse::<f64>()?;
        }
    }
    sum.with_context(|| format!("no {metric} with {labels:?} in:\n{page}"))
}

#[test]
fn prometheus_takes_what_the_manager_counts() -> Result<()> {
    let mut lab =
        Lab::build().manager(METRICS).servers(2).service(l2("www")).service(nat("api")).start()?;
    lab.get_many("www", 60)?.all_answered()?;
    lab.get_many("api", 40)?.all_answered()?;
    lab.sluice(&["drop", "www", "100"])?.stdout()?;
    ensure!(lab.get_many("www", 20)?.refused == 20);
    // An edge reports once a second.
    let page = eventually(Duration::from_secs(10), "the counters to arrive", || {
        let (status, page) = ask(&lab, "/metrics")?;
        ensure!(status == 200, "{status}");
        for (metric, labels, expected) in [
            ("sluice_service_new_connections_total", ["service=\"www\""].as_slice(), 60.0),
            ("sluice_service_new_connections_total", &["service=\"api\""], 40.0),
            ("sluice_backend_new_connections_total", &["service=\"www\""], 60.0),
            (
                "sluice_service_refused_connections_total",
                &["service=\"www\"", "verdict=\"reset\""],
                20.0,
            ),
            ("sluice_class_connections_total", &["outcome=\"refused\""], 20.0),
            ("sluice_packets_total", &["reason=\"refused_reset\"", "fate=\"reset\""], 20.0),
            ("sluice_service_refused_ratio", &["service=\"www\""], 1.0),
            ("sluice_backend_active", &[], 4.0),
            ("sluice_agents", &[], 2.0),
            ("sluice_switch_in_step", &["switch=\"edge\""], 1.0),
            ("sluice_alarms", &[], 0.0),
        ] {
            let seen = sum(&page, metric, labels)?;
            ensure!(seen == expected, "{metric} with {labels:?} is {seen}, not {expected}");
        }
        Ok(Some(page))
    })?;
    ensure!(sum(&page, "sluice_switch_delta_live_seconds_count", &[])? >= 2.0, "{page}");
    ensure!(sum(&page, "sluice_agent_heartbeat_age_seconds", &[])? < 2.0, "{page}");
    ensure!(sum(&page, "process_cpu_seconds_total", &[])? > 0.0, "{page}");

    let path = lab.directory().join("metrics");
    fs::write(&path, &page)?;
    let check = |path: &str| {
        let command = format!("promtool check metrics < {path}");
        lab.manager_host().run("sh", &["-c", &command])
    };
    let verdict = check(&path.display().to_string())?;
    ensure!(verdict.success() && verdict.stderr.is_empty(), "{verdict:?}");
    // It does say what is wrong.
    fs::write(&path, page.replace("_total", ""))?;
    ensure!(!check(&path.display().to_string())?.success());

    ensure!(ask(&lab, "/healthz")? == (200, "ok\n".to_owned()));
    is_ready(&lab)?;
    lab.stop_sluice()?;
    ensure!(ask(&lab, "/healthz").is_err(), "nobody is there");
    Ok(())
}

/// A manager that has just started learns first.
fn is_ready(lab: &Lab) -> Result<()> {
    eventually(Duration::from_secs(20), "the manager to be ready", || {
        let (status, body) = ask(lab, "/readyz")?;
        ensure!(status == 200, "{status}: {body}");
        Ok(Some(()))
    })
}

#[test]
fn a_manager_without_its_edge_is_not_ready() -> Result<()> {
    let mut lab = Lab::build().manager(METRICS).roles_apart().service(l2("www")).start()?;
    is_ready(&lab)?;
    lab.kill_edge()?;
    eventually(Duration::from_secs(20), "the manager to be unready", || {
        let (status, body) = ask(&lab, "/readyz")?;
        ensure!(status == 503 && body.contains("[-] switch-in-step"), "{status}: {body}");
        Ok(Some(()))
    })?;
    ensure!(ask(&lab, "/healthz")?.0 == 200);
    let (_, page) = ask(&lab, "/metrics")?;
    ensure!(sum(&page, "sluice_switch_connected", &[])? == 0.0, "{page}");
    lab.start_edge(&[])?;
    is_ready(&lab)?;
    Ok(())
}

#[test]
fn an_edge_is_asked_also_while_no_manager_is_there() -> Result<()> {
    let mut lab = Lab::build()
        .edge("metrics = \"127.0.0.1:9741\"")
        .servers(2)
        .roles_apart()
        .service(l2("www"))
        .start()?;
    let ask = |lab: &Lab, path: &str| ask_at(lab.edge(), 9741, path);
    ensure!(ask(&lab, "/readyz")? == (200, "[+] managed\n".to_owned()));
    lab.kill_manager()?;
    eventually(Duration::from_secs(10), "the edge to be alone", || {
        let (status, body) = ask(&lab, "/readyz")?;
        ensure!(status == 503 && body.starts_with("[-] managed: "), "{status}: {body}");
        Ok(Some(()))
    })?;
    ensure!(ask(&lab, "/healthz")?.0 == 200);
    lab.get_many("www", 50)?.all_answered()?;
    let (status, page) = ask(&lab, "/metrics")?;
    ensure!(status == 200, "{status}: {page}");
    let labels = ["switch=\"edge\"", "service=\"www\""];
    ensure!(sum(&page, "sluice_service_new_connections_total", &labels)? == 50.0, "{page}");
    ensure!(sum(&page, "sluice_edge_managed", &[])? == 0.0, "{page}");
    ensure!(sum(&page, "sluice_edge_sequence", &[])? >= 1.0, "{page}");
    let path = lab.directory().join("metrics");
    fs::write(&path, &page)?;
    let command = format!("promtool check metrics < {}", path.display());
    let verdict = lab.edge().run("sh", &["-c", &command])?;
    ensure!(verdict.success() && verdict.stderr.is_empty(), "{verdict:?}");
    Ok(())
}

/// The last event of a kind.
fn last<'a>(events: &'a Value, kind: &str) -> Result<&'a Value> {
    let events = events.as_array().context("not a list")?;
    let event = events.iter().rfind(|event| event["kind"] == kind);
    event.with_context(|| format!("no {kind} in {events:#?}"))
}

#[test]
fn why_a_killed_server_gets_no_connections() -> Result<()> {
    let mut lab = Lab::build().servers(3).roles_apart().service(l2("www")).start()?;
    let address = lab.backend("www", 0).to_string();
    lab.kill_agent(0)?;
    lab.wait_state("www", 0, Some("down"))?;
    let events = lab.sluice_json(&["events", "--service", "www", "--backend", &address])?;
    // What happened, what follows from it, and what carried it.
    let (lost, down, live) = (
        last(&events, "agent.lost")?,
        last(&events, "binding.down")?,
        last(&events, "delta.live")?,
    );
    ensure!(down["cause"] == lost["sequence"], "{events:#}");
    let decided = down["sequence"].as_u64().context("no number")?;
    let delta = &live["delta"];
    let carried = (delta["events_after"].as_u64(), delta["events_until"].as_u64());
    ensure!(carried.0 < Some(decided) && Some(decided) <= carried.1, "{events:#}");
    ensure!(live["switch"] == "edge", "{events:#}");
    let after = delta["live_after_seconds"].as_f64().context("no time")?;
    ensure!((0.0..1.0).contains(&after) && after > 0.0, "{after}");
    // Nothing of the others.
    let other = lab.backend("www", 1).to_string();
    let all = events.as_array().context("not a list")?;
    ensure!(all.iter().all(|event| event["backend"] != other.as_str()), "{events:#}");

    let page = lab.sluice_json(&["describe", "backend", "www", &address])?;
    ensure!(page["state"] == "down" && page["agent_session"].is_null(), "{page:#}");
    ensure!(page["reason"].as_str().is_some_and(|why| why.contains("server-1")), "{page:#}");
    let edge = &page["switches"][0];
    ensure!(edge["switch"] == "edge" && edge["in_step"] == true, "{page:#}");
    ensure!(edge["phase"] == "drain", "{page:#}");
    ensure!(edge["live"]["sequence"] == delta["sequence"], "{page:#}");
    ensure!(edge["live"]["generation"].as_u64() > Some(0), "{page:#}");
    ensure!(last(&page["events"], "delta.live")?["sequence"] == live["sequence"], "{page:#}");

    // Back again, told on a page for people.
    lab.start_agent(0)?;
    lab.wait_state("www", 0, Some("active"))?;
    let page = lab.sluice(&["describe", "backend", "www", &address])?.stdout()?;
    for words in [
        "State:        active, for ",
        "Agent:        server-1, heard ",
        "Check:        healthy\n",
        "Application:  ready\n",
        "in step  serve, weight 100",
        "binding.active",
        "delta.live",
    ] {
        ensure!(page.contains(words), "no `{words}` in:\n{page}");
    }
    Ok(())
}

#[test]
fn services_and_switches_on_a_page() -> Result<()> {
    let lab = Lab::build().servers(2).service(l2("www")).service(nat("api")).start()?;
    lab.get_many("www", 10)?.all_answered()?;
    lab.sluice(&["drop", "www", "50", "--by", "client"])?.stdout()?;
    eventually(Duration::from_secs(5), "the counters to arrive", || {
        let page = lab.sluice_json(&["describe", "service", "www"])?;
        let counters = &page["counters"];
        ensure!(counters["services"][0]["new_connections"] == 10, "{page:#}");
        ensure!(counters["services"].as_array().map(Vec::len) == Some(1), "{page:#}");
        ensure!(page["backends"].as_array().map(Vec::len) == Some(2), "{page:#}");
        ensure!(page["policies"][0]["refuse_percent"] == 50.0, "{page:#}");
        last(&page["events"], "policy.changed")?;
        Ok(Some(()))
    })?;
    let page = lab.sluice(&["describe", "switch", "edge"])?.stdout()?;
    for words in
        ["Switch:       edge\n", "State:        connected\n", "in step", "delta.live", "api/"]
    {
        ensure!(page.contains(words), "no `{words}` in:\n{page}");
    }
    let refused = lab.sluice(&["describe", "switch", "egde"])?;
    ensure!(refused.stderr.contains("did you mean `edge`"), "{refused:?}");
    Ok(())
}
