//! What one peer may take of the manager, and who may speak to it at all: a broken
//! agent starves nobody.

use std::{os::unix::fs::chown, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Puppet, eventually, l2};
use lb_control::proto::v1::{AgentHello, BackendReport, Heartbeat, agent_message::Kind};

const PATIENCE: Duration = Duration::from_secs(20);
const NOBODY: u32 = 65_534;

/// Of an agent that binds nothing.
fn hello(name: &str) -> AgentHello {
    AgentHello { name: name.to_owned(), boot_id: 7, interval_ms: 1000, binds: Vec::new() }
}

fn ended(puppet: &Puppet, words: &str) -> Result<()> {
    eventually(PATIENCE, &format!("a session to end: {words}"), || {
        let Some(why) = puppet.ended() else { return Ok(None) };
        ensure!(why.contains(words), "{why}");
        Ok(Some(()))
    })
}

/// Servers that have an agent serve, and none of them was ever lost.
fn nobody_else_noticed(lab: &Lab) -> Result<()> {
    let told = lab.sluice(&["events"])?.stdout()?;
    ensure!(
        !told.lines().any(|line| line.contains("agent.lost") && line.contains("server-")),
        "{told}"
    );
    lab.get_many("www", 50)?.all_answered()
}

#[test]
fn a_message_that_is_too_long_ends_its_session_alone() -> Result<()> {
    let lab = Lab::build().service(l2("www")).start()?;
    let puppet = Puppet::start(&lab.servers()[0], lab.manager_address(), hello("broken"));
    let report = BackendReport { cause: "x".repeat(2 << 20), ..BackendReport::default() };
    puppet.say(Kind::Heartbeat(Heartbeat { sequence: 1, backends: vec![report] }));
    ended(&puppet, "message length too large")?;
    puppet.stop()?;
    nobody_else_noticed(&lab)
}

#[test]
fn one_address_has_no_more_than_its_share_of_sessions() -> Result<()> {
    let lab =
        Lab::build().service(l2("www")).manager("limits = { sessions_per_source = 4 }").start()?;
    // Its own agent is one of them.
    let host = &lab.servers()[0];
    let names = ["a", "b", "c"];
    let puppets = names.map(|name| Puppet::start(host, lab.manager_address(), hello(name)));
    eventually(PATIENCE, "three sessions", || {
        let told = lab.sluice(&["events"])?.stdout()?;
        Ok((told.matches("agent.connected").count() == 5).then_some(()))
    })?;
    let fifth = Puppet::start(host, lab.manager_address(), hello("d"));
    ended(&fifth, "198.18.2.11 has 4 sessions already")?;
    ensure!(puppets.iter().all(|puppet| puppet.ended().is_none()));
    let told = lab.sluice(&["events"])?.stdout()?;
    ensure!(told.contains("peer.refused") || told.contains("peer.limited"), "{told}");
    // A place that is left is taken again, and another host has its own.
    let [first, ..] = puppets;
    first.stop()?;
    let elsewhere = Puppet::start(&lab.servers()[1], lab.manager_address(), hello("e"));
    eventually(PATIENCE, "a place", || {
        let again = Puppet::start(host, lab.manager_address(), hello("f"));
        std::thread::sleep(Duration::from_millis(300));
        Ok(again.ended().is_none().then_some(()))
    })?;
    ensure!(elsewhere.ended().is_none(), "{:?}", elsewhere.ended());
    nobody_else_noticed(&lab)
}

#[test]
fn the_socket_is_for_whom_its_file_lets_in() -> Result<()> {
    let lab = Lab::build().service(l2("www")).start()?;
    let program = lab.readable_binary()?;
    let socket = lab.directory().join("manager/sluice.sock");
    let manager = format!("unix:{}", socket.display());
    let program = program.to_str().context("a path in UTF-8")?;
    let as_nobody = || {
        let words = ["--reuid=65534", "--regid=65534", "--clear-groups", program];
        let args = [&words[..], &["--manager", &manager, "drop", "www", "100"]].concat();
        lab.manager_host().run("setpriv", &args)
    };
    let refused = as_nobody()?;
    ensure!(!refused.success() && refused.stderr.contains("ermission denied"), "{refused:?}");
    lab.get_many("www", 50)?.all_answered()?;
    chown(&socket, None, Some(NOBODY))?;
    as_nobody()?.stdout()?;
    ensure!(lab.get_many("www", 20)?.all_answered().is_err(), "the group may do everything");
    Ok(())
}
