//! What is lost together is not believed at once.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Lab, eventually, l2};

const PATIENCE: Duration = Duration::from_secs(20);

const ALL: [(&str, u32); 4] = [("server-1", 1), ("server-2", 1), ("server-3", 1), ("server-4", 1)];

fn alarm_of(lab: &Lab, words: &str) -> Result<bool> {
    let alarms = lab.sluice_json(&["status"])?["alarms"].to_string();
    Ok(alarms.contains(words))
}

#[test]
fn servers_whose_agents_all_crash_serve_on_until_the_operator_lets_them_go() -> Result<()> {
    let mut lab = Lab::build().servers(4).service(l2("www")).start()?;
    let crowd = lab.crowd("www", 40)?.keep_asking();
    for server in 0..2 {
        lab.kill_agent(server)?;
    }
    for server in 0..2 {
        lab.wait_state("www", server, Some("unknown"))?;
    }
    ensure!(alarm_of(&lab, "service `www` is frozen: 2 of 4 bindings were lost at once")?);
    let answers = lab.get_many("www", 400)?;
    answers.all_answered()?;
    answers.spread.follows(&ALL)?;

    let thawed = lab.sluice(&["thaw", "www"])?.stdout()?;
    ensure!(thawed.contains("www is thawed; 2 binding(s) that are missing go"), "{thawed}");
    lab.get_many("www", 200)?.spread.follows(&ALL[2..])?;
    let refused = lab.sluice(&["thaw", "www"])?;
    ensure!(refused.status == Some(1) && refused.stderr.contains("is not frozen"), "{refused:?}");
    for server in 0..2 {
        lab.start_agent(server)?;
        lab.wait_state("www", server, Some("active"))?;
    }
    lab.get_many("www", 400)?.spread.follows(&ALL)?;
    let (_, report) = crowd.stop();
    report.untouched()
}

#[test]
fn a_manager_that_is_cut_off_takes_nothing_down() -> Result<()> {
    let lab = Lab::build()
        .servers(4)
        .service(l2("www"))
        .roles_apart()
        .manager("freeze_window = \"1s\"")
        .start()?;
    let crowd = lab.crowd("www", 40)?.keep_asking();
    lab.manager_host().unplug()?;
    eventually(PATIENCE, "the alarm", || {
        Ok(alarm_of(&lab, "service `www` is frozen")?.then_some(()))
    })?;
    lab.get_many("www", 400)?.spread.follows(&ALL)?;
    lab.manager_host().plug()?;
    for server in 0..4 {
        lab.wait_state("www", server, Some("active"))?;
    }
    eventually(PATIENCE, "the service to thaw", || {
        Ok((!alarm_of(&lab, "is frozen")?).then_some(()))
    })?;
    let (_, report) = crowd.stop();
    report.untouched()
}
