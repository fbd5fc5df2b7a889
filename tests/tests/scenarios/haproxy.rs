//! HAProxy between clients and servers, as a switch of the manager's.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use lab::{Haproxy, Lab, Proxy, eventually, nat};

const PATIENCE: Duration = Duration::from_secs(20);

/// Three servers with agents; `www` (IPv4) and `six` (IPv6) in mode `tcp`, `web` in
/// mode `http`, by HAProxy on the edge's host.
struct Site {
    haproxy: Haproxy,
    proxies: Vec<Proxy>,
    lab: Lab,
}

impl Site {
    fn start() -> Result<Self> {
        let lab = Lab::build().servers(3).external();
        let lab = lab.service(nat("www")).service(nat("six").v6()).service(nat("web"));
        let mut lab = lab.prepare()?;
        let mut proxies =
            ["www", "six", "web"].map(|name| Proxy::new(name, Some(lab.vip(name)))).to_vec();
        proxies[2].mode = "http";
        let haproxy = Haproxy::start(lab.edge(), "haproxy", &proxies)?;
        lab.add_tables(&format!(
            "[[switch]]\nname = \"lb\"\nkind = \"haproxy\"\npoll = \"200ms\"\n\
             [switch.options]\naddress = \"unix:{}\"\n\
             backends = {{ www = \"be_www\", six = \"be_six\", web = \"be_web\" }}",
            haproxy.socket().display()
        ));
        lab.start_manager()?;
        for server in 0..3 {
            lab.start_agent(server)?;
        }
        for service in ["www", "six", "web"] {
            for server in 0..3 {
                lab.wait_state(service, server, Some("active"))?;
            }
        }
        Ok(Self { haproxy, proxies, lab })
    }

    fn weigh(&self, service: &str, server: usize, weight: u32) -> Result<()> {
        let backend = self.lab.backend(service, server).to_string();
        self.lab.sluice(&["weight", service, &backend, &weight.to_string()])?.stdout()?;
        self.lab.wait_switch_in_step()
    }

    fn follows(&self, service: &str, weights: [u32; 3]) -> Result<()> {
        let answers = self.lab.get_many(service, 200)?;
        answers.all_answered()?;
        let [first, second, third] = weights;
        answers.spread.follows(&[("server-1", first), ("server-2", second), ("server-3", third)])
    }
}

#[test]
fn shares_follow_weights() -> Result<()> {
    let site = Site::start()?;
    for service in ["www", "six", "web"] {
        site.follows(service, [1, 1, 1])?;
        site.weigh(service, 0, 30)?;
        site.weigh(service, 1, 0)?;
        site.follows(service, [30, 0, 100])?;
        site.weigh(service, 1, 1000)?;
        site.follows(service, [30, 1000, 100])?;
    }
    Ok(())
}

/// Connections to servers that are kept for later requests are no reason to stay.
#[test]
fn servers_come_and_go_in_mode_http_too() -> Result<()> {
    let site = Site::start()?;
    site.follows("web", [1, 1, 1])?;
    let backend = site.lab.backend("web", 0).to_string();
    site.lab.sluice(&["remove", "web", &backend, "--wait"])?.stdout()?;
    eventually(PATIENCE, "the server to be deleted", || {
        Ok((site.haproxy.servers("be_web")?.len() == 2).then_some(()))
    })?;
    site.follows("web", [0, 1, 1])?;
    site.lab.sluice(&["add", "web", &backend])?.stdout()?;
    site.lab.wait_state("web", 0, Some("active"))?;
    site.follows("web", [1, 1, 1])
}

/// Connections begun before, between and after changes, kept busy all the while.
#[test]
fn no_change_breaks_a_connection() -> Result<()> {
    let site = Site::start()?;
    let lab = &site.lab;
    let mut crowds = Vec::new();
    for service in ["www", "six"] {
        crowds.push(lab.crowd(service, 30)?.keep_asking());
    }
    for round in 0..6 {
        for service in ["www", "six"] {
            let leaving = lab.backend(service, round % 3).to_string();
            lab.sluice(&["remove", service, &leaving, "--deadline", "10m"])?.stdout()?;
            crowds.push(lab.crowd(service, 10)?.keep_asking());
            site.weigh(service, (round + 1) % 3, 20 + 40 * u32::try_from(round)?)?;
            thread::sleep(Duration::from_millis(200));
            lab.sluice(&["add", service, &leaving])?.stdout()?;
            lab.wait_state(service, round % 3, Some("active"))?;
            crowds.push(lab.crowd(service, 10)?.keep_asking());
        }
    }
    for crowd in crowds {
        let (_, report) = crowd.stop();
        report.untouched()?;
    }
    Ok(())
}

#[test]
fn a_drained_server_goes_with_its_last_connection() -> Result<()> {
    let site = Site::start()?;
    let lab = &site.lab;
    let mut download = lab.download("www")?;
    let index = lab.server_index(download.server())?;
    let backend = lab.backend("www", index).to_string();
    lab.sluice(&["remove", "www", &backend, "--deadline", "60s"])?.stdout()?;
    lab.wait_switch_in_step()?;
    let mut weights = [1; 3];
    weights[index] = 0;
    site.follows("www", weights)?;
    ensure!(download.running()?, "the download ended before the drain was looked at");
    download.finish(Duration::from_secs(30))?;
    lab.wait_state("www", index, None)?;
    eventually(PATIENCE, "HAProxy to have two servers", || {
        Ok((site.haproxy.servers("be_www")?.len() == 2).then_some(()))
    })
}

#[test]
fn force_ends_connections_and_no_others() -> Result<()> {
    let site = Site::start()?;
    let lab = &site.lab;
    let mut crowd = lab.crowd("www", 30)?;
    let leaving = crowd.spread().of("server-1");
    ensure!(leaving > 0, "{}", crowd.spread());
    let backend = lab.backend("www", 0).to_string();
    lab.sluice(&["remove", "www", &backend, "--force"])?.stdout()?;
    lab.wait_switch_in_step()?;
    let report = crowd.ask();
    ensure!(report.broken.len() as u64 == leaving && report.moved.is_empty(), "{report}");
    ensure!(report.broken.iter().all(|one| one.server == "server-1"), "{report}");
    crowd.ask().untouched()?;
    site.follows("www", [0, 1, 1])
}

#[test]
fn a_restarted_haproxy_is_refilled() -> Result<()> {
    let mut site = Site::start()?;
    site.weigh("www", 2, 0)?;
    site.haproxy.restart(&site.proxies)?;
    for (service, third) in [("www", 0), ("six", 100), ("web", 100)] {
        eventually(PATIENCE, "every server to be back", || {
            let servers = site.haproxy.servers(&format!("be_{service}"))?;
            let ready = servers.iter().filter(|s| !s.maintenance && !s.draining).count();
            Ok((ready == 3).then_some(()))
        })?;
        site.follows(service, [100, 100, third])?;
    }
    let events = site.lab.sluice(&["events"])?.stdout()?;
    ensure!(events.contains("switch.refilled"), "{events}");
    Ok(())
}

/// The old process keeps its connections, and the new one gets its servers.
#[test]
fn a_reload_breaks_nothing_and_is_refilled() -> Result<()> {
    let mut site = Site::start()?;
    let crowd = site.lab.crowd("www", 30)?.keep_asking();
    site.haproxy.reload(&site.proxies)?;
    eventually(PATIENCE, "every server to be back", || {
        Ok((site.haproxy.servers("be_www")?.len() == 3).then_some(()))
    })?;
    site.lab.wait_switch_in_step()?;
    site.follows("www", [1, 1, 1])?;
    let (_, report) = crowd.stop();
    report.untouched()
}

/// What is written in haproxy.cfg and what is not.
#[test]
fn a_missing_backend_is_named_and_the_others_serve() -> Result<()> {
    let mut site = Site::start()?;
    let without: Vec<_> =
        site.proxies.iter().filter(|proxy| proxy.name != "six").cloned().collect();
    site.haproxy.restart(&without)?;
    eventually(PATIENCE, "an alarm in HAProxy's words", || {
        let status = site.lab.sluice(&["status"])?.stdout()?;
        Ok(status.contains("No such backend.").then_some(()))
    })?;
    let switches = site.lab.sluice_json(&["get", "switches"])?.to_string();
    ensure!(switches.contains("without backend be_six"), "{switches}");
    site.follows("www", [1, 1, 1])?;
    site.haproxy.restart(&site.proxies)?;
    eventually(PATIENCE, "the servers of `six`", || {
        Ok((site.haproxy.servers("be_six")?.len() == 3).then_some(()))
    })
}

/// The connections of one server are counted, and no one else's.
#[test]
fn connections_are_counted() -> Result<()> {
    let site = Site::start()?;
    let crowd = site.lab.crowd("www", 30)?;
    eventually(PATIENCE, "all connections to be counted", || {
        let backends = site.lab.backends("www")?;
        let counted = |server: usize| {
            let address = site.lab.backend("www", server);
            backends.iter().find(|backend| backend.address == address).map(|b| b.connections)
        };
        let all = (0..3).all(|server| {
            counted(server) == Some(crowd.spread().of(&format!("server-{}", server + 1)))
        });
        Ok(all.then_some(()))
    })?;
    Ok(())
}
