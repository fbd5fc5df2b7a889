//! Who may do what: real certificates, over the network.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Builder, IDENTITIES, Lab, Process, eventually, l2};

/// A lab in which `server-1` and `server-2` may bind `www`, each its own address.
fn guarded() -> Builder {
    let agent = |number: u8| {
        format!(
            "[[manager.allow]]\nidentity = \"{IDENTITIES}/agent/server-{number}\"\nrole = \"agent\"\n\
             names = [\"server-{number}\"]\nservices = [\"www\"]\n\
             addresses = [\"198.18.2.{}/32\"]\nmax_weight = 100\n",
            10 + number
        )
    };
    let rule = |who: &str, role: &str| {
        format!("[[manager.allow]]\nidentity = \"{IDENTITIES}/{who}\"\nrole = \"{role}\"\n")
    };
    Lab::build()
        .roles_apart()
        .guarded()
        .service(l2("www"))
        .service(l2("api"))
        .tables(&agent(1))
        .tables(&agent(2))
        .tables(&rule("edge/edge", "edge"))
        .tables(&rule("operator/*", "operator"))
        .tables(&rule("viewer/noc", "viewer"))
}

/// Messages of events of this kind.
fn told(lab: &Lab, kind: &str) -> Result<Vec<String>> {
    let events = lab.sluice_json(&["events"])?;
    let events = events.as_array().context("not a list")?.iter();
    let own = events.filter(|event| event["kind"] == kind);
    Ok(own.filter_map(|event| event["message"].as_str().map(str::to_owned)).collect())
}

fn wait_told(lab: &Lab, kind: &str, words: &[&str]) -> Result<()> {
    eventually(Duration::from_secs(20), &format!("{kind} with {words:?}"), || {
        let told = told(lab, kind)?;
        let meant = |message: &&String| words.iter().all(|word| message.contains(word));
        ensure!(told.iter().any(|message| meant(&message)), "{told:#?}\n{}", lab.last_words());
        Ok(Some(()))
    })
}

/// An agent on a server, with flags of its own.
fn agent(lab: &Lab, server: usize, certificate: &str, name: &str, bind: &str) -> Result<Process> {
    let mut args = vec!["agent".to_owned()];
    args.extend(lab.as_holder(&lab.certificates(), certificate));
    args.extend(["--name", name, "--bind", bind].map(str::to_owned));
    lab.servers()[server].spawn(&format!("agent-{name}"), lab::binary()?, &args)
}

fn says(process: &Process, words: &str) -> Result<()> {
    eventually(Duration::from_secs(20), &format!("the agent to say `{words}`"), || {
        let log = process.log();
        ensure!(log.contains(words), "{log}");
        Ok(Some(()))
    })
}

#[test]
fn agents_bind_what_they_may_and_nothing_else() -> Result<()> {
    let mut lab = guarded().servers(3).prepare()?;
    lab.start_sluice(&[])?;
    // Its file asks for both services.
    lab.start_agent(0)?;
    lab.wait_state("www", 0, Some("active"))?;
    lab.get_many("www", 50)?.spread.follows(&[("server-1", 1)])?;
    wait_told(&lab, "binding.refused", &["agent/server-1` from", "api/", "is for service www"])?;

    // An identity that no rule has.
    lab.start_agent(2)?;
    let foreign = format!("identity = \"{IDENTITIES}/agent/server-3\" with role = \"agent\"");
    wait_told(&lab, "peer.refused", &["may not be agent `server-3`", &foreign])?;
    let stranger = lab.daemons().last().context("an agent")?;
    says(stranger, &foreign)?;

    // Another's name, another's address, too great a weight.
    let own = lab.backend("www", 1).to_string();
    let thief = agent(&lab, 1, "server-2", "server-1", &format!("www={own}"))?;
    wait_told(&lab, "peer.refused", &["may not be agent `server-1`", "the name server-2"])?;
    says(&thief, "is for the name server-2")?;
    drop(thief);
    let address = lab.backend("www", 2).to_string();
    let wrong = agent(&lab, 1, "server-2", "server-2", &format!("www={address}"))?;
    wait_told(&lab, "binding.refused", &[&address, "is for backends in 198.18.2.12/32"])?;
    says(&wrong, "is for backends in 198.18.2.12/32")?;
    drop(wrong);
    let heavy = agent(&lab, 1, "server-2", "server-2", &format!("www={own},weight=101"))?;
    wait_told(&lab, "binding.refused", &[&own, "is for weights up to 100, not 101"])?;
    drop(heavy);
    ensure!(lab.backends("www")?.len() == 1 && lab.backends("api")?.is_empty());

    lab.start_agent(1)?;
    lab.wait_state("www", 1, Some("active"))?;
    let answers = lab.get_many("www", 100)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-1", 1), ("server-2", 1)])
}

#[test]
fn a_certificate_of_another_authority_opens_nothing() -> Result<()> {
    let mut lab = guarded().prepare()?;
    lab.start_sluice(&[])?;
    // It claims the identity that the rules have.
    let directory = lab.strange_authority("strange", "server-1")?;
    let strange = lab.as_holder(&directory, "server-1");
    let mut trusting = strange.clone();
    // It trusts the manager, which is not enough.
    trusting[3] = lab.certificates().join("ca.pem").to_string_lossy().into_owned();
    let bind = format!("www={}", lab.backend("www", 0));
    for (name, holder) in [("strange", strange), ("trusting", trusting)] {
        let mut args = vec!["agent".to_owned(), "--name".to_owned(), "server-1".to_owned()];
        args.extend(holder);
        args.extend(["--bind".to_owned(), bind.clone()]);
        let agent = lab.servers()[0].spawn(name, lab::binary()?, &args)?;
        says(&agent, "both sides need certificates of the authority in tls.ca")?;
    }
    wait_told(&lab, "peer.refused", &["198.18.2.11 was sent away", "UnknownIssuer"])?;
    ensure!(lab.backends("www")?.is_empty() && told(&lab, "agent.connected")?.is_empty());
    Ok(())
}

#[test]
fn a_viewer_looks_and_changes_nothing() -> Result<()> {
    let mut lab = guarded().servers(1).prepare()?;
    for (name, role) in [("alice", "operator"), ("noc", "viewer")] {
        lab.issue(name, role)?;
    }
    lab.start_sluice(&[])?;
    lab.start_agent(0)?;
    lab.wait_state("www", 0, Some("active"))?;
    let host = &lab.servers()[0];
    let address = lab.backend("www", 0).to_string();
    let weight = ["weight", "www", address.as_str(), "7"];
    for command in [&["get", "backends"][..], &["status"], &["events"]] {
        lab.sluice_as(host, "noc", command)?.stdout()?;
    }
    let refused = lab.sluice_as(host, "noc", &weight)?;
    ensure!(refused.status == Some(1), "{refused:?}");
    let why = format!("`{IDENTITIES}/viewer/noc` from 198.18.2.11 may not change anything");
    ensure!(refused.stderr.contains(&why), "{refused:?}");
    wait_told(&lab, "peer.refused", &[&why, "with role = \"operator\""])?;
    ensure!(lab.backends("www")?[0].weight == 100);
    for command in [&weight[..], &["status"]] {
        let refused = lab.sluice_as(host, "server-1", command)?;
        ensure!(refused.status == Some(1) && refused.stderr.contains("may not"), "{refused:?}");
    }
    lab.sluice_as(host, "alice", &weight)?.stdout()?;
    ensure!(lab.backends("www")?[0].weight == 7);
    // Who shows no certificate is not heard at all.
    let manager = lab.as_holder(&lab.certificates(), "noc")[1].clone();
    let refused = host.run(lab::binary()?, &["--manager", &manager, "status"])?;
    ensure!(!refused.success() && refused.stderr.contains("add [tls]"), "{refused:?}");
    Ok(())
}

#[test]
fn a_flood_of_one_agent_does_not_delay_another() -> Result<()> {
    let mut lab = guarded().prepare()?;
    lab.start_sluice(&[])?;
    let certificates = lab.certificates();
    let manager = lab.as_holder(&certificates, "server-1")[1].clone();
    let flood = lab::HeartbeatFlood::start(&lab.servers()[0], &manager, &certificates, "server-1")?;
    wait_told(&lab, "peer.limited", &["agent/server-1", "1000 messages a second"])?;
    let begun = std::time::Instant::now();
    lab.start_agent(1)?;
    lab.wait_state("www", 1, Some("active"))?;
    let bound = begun.elapsed();
    // Two more seconds of it.
    thread::sleep(Duration::from_secs(2));
    let sent = flood.stop()?;
    ensure!(sent.sessions > 10 && sent.messages > 2000, "no flood: {sent:?}");
    ensure!(bound < Duration::from_secs(6), "bound after {bound:?} with {sent:?}");
    ensure!(told(&lab, "agent.lost")?.iter().all(|message| !message.contains("server-2")));
    let limited = told(&lab, "peer.limited")?.len();
    ensure!(limited <= 2, "{limited} events for {sent:?}");
    lab.get_many("www", 20)?.all_answered()
}

/// A field of a thread's status, in hexadecimal.
fn field(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let text = line.with_context(|| format!("no {name} in {status}"))?;
    Ok(u64::from_str_radix(text.trim(), 16)?)
}

/// Permitted capabilities of each thread of a process; none can get new ones.
fn capabilities(process: &Process) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{}/task", process.pid()))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        ensure!(field(&status, "NoNewPrivs:")? == 1, "{status}");
        ensure!(field(&status, "CapEff:")? == field(&status, "CapPrm:")?, "{status}");
        found.push(field(&status, "CapPrm:")?);
    }
    Ok(found)
}

const NET_ADMIN: u64 = 1 << 12;
const BPF: u64 = 1 << 39;

#[test]
fn every_process_keeps_only_what_it_needs() -> Result<()> {
    let mut lab = Lab::build().roles_apart().servers(1).service(l2("www")).start()?;
    {
        let daemons: Vec<_> = lab.daemons().collect();
        let [manager, edge, agent] = daemons[..] else { anyhow::bail!("not three daemons") };
        ensure!(capabilities(manager)?.iter().all(|&caps| caps == 0), "{}", manager.log());
        let threads = capabilities(edge)?;
        ensure!(threads.iter().all(|&caps| caps & !(NET_ADMIN | BPF) == 0), "{threads:x?}");
        ensure!(threads.contains(&(NET_ADMIN | BPF)), "{threads:x?}");
        ensure!(edge.log().contains("runs with CAP_BPF, CAP_NET_ADMIN alone"), "{}", edge.log());
        let threads = capabilities(agent)?;
        ensure!(threads.iter().all(|&caps| caps == NET_ADMIN), "{threads:x?}");
    }
    // An edge that has given up the rest still does everything.
    let address = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &address, "7"])?.stdout()?;
    lab.get_many("www", 20)?.all_answered()?;
    lab.sluice(&["remove", "www", &address, "--force", "--wait"])?.stdout()?;
    lab.sluice(&["add", "www", &address])?.stdout()?;
    lab.wait_state("www", 0, Some("active"))?;
    lab.kill_edge()?;
    lab.start_edge(&[])?;
    lab.get_many("www", 20)?.all_answered()
}

#[test]
fn a_manager_needs_no_privilege() -> Result<()> {
    let mut lab = guarded().prepare()?;
    // Its key is for its user.
    for file in ["manager.key", "ca.pem", "manager.pem"] {
        std::os::unix::fs::chown(lab.certificates().join(file), Some(65_534), Some(65_534))?;
    }
    lab.start_manager_as_nobody()?;
    lab.start_edge(&[])?;
    for server in 0..2 {
        lab.start_agent(server)?;
        lab.wait_state("www", server, Some("active"))?;
    }
    let manager = lab.daemons().next().context("a manager")?;
    let status = fs::read_to_string(format!("/proc/{}/status", manager.pid()))?;
    ensure!(field(&status, "CapPrm:")? == 0 && field(&status, "NoNewPrivs:")? == 1, "{status}");
    ensure!(status.contains("Uid:\t65534"), "{status}");
    let address = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &address, "0"])?.stdout()?;
    lab.get_many("www", 50)?.spread.follows(&[("server-2", 1)])?;
    // What it was told outlives it.
    lab.kill_manager()?;
    lab.start_manager_as_nobody()?;
    lab.wait_state("www", 0, Some("active"))?;
    ensure!(lab.backends("www")?.iter().any(|b| b.address.to_string() == address && b.weight == 0));
    lab.get_many("www", 50)?.spread.follows(&[("server-2", 1)])
}
