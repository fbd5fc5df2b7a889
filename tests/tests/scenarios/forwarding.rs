//! Every forwarding mode in both families.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lab::{Lab, Service, eventually, gue, ipip, l2, nat};

#[test]
fn l2_over_ipv4() -> Result<()> {
    serves(l2("www"))
}

#[test]
fn l2_over_ipv6() -> Result<()> {
    serves(l2("www").v6())
}

#[test]
fn nat_over_ipv4() -> Result<()> {
    serves(nat("www"))
}

#[test]
fn nat_over_ipv6() -> Result<()> {
    serves(nat("www").v6())
}

#[test]
fn ipip_over_ipv4() -> Result<()> {
    serves(ipip("www"))
}

#[test]
fn ipip_over_ipv6() -> Result<()> {
    serves(ipip("www").v6())
}

#[test]
fn ipip_of_ipv4_over_ipv6() -> Result<()> {
    serves(ipip("www").over_v6())
}

#[test]
fn gue_over_ipv4() -> Result<()> {
    serves(gue("www"))
}

#[test]
fn gue_over_ipv6() -> Result<()> {
    serves(gue("www").v6())
}

/// A client's full segments do not fit into the tunnel: it is told, and sends
/// shorter ones.
#[test]
fn a_client_learns_what_fits_into_the_tunnel() -> Result<()> {
    for service in [ipip("www"), gue("www").v6()] {
        let lab = Lab::build().servers(1).service(service).start()?;
        let header = format!("X-Long: {}", "x".repeat(6000));
        let url = format!("http://{}/", lab.vip("www"));
        let args = ["--silent", "--fail", "--max-time", "10", "--header", &header, &url];
        lab.client().run("curl", &args)?.stdout()?;
        eventually(Duration::from_secs(5), "the client to have been told", || {
            match lab.reason("too_big")? {
                0 => Ok(None),
                told @ 1..=10 => Ok(Some(told)),
                told => bail!("it was told {told} times"),
            }
        })?;
    }
    Ok(())
}

/// Short requests from all servers, and a file large enough to show a segment
/// that was lost or changed.
fn serves(service: Service) -> Result<()> {
    let lab = Lab::build().servers(3).service(service).start()?;
    let answers = lab.get_many("www", 300)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-1", 1), ("server-2", 1), ("server-3", 1)])?;
    let url = format!("http://{}/file", lab.vip("www"));
    let target = lab.directory().join("fetched");
    for _ in 0..5 {
        let args = ["--silent", "--max-time", "10", "--output", &target.to_string_lossy(), &url];
        lab.client().run("curl", &args)?.stdout()?;
        let same = std::fs::read(&target)? == std::fs::read(lab.directory().join("file"))?;
        ensure!(same, "the file arrived changed");
    }
    Ok(())
}

#[test]
fn services_do_not_mix() -> Result<()> {
    let lab = Lab::build()
        .servers(2)
        .service(l2("a"))
        .service(nat("b"))
        .service(nat("c"))
        .service(l2("d").v6())
        .start()?;
    let first = lab.backend("b", 0).to_string();
    lab.sluice(&["weight", "b", &first, "0"])?.stdout()?;
    for service in ["a", "c", "d"] {
        let answers = lab.get_many(service, 200)?;
        answers.all_answered()?;
        answers.spread.follows(&[("server-1", 1), ("server-2", 1)])?;
    }
    lab.get_many("b", 50)?.spread.follows(&[("server-2", 1)])
}
