//! Heartbeats are the only truth: who is bound, and who is not any more.

use std::{io::ErrorKind, time::Duration};

use anyhow::{Result, ensure};
use lab::{Lab, eventually, l2};

#[test]
fn heartbeats_bind_servers() -> Result<()> {
    let mut lab = Lab::build().servers(2).service(l2("www")).prepare()?;
    lab.start_sluice(&[])?;
    let none = lab.get_many("www", 10)?;
    ensure!(none.refused == 10, "nobody is bound, but: {none:?}");
    for index in 0..2 {
        lab.start_agent(index)?;
        lab.wait_state("www", index, Some("active"))?;
        let answers = lab.get_many("www", 200)?;
        answers.all_answered()?;
        let bound = ["server-1", "server-2"].map(|name| (name, 1));
        answers.spread.follows(&bound[..=index])?;
    }
    Ok(())
}

#[test]
fn a_lost_agent_takes_its_server_out_and_later_breaks_its_connections() -> Result<()> {
    let mut lab =
        Lab::build().servers(2).service(l2("www")).manager("down_grace = \"3s\"").start()?;
    let mut crowd = lab.crowd("www", 40)?;
    let lost = crowd.spread().of("server-1");
    ensure!(lost > 0, "{}", crowd.spread());
    lab.kill_agent(0)?;
    lab.wait_state("www", 0, Some("down"))?;
    let answers = lab.get_many("www", 100)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-2", 1)])?;
    crowd.ask().untouched()?;

    let mut broken = Vec::new();
    eventually(Duration::from_secs(10), "the grace time to end", || {
        broken.extend(crowd.ask().broken);
        Ok((broken.len() as u64 == lost).then_some(()))
    })?;
    ensure!(broken.iter().all(|one| one.server == "server-1"), "{broken:?}");
    ensure!(broken.iter().all(|one| one.error == ErrorKind::ConnectionReset), "{broken:?}");
    crowd.ask().untouched()
}

#[test]
fn an_agent_that_comes_back_binds_its_server_again() -> Result<()> {
    let mut lab = Lab::build().servers(2).service(l2("www")).start()?;
    let crowd = lab.crowd("www", 40)?.keep_asking();
    lab.kill_agent(0)?;
    lab.wait_state("www", 0, Some("down"))?;
    lab.start_agent(0)?;
    lab.wait_state("www", 0, Some("active"))?;
    lab.get_many("www", 200)?.spread.follows(&[("server-1", 1), ("server-2", 1)])?;
    let (_, report) = crowd.stop();
    report.untouched()
}

#[test]
fn a_server_without_power_loses_its_share() -> Result<()> {
    let mut lab = Lab::build().servers(3).service(l2("www")).start()?;
    lab.cut_power(2)?;
    lab.wait_state("www", 2, Some("down"))?;
    let answers = lab.get_many("www", 300)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-1", 1), ("server-2", 1)])
}

#[test]
fn an_unhealthy_application_takes_its_server_out() -> Result<()> {
    let mut lab = Lab::build().servers(2).service(l2("www")).start()?;
    lab.kill_nginx(0)?;
    lab.wait_state("www", 0, Some("down"))?;
    let answers = lab.get_many("www", 100)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-2", 1)])?;
    lab.start_nginx(0)?;
    lab.wait_state("www", 0, Some("active"))
}

#[test]
fn a_leaving_agent_waits_for_its_connections() -> Result<()> {
    let mut lab = Lab::build().servers(2).service(l2("www")).start()?;
    let download = lab.download("www")?;
    let index = lab.server_index(download.server())?;
    let other = lab.servers()[1 - index].name().to_owned();
    let mut agent = lab.leave(index)?;
    lab.wait_state("www", index, Some("draining"))?;
    lab.get_many("www", 100)?.spread.follows(&[(&other, 1)])?;
    agent.check_alive()?;
    download.finish(Duration::from_secs(20))?;
    agent.wait(Duration::from_secs(20))?.stdout()?;
    lab.wait_state("www", index, None)
}
