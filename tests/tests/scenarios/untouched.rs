//! No change breaks or moves an established connection.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use lab::{Lab, Service, l2, nat, wrk};

#[test]
fn l2_connections_live_through_adds_removes_and_weights() -> Result<()> {
    connections_live_through_changes(l2("www"))
}

#[test]
fn nat_connections_live_through_adds_removes_and_weights() -> Result<()> {
    connections_live_through_changes(nat("www").v6())
}

/// Long-lived connections, begun before, between and after changes, while wrk
/// makes new ones and servers come and go.
fn connections_live_through_changes(service: Service) -> Result<()> {
    let lab = Lab::build().clients(2).servers(4).service(service).start()?;
    let vip = lab.vip("www");
    thread::scope(|scope| {
        let load = scope.spawn(|| wrk(&lab.clients()[1], vip, 20, 12));
        let mut crowds = vec![lab.crowd("www", 60)?.keep_asking()];
        for round in 0..6 {
            let leaving = lab.backend("www", round % 4).to_string();
            let weighed = lab.backend("www", (round + 1) % 4).to_string();
            lab.sluice(&["remove", "www", &leaving, "--deadline", "10m"])?.stdout()?;
            crowds.push(lab.crowd("www", 20)?.keep_asking());
            lab.sluice(&["weight", "www", &weighed, &(50 + 40 * round).to_string()])?.stdout()?;
            thread::sleep(Duration::from_millis(300));
            lab.sluice(&["add", "www", &leaving])?.stdout()?;
            lab.wait_state("www", round % 4, Some("active"))?;
            crowds.push(lab.crowd("www", 20)?.keep_asking());
        }
        let load = load.join().expect("wrk does not panic")?;
        ensure!(load.requests > 100 && load.connect_errors + load.other_errors == 0, "{load:?}");
        for crowd in crowds {
            let (_, report) = crowd.stop();
            report.untouched()?;
        }
        Ok(())
    })
}

#[test]
fn a_new_server_takes_only_new_connections() -> Result<()> {
    let mut lab = Lab::build().servers(3).service(l2("www")).prepare()?;
    lab.start_sluice(&[])?;
    for index in 0..2 {
        lab.start_agent(index)?;
        lab.wait_state("www", index, Some("active"))?;
    }
    let mut crowd = lab.crowd("www", 150)?;
    lab.start_agent(2)?;
    lab.wait_state("www", 2, Some("active"))?;
    lab.get_many("www", 300)?.spread.follows(&[
        ("server-1", 1),
        ("server-2", 1),
        ("server-3", 1),
    ])?;
    crowd.ask().untouched()?;
    ensure!(crowd.len() == 150);
    Ok(())
}
