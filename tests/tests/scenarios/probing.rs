//! Backends are verified through the path that clients' packets take: a server
//! that no client could use is never bound, whatever its own address says.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Host, Lab, Service, eventually, gue, ipip, l2, nat};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// Takes the service's address from a server, or gives it back.
fn own(lab: &Lab, server: usize, service: &str, owned: bool) -> Result<()> {
    let vip = lab.vip(service).ip();
    let bits = if vip.is_ipv4() { 32 } else { 128 };
    let change = if owned { "add" } else { "del" };
    let args = ["addr", change, &format!("{vip}/{bits}"), "dev", "lo"];
    lab.servers()[server].run("ip", &args)?.stdout()?;
    Ok(())
}

fn row(lab: &Lab, service: &str, server: usize) -> Result<Value> {
    let address = lab.backend(service, server).to_string();
    let rows = lab.sluice_json(&["get", "backends"])?;
    let rows = rows.as_array().context("not a list")?;
    let row = rows.iter().find(|row| row["service"] == service && row["address"] == *address);
    row.cloned().with_context(|| format!("no {service}/{address}"))
}

/// Waits until a server is in this state for a reason with these words.
fn is_for(lab: &Lab, service: &str, server: usize, state: &str, words: &[&str]) -> Result<()> {
    eventually(PATIENCE, &format!("{state} for want of a way"), || {
        let row = row(lab, service, server)?;
        let reason = row["reason"].as_str().unwrap_or_default();
        ensure!(row["state"] == *state, "{row}");
        ensure!(words.iter().all(|word| reason.contains(word)), "{row}");
        Ok(Some(()))
    })
    .with_context(|| lab.last_words())
}

/// New connections go to these servers alone.
fn goes_to(lab: &Lab, service: &str, servers: &[&str]) -> Result<()> {
    let answers = lab.get_many(service, 100)?;
    answers.all_answered()?;
    let shares: Vec<_> = servers.iter().map(|name| (*name, 1)).collect();
    answers.spread.follows(&shares)
}

#[test]
fn a_server_without_the_services_address_is_never_bound() -> Result<()> {
    for service in [l2("www"), l2("www").v6()] {
        let mut lab = Lab::build().servers(2).service(service).prepare()?;
        own(&lab, 0, "www", false)?;
        lab.start_sluice(&[])?;
        (0..2).try_for_each(|server| lab.start_agent(server))?;
        lab.wait_state("www", 1, Some("active"))?;
        let (vip, own_address) = (lab.vip("www"), lab.backend("www", 0).ip());
        let asked = format!("no answer from {vip} through l2 to {own_address} within 1s");
        is_for(&lab, "www", 0, "pending", &[&asked, "on the server's lo"])?;
        ensure!(row(&lab, "www", 0)?["verified_by"] == "l2 by edge");
        let page = lab.sluice(&["describe", "backend", "www", &lab.backend("www", 0).to_string()]);
        let page = page?.stdout()?;
        ensure!(page.contains("by edge edge through l2: unhealthy: no answer from"), "{page}");
        let events = lab.sluice(&["events"])?.stdout()?;
        let of_it = lab.backend("www", 0).to_string();
        let bound = |line: &str| line.contains("binding.active") && line.contains(&of_it);
        ensure!(events.lines().any(|line| line.contains(&of_it)), "{events}");
        ensure!(!events.lines().any(bound), "{events}");
        goes_to(&lab, "www", &["server-2"])?;

        own(&lab, 0, "www", true)?;
        lab.wait_state("www", 0, Some("active"))?;
        goes_to(&lab, "www", &["server-1", "server-2"])?;
    }
    Ok(())
}

#[test]
fn a_static_backend_without_the_services_address_is_never_bound() -> Result<()> {
    let mut lab = Lab::build().servers(2).service(l2("www")).prepare()?;
    own(&lab, 0, "www", false)?;
    lab.start_sluice(&[])?;
    for server in 0..2 {
        lab.sluice(&["add", "www", &lab.backend("www", server).to_string()])?;
    }
    lab.wait_state("www", 1, Some("active"))?;
    is_for(&lab, "www", 0, "pending", &["no answer from", "through l2"])?;
    goes_to(&lab, "www", &["server-2"])
}

/// Nobody speaks for it but the probes.
#[test]
fn a_static_backend_that_dies_is_out_and_comes_back() -> Result<()> {
    let mut lab = Lab::build().servers(3).service(l2("www")).prepare()?;
    lab.start_sluice(&[])?;
    for server in 0..3 {
        lab.sluice(&["add", "www", &lab.backend("www", server).to_string()])?;
        lab.wait_state("www", server, Some("active"))?;
    }
    lab.kill_nginx(0)?;
    is_for(&lab, "www", 0, "down", &["refuses connections"])?;
    goes_to(&lab, "www", &["server-2", "server-3"])?;
    lab.start_nginx(0)?;
    lab.wait_state("www", 0, Some("active"))?;
    goes_to(&lab, "www", &["server-1", "server-2", "server-3"])
}

#[test]
fn a_server_that_loses_the_services_address_goes_and_comes_back() -> Result<()> {
    let lab = Lab::build().servers(3).service(l2("www")).start()?;
    own(&lab, 2, "www", false)?;
    is_for(&lab, "www", 2, "down", &["no answer from", "through l2"])?;
    goes_to(&lab, "www", &["server-1", "server-2"])?;
    own(&lab, 2, "www", true)?;
    lab.wait_state("www", 2, Some("active"))
}

#[test]
fn a_server_that_ends_no_ipip_tunnel_is_never_bound() -> Result<()> {
    without_decapsulation(ipip("www"))?;
    without_decapsulation(ipip("www").over_v6())
}

#[test]
fn a_server_that_ends_no_gue_tunnel_is_never_bound() -> Result<()> {
    without_decapsulation(gue("www"))?;
    without_decapsulation(gue("www").v6())
}

/// Agents end tunnels: without one, a server's own address answers, and no more.
fn without_decapsulation(service: Service) -> Result<()> {
    let mut lab = Lab::build().servers(2).service(service).prepare()?;
    lab.start_sluice(&[])?;
    lab.start_agent(1)?;
    let backend = lab.backend("www", 0).to_string();
    lab.sluice(&["add", "www", &backend])?;
    lab.wait_state("www", 1, Some("active"))?;
    is_for(&lab, "www", 0, "pending", &["no answer from", "does `sluice agent` end tunnels"])?;
    goes_to(&lab, "www", &["server-2"])?;
    lab.start_agent(0)?;
    lab.wait_state("www", 0, Some("active"))?;
    goes_to(&lab, "www", &["server-1", "server-2"])
}

#[test]
fn a_server_without_a_way_back_is_never_bound() -> Result<()> {
    let mut lab = Lab::build().servers(2).service(l2("www")).prepare()?;
    let (vip, edge) = (lab.vip("www").ip(), lab.edge().address(false));
    let rule = ["from", &vip.to_string(), "to", &edge.to_string(), "pref", "10", "blackhole"];
    lab.servers()[0].run("ip", &[&["rule", "add"], &rule[..]].concat())?.stdout()?;
    lab.start_sluice(&[])?;
    (0..2).try_for_each(|server| lab.start_agent(server))?;
    lab.wait_state("www", 1, Some("active"))?;
    is_for(&lab, "www", 0, "pending", &[&format!("has it a way back to {edge}")])?;
    lab.servers()[0].run("ip", &[&["rule", "del"], &rule[..]].concat())?.stdout()?;
    lab.wait_state("www", 0, Some("active"))
}

#[test]
fn who_refuses_is_not_bound_and_says_so() -> Result<()> {
    let mut lab =
        Lab::build().servers(2).service(l2("www").port(8003)).service(nat("api")).prepare()?;
    lab.kill_nginx(0)?;
    lab.start_sluice(&[])?;
    for service in ["www", "api"] {
        lab.sluice(&["add", service, &lab.backend(service, 0).to_string()])?;
    }
    let refuses = format!("{} through l2 to", lab.vip("www"));
    is_for(&lab, "www", 0, "pending", &[&refuses, "refuses connections"])?;
    is_for(&lab, "api", 0, "pending", &["connection refused"])
}

/// A host's counter of TCP.
fn tcp_counter(host: &Host, name: &str) -> Result<u64> {
    let text = host.run("cat", &["/proc/net/snmp"])?.stdout()?;
    let mut rows = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = rows.next().zip(rows.next()).context("no counters of TCP")?;
    let mut pairs = names.split(' ').zip(values.split(' '));
    let (_, value) = pairs.find(|(of, _)| *of == name).context("no such counter")?;
    Ok(value.parse()?)
}

#[test]
fn a_probe_leaves_nothing_behind() -> Result<()> {
    let lab =
        Lab::build().servers(1).service(l2("www")).service(ipip("tunnel").port(8003)).start()?;
    let server = &lab.servers()[0];
    let resets = tcp_counter(lab.edge(), "OutRsts")?;
    for service in ["www", "tunnel"] {
        let backend = lab.backend(service, 0).to_string();
        eventually(PATIENCE, "ten probes", || {
            let about = lab.sluice_json(&["describe", "backend", service, &backend])?;
            let run = about["probes"][0]["run"].as_u64().context("no run of probes")?;
            Ok((run >= 10).then_some(()))
        })?;
    }
    ensure!(tcp_counter(lab.edge(), "OutRsts")? == resets, "the edge's kernel answers by resets");
    eventually(PATIENCE, "no half-open connection", || {
        let open = server.run("ss", &["-Htn", "state", "syn-recv"])?.stdout()?;
        Ok(open.trim().is_empty().then_some(()))
    })
}

#[test]
fn an_edge_without_the_right_to_raw_sockets_leaves_it_to_the_manager() -> Result<()> {
    let mut lab = Lab::build().servers(1).service(l2("www")).prepare()?;
    lab.start_sluice_without("net_raw")?;
    lab.start_agent(0)?;
    lab.wait_state("www", 0, Some("active"))?;
    ensure!(row(&lab, "www", 0)?["verified_by"] == "backend");
    goes_to(&lab, "www", &["server-1"])
}
