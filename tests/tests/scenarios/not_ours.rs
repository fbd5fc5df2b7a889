//! What is not ours passes to the kernel untouched.

use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use lab::{Client, Lab, get_many, l2, nat};

#[test]
fn ping_is_answered_by_the_edge() -> Result<()> {
    let lab = Lab::build().servers(1).service(l2("www")).service(l2("six").v6()).start()?;
    let targets = [
        lab.edge().address(false),
        lab.edge().address(true),
        lab.vip("www").ip(),
        lab.vip("six").ip(),
        // Through the edge, their gateway.
        lab.servers()[0].address(false),
        lab.servers()[0].address(true),
    ];
    for target in targets {
        let args = ["-n", "-c", "3", "-i", "0.1", "-W", "2", &target.to_string()];
        lab.client().run("ping", &args)?.stdout().with_context(|| format!("ping {target}"))?;
    }
    Ok(())
}

#[test]
fn tcp_to_the_edge_itself_passes() -> Result<()> {
    let lab = Lab::build().servers(1).service(l2("www")).start()?;
    let edge = lab.edge().address(false);
    let listener = lab.edge().netns().enter(|| Ok(TcpListener::bind((edge, 22))?))?;
    let client = Client::of(lab.client());
    let attempt = client.connect((edge, 22).into())?;
    attempt.stream.context("connecting to the edge's own port 22")?;
    listener.accept()?;
    ensure!(client.connect((edge, 23).into())?.refused());
    // A port of the VIP that is no service: the edge's kernel refuses it.
    ensure!(client.connect((lab.vip("www").ip(), 23).into())?.refused());
    Ok(())
}

#[test]
fn servers_are_reached_past_the_service() -> Result<()> {
    let lab = Lab::build().servers(2).service(l2("www")).service(nat("api")).start()?;
    for index in 0..2 {
        // Their own port 80 through the edge as a router: no service of ours.
        let answers = get_many(lab.client(), lab.backend("www", index), 20)?;
        answers.all_answered()?;
        ensure!(answers.spread.of(lab.servers()[index].name()) == 20, "{}", answers.spread);
    }
    Ok(())
}
