//! Manager and edge as processes of their own, over the network.

use anyhow::Result;
use lab::{Lab, l2, nat};

#[test]
fn manager_edge_and_agents_work_over_the_network() -> Result<()> {
    let lab = Lab::build().roles_apart().service(l2("www")).service(nat("api").v6()).start()?;
    for service in ["www", "api"] {
        let answers = lab.get_many(service, 200)?;
        answers.all_answered()?;
        answers.spread.follows(&[("server-1", 1), ("server-2", 1)])?;
    }
    let first = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &first, "0"])?.stdout()?;
    lab.get_many("www", 50)?.spread.follows(&[("server-2", 1)])
}

#[test]
fn a_manager_may_die_and_come_back() -> Result<()> {
    let mut lab = Lab::build().roles_apart().servers(3).service(l2("www")).start()?;
    let crowd = lab.crowd("www", 50)?.keep_asking();
    lab.kill_manager()?;
    lab.get_many("www", 100)?.all_answered()?;
    lab.start_manager()?;
    for index in 0..3 {
        lab.wait_state("www", index, Some("active"))?;
    }
    let first = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &first, "0"])?.stdout()?;
    let answers = lab.get_many("www", 200)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-2", 1), ("server-3", 1)])?;
    let (_, report) = crowd.stop();
    report.untouched()
}

#[test]
fn an_edge_may_die_and_come_back() -> Result<()> {
    let mut lab = Lab::build().roles_apart().service(l2("www")).start()?;
    let crowd = lab.crowd("www", 50)?.keep_asking();
    lab.kill_edge()?;
    lab.get_many("www", 100)?.all_answered()?;
    // What changes meanwhile reaches the edge when it is back.
    let first = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &first, "0"])?;
    lab.start_edge(&[])?;
    lab.get_many("www", 50)?.spread.follows(&[("server-2", 1)])?;
    let (_, report) = crowd.stop();
    report.untouched()
}
