//! A real HAProxy beside the edge, which asks the manager how its servers stand.

use std::{collections::BTreeMap, fmt::Write as _, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Client, Lab, Process, ask_name, eventually, nat};

const MANAGER: &str = "agent_check = { listen = \"127.0.0.1:7402\" }";
const PATIENCE: Duration = Duration::from_secs(10);
/// Where HAProxy listens, on the manager's host.
const FRONT: u16 = 18080;

/// HAProxy in front of service `api`, asking for each of its servers five times a second.
fn haproxy(lab: &Lab) -> Result<Process> {
    let mut config = format!(
        "global\n stats socket {} level admin\n\
         defaults\n mode tcp\n timeout connect 2s\n timeout client 60s\n timeout server 60s\n\
         frontend front\n bind *:{FRONT}\n default_backend api\n\
         backend api\n balance roundrobin\n",
        socket(lab)
    );
    for (index, server) in lab.servers().iter().enumerate() {
        let (name, address) = (server.name(), lab.backend("api", index));
        writeln!(
            config,
            " server {name} {address} weight 100 agent-check agent-addr 127.0.0.1 agent-port 7402 \
             agent-inter 200ms agent-send \"api {address}\\n\""
        )?;
    }
    let path = lab.directory().join("haproxy.cfg");
    fs::write(&path, config)?;
    let path = path.to_str().context("a path in UTF-8")?;
    lab.manager_host().spawn("haproxy", "haproxy", &["-db", "-f", path])
}

fn socket(lab: &Lab) -> String {
    lab.directory().join("haproxy.sock").display().to_string()
}

/// A command of HAProxy's Runtime API.
fn runtime(lab: &Lab, command: &str) -> Result<String> {
    let line = format!("echo '{command}' | socat -t 5 - UNIX-CONNECT:{}", socket(lab));
    lab.manager_host().run("sh", &["-c", &line])?.stdout()
}

/// Of each server what HAProxy shows of it.
fn shown(lab: &Lab) -> Result<Vec<BTreeMap<String, String>>> {
    let stat = runtime(lab, "show stat")?;
    let mut lines = stat.lines();
    let names: Vec<_> =
        lines.next().context("nothing")?.trim_start_matches("# ").split(',').collect();
    let row = |line: &str| -> BTreeMap<String, String> {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .zip(line.split(',').map(str::to_owned))
            .collect()
    };
    let is_server = |row: &BTreeMap<String, String>| {
        let name = row.get("svname").map(String::as_str);
        name.is_some_and(|name| name.starts_with("server-"))
    };
    Ok(lines.map(row).filter(is_server).collect())
}

/// Waits until HAProxy shows these weights, and states that begin so.
fn wait_shown(lab: &Lab, expected: &[(&str, &str)]) -> Result<()> {
    eventually(PATIENCE, &format!("HAProxy to show {expected:?}"), || {
        let rows = shown(lab)?;
        let seen: Vec<_> =
            rows.iter().map(|row| (row["weight"].as_str(), row["status"].as_str())).collect();
        let alike = seen.len() == expected.len()
            && seen.iter().zip(expected).all(|(s, e)| s.0 == e.0 && s.1.starts_with(e.1));
        Ok(alike.then_some(()))
    })
}

/// How many of so many new connections through HAProxy each server has had.
fn spread(lab: &Lab, count: usize) -> Result<BTreeMap<String, usize>> {
    let front = (std::net::Ipv4Addr::LOCALHOST, FRONT).into();
    let mut spread = BTreeMap::new();
    for attempt in Client::of(lab.manager_host()).connect_many(front, count)? {
        *spread.entry(ask_name(&attempt.stream?)?).or_default() += 1;
    }
    Ok(spread)
}

#[test]
fn haproxy_follows_what_bindings_weigh_and_takes_out_what_is_not_well() -> Result<()> {
    let mut lab = Lab::build().manager(MANAGER).servers(2).service(nat("api")).start()?;
    let _haproxy = haproxy(&lab)?;
    let up = "no check";
    wait_shown(&lab, &[("100", up), ("100", up)])?;
    let first = lab.backend("api", 0).to_string();

    lab.sluice(&["weight", "api", &first, "25"])?.stdout()?;
    wait_shown(&lab, &[("25", up), ("100", up)])?;
    let seen = spread(&lab, 50)?;
    // HAProxy's round robin is exact.
    ensure!(seen["server-1"] == 10 && seen["server-2"] == 40, "{seen:?}");

    // A graceful removal: no new connections, and the old ones go on.
    let front = (std::net::Ipv4Addr::LOCALHOST, FRONT).into();
    let old = Client::of(lab.manager_host()).connect_many(front, 10)?;
    let names = |old: &[lab::Attempt]| -> Result<Vec<String>> {
        let stream = |a: &lab::Attempt| a.stream.as_ref().ok().map(ask_name);
        old.iter().map(|a| Ok(stream(a).context("not connected")??)).collect()
    };
    let before = names(&old)?;
    ensure!(before.iter().any(|name| name == "server-1"), "{before:?}");
    lab.sluice(&["remove", "api", &first, "--deadline", "60s"])?.stdout()?;
    wait_shown(&lab, &[("0", up), ("100", up)])?;
    let seen = spread(&lab, 20)?;
    ensure!(seen.len() == 1 && seen["server-2"] == 20, "{seen:?}");
    ensure!(names(&old)? == before, "untouched");
    lab.sluice(&["remove", "api", &first, "--force"])?.stdout()?;
    wait_shown(&lab, &[("0", "DOWN (agent)"), ("100", up)])?;
    let last = &shown(&lab)?[0]["last_agt"];
    ensure!(last.contains("removed by the operator"), "{last}");
    lab.sluice(&["add", "api", &first])?.stdout()?;
    wait_shown(&lab, &[("100", up), ("100", up)])?;

    // What HAProxy's own operator says comes first.
    let second = lab.backend("api", 1).to_string();
    for state in ["maint", "drain"] {
        runtime(&lab, &format!("set server api/server-1 state {state}"))?;
        // While it asks for the other twice, it asks for this one at least once.
        for weight in ["50", "100"] {
            lab.sluice(&["weight", "api", &second, weight])?.stdout()?;
            wait_shown(&lab, &[("100", &state.to_uppercase()), (weight, up)])?;
        }
        runtime(&lab, "set server api/server-1 state ready")?;
        wait_shown(&lab, &[("100", up), ("100", up)])?;
    }

    // A server dies.
    lab.kill_nginx(1)?;
    wait_shown(&lab, &[("100", up), ("100", "DOWN (agent)")])?;

    // A manager that is gone, or has just begun, takes nobody out.
    lab.kill_sluice()?;
    let rows = |lab: &Lab, what: &str| {
        eventually(PATIENCE, "HAProxy to ask again", || {
            let rows = shown(lab)?;
            Ok(rows
                .iter()
                .all(|row| row["agent_status"].trim_start_matches("* ") == what)
                .then_some(rows))
        })
    };
    let alone = rows(&lab, "L4CON")?;
    ensure!(alone[0]["status"] == up && alone[0]["weight"] == "100", "{alone:?}");
    lab.start_sluice(&[])?;
    let watched = eventually(PATIENCE, "the manager to know again", || {
        let rows = shown(&lab)?;
        ensure!(rows[0]["status"] == up && rows[0]["weight"] == "100", "{:?}", rows[0]);
        Ok((rows[0]["agent_status"] == "L7OK").then_some(rows))
    })?;
    ensure!(watched[0]["last_agt"].contains("up"), "{:?}", watched[0]);
    ensure!(spread(&lab, 10)?["server-1"] == 10);
    Ok(())
}
