//! An edge whose manager is gone looks after its backends itself.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Lab, eventually, gue, ipip, l2, nat};

const PATIENCE: Duration = Duration::from_secs(30);

fn edge_says(lab: &Lab, words: &str) -> Result<()> {
    eventually(PATIENCE, words, || Ok(lab.edge_log().contains(words).then_some(())))
}

#[test]
fn a_server_that_dies_while_no_manager_is_there_does_not_stay_bound() -> Result<()> {
    let mut lab = Lab::build()
        .servers(4)
        .service(l2("www"))
        .service(nat("api"))
        .service(ipip("tunnel").port(8003))
        .roles_apart()
        .start()?;
    let crowd = lab.crowd("www", 40)?.keep_asking();
    lab.kill_manager()?;
    lab.get_many("www", 100)?.all_answered()?;
    lab.servers()[3].unplug()?;
    let dead = lab.backend("www", 3);
    edge_says(&lab, &format!("www/{dead} accepts no connection"))?;
    let left = [("server-1", 1), ("server-2", 1), ("server-3", 1)];
    for service in ["www", "api", "tunnel"] {
        edge_says(&lab, &format!("{service}/{} accepts no connection", lab.backend(service, 3)))?;
        let answers = lab.get_many(service, 200)?;
        answers.all_answered()?;
        answers.spread.follows(&left)?;
    }
    // It comes back, and nobody else has noticed.
    lab.servers()[3].plug()?;
    edge_says(&lab, &format!("www/{dead} accepts connections again"))?;
    let (_, report) = crowd.stop();
    // The server that was cut off had connections, which waited.
    ensure!(report.broken.iter().all(|broken| broken.server == "server-4"), "{report:?}");
    Ok(())
}

#[test]
fn the_managers_return_settles_it() -> Result<()> {
    let mut lab = Lab::build().servers(3).service(l2("www")).roles_apart().start()?;
    lab.kill_manager()?;
    lab.kill_nginx(2)?;
    edge_says(&lab, &format!("www/{} accepts no connection", lab.backend("www", 2)))?;
    lab.get_many("www", 100)?.all_answered()?;
    lab.start_nginx(2)?;
    lab.start_manager()?;
    lab.wait_state("www", 2, Some("active"))?;
    lab.get_many("www", 300)?.spread.follows(&[("server-1", 1), ("server-2", 1), ("server-3", 1)])
}

/// Its own address answers, but no client of the service.
#[test]
fn a_server_that_loses_the_services_address_meanwhile_does_not_stay_bound() -> Result<()> {
    let mut lab = Lab::build()
        .servers(3)
        .service(l2("www"))
        .service(gue("tunnel").port(8003))
        .roles_apart()
        .start()?;
    lab.kill_manager()?;
    for service in ["www", "tunnel"] {
        let vip = lab.vip(service).ip();
        let address = format!("{vip}/32");
        lab.servers()[2].run("ip", &["addr", "del", &address, "dev", "lo"])?.stdout()?;
        edge_says(&lab, &format!("{service}/{} accepts no connection", lab.backend(service, 2)))?;
        edge_says(&lab, &format!("no answer from {}", lab.vip(service)))?;
        let answers = lab.get_many(service, 200)?;
        answers.all_answered()?;
        answers.spread.follows(&[("server-1", 1), ("server-2", 1)])?;
        lab.servers()[2].run("ip", &["addr", "add", &address, "dev", "lo"])?.stdout()?;
        edge_says(
            &lab,
            &format!("{service}/{} accepts connections again", lab.backend(service, 2)),
        )?;
    }
    Ok(())
}
