//! What operators asked for outlives the manager, also where its file does not.

use std::{fs, os::unix::fs::chown, time::Duration};

use anyhow::{Result, ensure};
use lab::{Lab, eventually, l2};

const PATIENCE: Duration = Duration::from_secs(30);

/// Server 0 gets no share.
fn spared(lab: &Lab) -> Result<()> {
    let answers = lab.get_many("www", 100)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-2", 1), ("server-3", 1)])
}

#[test]
fn a_damaged_intent_is_refused_and_left_as_it_is() -> Result<()> {
    let mut lab = Lab::build().servers(3).service(l2("www")).roles_apart().start()?;
    let first = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &first, "0"])?.stdout()?;
    let crowd = lab.crowd("www", 30)?.keep_asking();
    lab.kill_manager()?;
    let whole = fs::read_to_string(lab.intent())?;
    ensure!(whole.contains("\"weight\": 0"), "{whole}");
    let torn = whole[..whole.len() / 2].to_owned();
    let edited = whole.replace("\"weight\": 0", "\"weight\": 9");
    let newer = whole.replace("\"version\": 1", "\"version\": 2");
    let cases = [
        (torn, "it is damaged: EOF"),
        (String::new(), "it is damaged: EOF"),
        (edited, "it is damaged or was edited: its checksum is"),
        (newer, "it is of version 2; this program reads version 1"),
    ];
    for (number, (damaged, why)) in cases.into_iter().enumerate() {
        fs::write(lab.intent(), &damaged)?;
        let config = lab.directory().join("sluice.toml");
        let words = ["manager".as_ref(), "--config".as_ref(), config.as_os_str()];
        let outcome = lab
            .manager_host()
            .spawn(&format!("refused-{number}"), lab::binary()?, &words)?
            .wait(PATIENCE)?;
        let refused = &outcome.stdout;
        ensure!(outcome.status == Some(1), "{outcome:?}");
        ensure!(refused.contains(why) && refused.contains("restore it from a backup"), "{refused}");
        ensure!(fs::read_to_string(lab.intent())? == damaged, "it was written over");
        // The edge steers by what was asked for.
        spared(&lab)?;
    }
    fs::write(lab.intent(), whole)?;
    lab.start_manager()?;
    lab.wait_state("www", 0, Some("active"))?;
    spared(&lab)?;
    crowd.stop().1.untouched()
}

#[test]
fn what_cannot_be_saved_is_told_and_saved_as_soon_as_it_can_be() -> Result<()> {
    let mut lab = Lab::build().servers(3).service(l2("www")).roles_apart().prepare()?;
    lab.start_manager_as_nobody()?;
    lab.start_edge(&[])?;
    for server in 0..3 {
        lab.start_agent(server)?;
        lab.wait_state("www", server, Some("active"))?;
    }
    let directory = lab.directory().join("manager");
    let (root, nobody) = (Some(0), Some(65_534));
    chown(&directory, root, root)?;
    let first = lab.backend("www", 0).to_string();
    let outcome = lab.sluice(&["weight", "www", &first, "0"])?;
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(said.contains("NOT SAVED") && said.contains("ermission denied"), "{outcome:?}");
    // It is so all the same, until the manager dies.
    spared(&lab)?;
    let alarms = lab.sluice(&["status"])?.stdout()?;
    ensure!(alarms.contains("cannot write the intent file"), "{alarms}");
    chown(&directory, nobody, nobody)?;
    eventually(PATIENCE, "it to be saved", || {
        let told = lab.sluice(&["events"])?.stdout()?;
        ensure!(told.contains("intent.unsaved"), "{told}");
        Ok(told.contains("intent.saved").then_some(()))
    })?;
    lab.kill_manager()?;
    lab.start_manager_as_nobody()?;
    lab.wait_state("www", 0, Some("active"))?;
    spared(&lab)
}
