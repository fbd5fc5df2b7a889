//! No change breaks or moves an established connection.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Crowd, Lab, Service, eventually, l2, nat, wrk};

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

/// More connections are at risk than can be remembered.
#[test]
fn without_room_to_remember_nothing_is_broken_and_an_alarm_is_raised() -> Result<()> {
    let lab = Lab::build()
        .servers(2)
        .service(l2("www"))
        .edge("flows = 200")
        .manager("missed_heartbeats = 30")
        .start()?;
    let raised = || -> Result<bool> {
        let status = lab.sluice_json(&["status"])?;
        let alarms = status["alarms"].as_array().cloned().unwrap_or_default();
        Ok(alarms.iter().any(|alarm| alarm.as_str().is_some_and(|text| text.contains("flows"))))
    };
    let mut crowds = vec![lab.crowd("www", 100)?];
    ensure!(!raised()?, "nothing is full yet");
    // Most of the first server's slots move; it goes on taking connections.
    let first = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &first, "5"])?.stdout()?;
    // More at once than there is room for: the edge looks once in a while.
    crowds.push(lab.crowd("www", 600)?);
    eventually(Duration::from_secs(20), "the alarm", || Ok(raised()?.then_some(())))
        .with_context(|| format!("{:#?}", lab.sluice_json(&["counters"])))
        .with_context(|| lab.last_words())?;
    let events = lab.sluice(&["events"])?.stdout()?;
    ensure!(events.contains("switch.full"), "{events}");
    let before = lab.counter("www", "not_remembered")?;
    crowds.push(lab.crowd("www", 100)?);
    lab.get_many("www", 100)?.all_answered()?;
    eventually(Duration::from_secs(10), "connections that are not remembered", || {
        Ok((lab.counter("www", "not_remembered")? > before).then_some(()))
    })?;
    // Further changes, and back: all stay where they began.
    for weight in ["300", "0", "100"] {
        lab.sluice(&["weight", "www", &first, weight])?.stdout()?;
        for crowd in &mut crowds {
            crowd.ask().untouched()?;
        }
    }
    ensure!(crowds.iter().map(Crowd::len).sum::<usize>() == 800);
    Ok(())
}
