//! The edge follows its neighbours, links and routes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::{Crowd, Lab, Service, eventually, l2, nat};

/// Far less than the seconds between two looks at everything, far more than an
/// event takes: TCP repeats what was lost after a fifth of a second.
const EVENT: Duration = Duration::from_millis(1500);

/// Has every connection ask, and fails when they had to wait for more than an
/// event.
fn ask_at_once(crowd: &mut Crowd) -> Result<()> {
    let begun = Instant::now();
    crowd.ask().untouched()?;
    ensure!(begun.elapsed() < EVENT, "{} connections asked for {:?}", crowd.len(), begun.elapsed());
    Ok(())
}

#[test]
fn a_server_with_another_ethernet_address_is_reached_at_once() -> Result<()> {
    for service in [l2("www"), nat("www")] {
        let lab = Lab::build().servers(1).service(service).start()?;
        let server = &lab.servers()[0];
        server.run("sysctl", &["-qw", "net.ipv4.conf.eth0.arp_notify=1"])?.stdout()?;
        let mut crowd = lab.crowd("www", 20)?;
        for round in 1..=4 {
            let address = format!("02:00:00:00:05:{round:02x}");
            server.run("ip", &["link", "set", "eth0", "address", &address])?.stdout()?;
            ask_at_once(&mut crowd).with_context(|| format!("as {address}"))?;
        }
        lab.get_many("www", 20)?.all_answered()?;
    }
    Ok(())
}

#[test]
fn a_client_on_the_link_with_another_ethernet_address_is_answered_at_once() -> Result<()> {
    let lab = Lab::build().servers(2).service(nat("www")).start()?;
    let client = lab.client();
    client.run("sysctl", &["-qw", "net.ipv4.conf.eth0.arp_notify=1"])?.stdout()?;
    let mut crowd = lab.crowd("www", 20)?;
    for round in 1..=4 {
        let address = format!("02:00:00:00:06:{round:02x}");
        client.run("ip", &["link", "set", "eth0", "address", &address])?.stdout()?;
        ask_at_once(&mut crowd).with_context(|| format!("as {address}"))?;
    }
    Ok(())
}

#[test]
fn clients_and_servers_may_be_behind_different_interfaces() -> Result<()> {
    for service in [nat("www"), nat("www").v6()] {
        let lab = Lab::build().servers(2).two_segments().service(service).start()?;
        let before = lab.reason("reply_to_kernel")?;
        let crowd = lab.crowd("www", 40)?.keep_asking();
        let answers = lab.get_many("www", 200)?;
        answers.all_answered()?;
        answers.spread.follows(&[("server-1", 1), ("server-2", 1)])?;
        let (_, report) = crowd.stop();
        report.untouched()?;
        let count = |name: &str| lab.reason(name);
        eventually(Duration::from_secs(5), "the counters", || {
            ensure!(count("forward_reply")? > 200, "{} replies", count("forward_reply")?);
            Ok(Some(()))
        })?;
        let asked = count("reply_to_kernel")? - before;
        ensure!(asked < 20, "the kernel had to forward {asked} replies");
    }
    Ok(())
}

#[test]
fn a_lost_link_is_told_and_comes_back_without_a_broken_connection() -> Result<()> {
    let lab = Lab::build().servers(2).two_segments().service(nat("www")).start()?;
    let mut crowd = lab.crowd("www", 20)?;
    lab.plug_servers(false)?;
    eventually(Duration::from_secs(3), "both servers to be unreachable", || {
        for backend in lab.backends("www")? {
            let why = backend.unreachable.context("it can be reached")?;
            ensure!(why.contains("interface eth1 is down"), "{why}");
        }
        Ok(Some(()))
    })?;
    let status = lab.sluice(&["status"])?.stdout()?;
    ensure!(status.contains("interface eth1 is down"), "{status}");
    ensure!(lab.get_many("www", 1)?.all_answered().is_err(), "somebody answered");
    lab.plug_servers(true)?;
    eventually(Duration::from_secs(5), "both servers to be reachable", || {
        let backends = lab.backends("www")?;
        Ok(backends.iter().all(|backend| backend.unreachable.is_none()).then_some(()))
    })?;
    crowd.ask().untouched()
}

/// An address on server-1 that no network holds: the edge has a route to it,
/// straight or by way of server-2.
const FAR: &str = "198.18.4.11";

fn far_lab(service: Service) -> Result<Lab> {
    let mut lab = Lab::build().servers(2).service(service).prepare()?;
    let [near, way] = lab.servers() else { anyhow::bail!("two servers") };
    let near_ip = near.address(false).to_string();
    near.run("ip", &["address", "add", &format!("{FAR}/32"), "dev", "lo"])?.stdout()?;
    way.run("sysctl", &["-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0"])?
        .stdout()?;
    way.run("sysctl", &["-qw", "net.ipv4.conf.eth0.send_redirects=0"])?.stdout()?;
    way.run("ip", &["route", "add", FAR, "via", &near_ip])?.stdout()?;
    route(&lab, "add", 0)?;
    lab.start_sluice(&[])?;
    lab.sluice(&["add", "www", &format!("{FAR}:8080")])?.stdout()?;
    eventually(Duration::from_secs(20), "it to be active", || {
        let backends = lab.backends("www")?;
        let [backend] = &backends[..] else { anyhow::bail!("{backends:?}") };
        ensure!(backend.state == "active" && backend.unreachable.is_none(), "{backend:?}");
        Ok(Some(()))
    })
    .with_context(|| lab.last_words())?;
    Ok(lab)
}

/// Changes the edge's route to that address: by way of this server.
fn route(lab: &Lab, verb: &str, gateway: usize) -> Result<()> {
    let gateway = lab.servers()[gateway].address(false).to_string();
    lab.edge().run("ip", &["route", verb, FAR, "via", &gateway])?.stdout()?;
    Ok(())
}

/// Packets that a server has forwarded (RFC 4293, ipSystemStatsOutForwDatagrams).
fn forwarded(lab: &Lab, server: usize) -> Result<u64> {
    let text = lab.servers()[server].run("cat", &["/proc/self/net/snmp"])?.stdout()?;
    let mut lines = text.lines().filter(|line| line.starts_with("Ip:"));
    let (names, values) = lines.next().zip(lines.next()).context("no line Ip")?;
    let mut pairs = names.split(' ').zip(values.split(' '));
    let found = pairs.find(|(name, _)| *name == "ForwDatagrams").context("no ForwDatagrams")?;
    Ok(found.1.parse()?)
}

#[test]
fn another_gateway_is_taken_at_once() -> Result<()> {
    let lab = far_lab(nat("www"))?;
    let mut crowd = lab.crowd("www", 20)?;
    for _ in 0..2 {
        let before = forwarded(&lab, 1)?;
        route(&lab, "replace", 1)?;
        eventually(EVENT, "packets to go by way of the other server", || {
            ask_at_once(&mut crowd)?;
            Ok((forwarded(&lab, 1)? > before + 20).then_some(()))
        })?;
        route(&lab, "replace", 0)?;
        eventually(EVENT, "packets to go straight again", || {
            let before = forwarded(&lab, 1)?;
            ask_at_once(&mut crowd)?;
            Ok((forwarded(&lab, 1)? == before).then_some(()))
        })?;
    }
    Ok(())
}

#[test]
fn of_two_gateways_the_living_one_is_taken() -> Result<()> {
    let lab = far_lab(nat("www"))?;
    let mut crowd = lab.crowd("www", 20)?;
    let [near, way] = [0, 1].map(|index| lab.servers()[index].address(false).to_string());
    let edge = lab.edge();
    let hops = ["route", "replace", FAR, "nexthop", "via", &near, "nexthop", "via", &way];
    edge.run("ip", &hops)?.stdout()?;
    let mut by_way = || -> Result<bool> {
        let before = forwarded(&lab, 1)?;
        ask_at_once(&mut crowd)?;
        Ok(forwarded(&lab, 1)? > before)
    };
    // One and the same, as long as it lives.
    by_way()?;
    let first = by_way()?;
    ensure!(by_way()? == first, "the choice changed by itself");
    let lost = if first { &way } else { &near };
    edge.run("ip", &["neighbour", "change", lost, "dev", "eth0", "nud", "failed"])?.stdout()?;
    eventually(EVENT, "packets to go the other way", || Ok((by_way()? != first).then_some(())))
}
