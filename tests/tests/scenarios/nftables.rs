//! A Linux router as a switch: its nf_tables, with traffic.

mod device;

use std::{io::ErrorKind, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Client, Lab, Spread, eventually, get_many, nat};

use crate::datagrams::{Names, UDP, ask, flows};

/// A table and chains of somebody else.
const OTHERS: &str = "
table ip site {
    set admins {
        type ipv4_addr
        elements = { 192.0.2.7 }
    }
    chain input {
        type filter hook input priority 0; policy accept;
        ip saddr @admins counter
    }
    chain post {
        type nat hook postrouting priority 100; policy accept;
        oifname \"nowhere\" masquerade
    }
}
table inet sluice-of-others {
    chain forward {
        type filter hook forward priority 0; policy accept;
    }
}
";

fn nft(lab: &Lab, args: &[&str]) -> Result<String> {
    lab.edge().run("nft", args)?.stdout()
}

/// Everything in the router's ruleset that is not ours.
fn others(lab: &Lab) -> Result<String> {
    let tables = nft(lab, &["list", "tables"])?;
    let others = tables.lines().filter(|table| *table != "table inet sluice");
    let list = |table: &str| {
        let words: Vec<_> = table.split_whitespace().collect();
        nft(lab, &[&["list"], &words[..]].concat())
    };
    others.map(list).collect()
}

fn address(lab: &Lab, service: &str, server: usize) -> String {
    lab.backend(service, server).to_string()
}

#[test]
fn no_change_touches_a_connection_and_shares_follow_weights() -> Result<()> {
    let lab =
        Lab::build().servers(3).router("").service(nat("www")).service(nat("six").v6()).start()?;
    let file = lab.directory().join("others.nft");
    std::fs::write(&file, OTHERS)?;
    nft(&lab, &["-f", &file.display().to_string()])?;
    let before = others(&lab)?;
    for service in ["www", "six"] {
        let crowd = lab.crowd(service, 50)?.keep_asking();
        let shares = |weights: [u32; 3]| -> Result<()> {
            let answers = lab.get_many(service, 400)?;
            answers.all_answered()?;
            let names = lab.servers().iter().map(lab::Host::name);
            answers.spread.follows(&names.zip(weights).collect::<Vec<_>>())
        };
        shares([1, 1, 1])?;
        lab.sluice(&["weight", service, &address(&lab, service, 0), "300"])?.stdout()?;
        shares([3, 1, 1])?;
        let second = address(&lab, service, 1);
        lab.sluice(&["remove", service, &second, "--deadline", "60s"])?.stdout()?;
        shares([3, 0, 1])?;
        lab.sluice(&["add", service, &second])?.stdout()?;
        lab.wait_state(service, 1, Some("active"))?;
        shares([3, 1, 1])?;
        let (_, report) = crowd.stop();
        report.untouched()?;
    }
    ensure!(others(&lab)? == before, "tables of others have changed");
    Ok(())
}

#[test]
fn what_is_forced_out_is_reset_and_stays_so() -> Result<()> {
    let lab =
        Lab::build().servers(2).router("").service(nat("www")).service(nat("six").v6()).start()?;
    for service in ["www", "six"] {
        let mut crowd = lab.crowd(service, 40)?;
        let leaving = crowd.spread().of("server-1");
        ensure!(leaving > 0, "{}", crowd.spread());
        let first = address(&lab, service, 0);
        lab.sluice(&["remove", service, &first, "--force"])?.stdout()?;
        let report = crowd.ask();
        ensure!(report.broken.len() as u64 == leaving && report.moved.is_empty(), "{report}");
        let all = |broken: &[lab::Broken]| {
            let from = |one: &lab::Broken| (one.server.clone(), one.error);
            broken
                .iter()
                .map(from)
                .all(|one| one == ("server-1".to_owned(), ErrorKind::ConnectionReset))
        };
        ensure!(all(&report.broken), "{:?}", report.broken);
        crowd.ask().untouched()?;
        lab.get_many(service, 60)?.spread.follows(&[("server-2", 1)])?;

        // Connections that nobody uses while their server is broken and comes back.
        lab.sluice(&["add", service, &first])?.stdout()?;
        lab.wait_state(service, 0, Some("active"))?;
        let mut silent = lab.crowd(service, 40)?;
        let leaving = silent.spread().of("server-1");
        ensure!(leaving > 0, "{}", silent.spread());
        lab.sluice(&["remove", service, &first, "--force"])?.stdout()?;
        lab.sluice(&["add", service, &first])?.stdout()?;
        lab.wait_state(service, 0, Some("active"))?;
        let report = silent.ask();
        ensure!(report.broken.len() as u64 == leaving && report.moved.is_empty(), "{report}");
        ensure!(all(&report.broken), "{:?}", report.broken);
    }
    Ok(())
}

/// Whether `refused` of `total` may come of a coin with this probability; a
/// fair coin fails once in a million runs.
fn about(share: f64, refused: u64, total: u64) -> bool {
    let total = total as f64;
    (refused as f64 - share * total).abs() <= 4.9 * (total * share * (1.0 - share)).sqrt()
}

#[test]
fn a_share_is_refused_by_rst() -> Result<()> {
    let lab = Lab::build().router("").service(nat("www")).service(nat("six").v6()).start()?;
    for service in ["www", "six"] {
        let crowd = lab.crowd(service, 30)?.keep_asking();
        for share in [50.0, 12.5] {
            lab.sluice(&["drop", service, &share.to_string()])?.stdout()?;
            let answers = lab.get_many(service, 600)?;
            ensure!(answers.failed.is_empty(), "{answers:?}");
            ensure!(about(share / 100.0, answers.refused, answers.total()), "{share}: {answers:?}");
            let attempts = Client::of(lab.client()).connect_many(lab.vip(service), 60)?;
            for attempt in &attempts {
                ensure!(attempt.stream.is_ok() || attempt.refused(), "{attempt:?}");
                // A client that hears nothing sends its SYN again after a second.
                ensure!(attempt.took < Duration::from_secs(1), "{attempt:?}");
            }
        }
        lab.sluice(&["drop", service, "100", "--verdict", "silent"])?.stdout()?;
        // Every SYN that is sent again gets the same answer.
        let attempt = Client::of(lab.client()).connect(lab.vip(service))?;
        ensure!(attempt.stream.is_err() && !attempt.refused(), "{attempt:?}");
        lab.sluice(&["drop", service, "0"])?.stdout()?;
        lab.get_many(service, 60)?.all_answered()?;
        let (_, report) = crowd.stop();
        report.untouched()?;
    }
    Ok(())
}

#[test]
fn a_ruleset_that_is_flushed_or_changed_is_made_again() -> Result<()> {
    let lab = Lab::build().servers(3).router("verify = \"500ms\"").service(nat("www")).start()?;
    let file = lab.directory().join("others.nft");
    std::fs::write(&file, OTHERS)?;
    let mut crowd = lab.crowd("www", 30)?;
    // Seeds differ, and in what order the kernel shows elements.
    let shown = |lab: &Lab| {
        let shown = nft(lab, &["-s", "list", "table", "inet", "sluice"])?;
        let lines = shown.lines().filter(|line| !line.trim().starts_with("comment"));
        let words = lines.flat_map(str::split_whitespace);
        let mut words: Vec<_> = words.map(|word| word.replace(',', "")).collect();
        words.sort();
        anyhow::Ok(words)
    };
    let whole = shown(&lab)?;
    let first = lab.backend("www", 0);
    let harm: &[&[&str]] = &[
        &["flush", "ruleset"],
        &["flush", "chain", "inet", "sluice", "service-www"],
        &["delete", "element", "inet", "sluice", "bindings4", "{ELEMENT}"],
        &["insert", "rule", "inet", "sluice", "cut", "drop"],
        &["add", "chain", "inet", "sluice", "mine"],
        &["delete", "table", "inet", "sluice"],
    ];
    let vip = lab.vip("www");
    let element =
        format!("{{ {} . tcp . {} . {} . {} }}", vip.ip(), vip.port(), first.ip(), first.port());
    for words in harm {
        nft(&lab, &["-f", &file.display().to_string()])?;
        let words: Vec<_> = words
            .iter()
            .map(|word| if *word == "{ELEMENT}" { element.as_str() } else { *word })
            .collect();
        nft(&lab, &words)?;
        let before = others(&lab)?;
        eventually(Duration::from_secs(10), &format!("its table again after {words:?}"), || {
            let now = shown(&lab);
            Ok(now.ok().filter(|now| *now == whole).map(drop))
        })
        .with_context(|| lab.last_words())?;
        ensure!(others(&lab)? == before, "tables of others have changed after {words:?}");
        crowd.ask().untouched().with_context(|| format!("{words:?}"))?;
        let answers = lab.get_many("www", 90)?;
        answers.all_answered()?;
        answers.spread.follows(&[("server-1", 1), ("server-2", 1), ("server-3", 1)])?;
    }
    Ok(())
}

#[test]
fn a_manager_that_starts_again_finds_what_it_made() -> Result<()> {
    let mut lab = Lab::build().servers(2).learning("5s").router("").service(nat("www")).start()?;
    let crowd = lab.crowd("www", 20)?.keep_asking();
    let shown = nft(&lab, &["-s", "-a", "list", "table", "inet", "sluice"])?;
    lab.kill_sluice()?;
    lab.get_many("www", 60)?.all_answered()?;
    // One that goes while no manager is there.
    lab.kill_agent(1)?;
    lab.start_sluice(&[])?;
    lab.wait_switch_in_step()?;
    ensure!(nft(&lab, &["-s", "-a", "list", "table", "inet", "sluice"])? == shown, "made anew");
    // It has connections, and so it does not go at once.
    lab.wait_state("www", 1, Some("draining"))?;
    lab.get_many("www", 60)?.spread.follows(&[("server-1", 1)])?;
    let (_, report) = crowd.stop();
    report.untouched()
}

#[test]
fn conntrack_tells_when_the_last_connection_has_ended() -> Result<()> {
    let mut lab = Lab::build().servers(2).router("").service(nat("www")).prepare()?;
    lab.start_sluice(&[])?;
    for server in 0..2 {
        lab.sluice(&["add", "www", &address(&lab, "www", server)])?.stdout()?;
        lab.wait_state("www", server, Some("active"))?;
    }
    let crowd = lab.crowd("www", 40)?;
    let leaving = crowd.spread().of("server-1");
    ensure!(leaving > 0);
    let (first, vip) = (address(&lab, "www", 0), lab.vip("www"));
    lab.sluice(&["remove", "www", &first, "--deadline", "60s"])?.stdout()?;
    eventually(Duration::from_secs(10), "conntrack's count", || {
        let backends = lab.backends("www")?;
        let connections = backends.iter().find(|one| one.address == lab.backend("www", 0));
        Ok(connections.filter(|one| one.connections == leaving).map(drop))
    })?;
    ensure!(lab.state("www", 0)?.as_deref() == Some("draining"));
    drop(crowd);
    lab.wait_state("www", 0, None)?;
    get_many(lab.client(), vip, 40)?.spread.follows(&[("server-2", 1)])
}

#[test]
fn servers_behind_another_gateway_see_the_router() -> Result<()> {
    let options = "[switch.options]\nmasquerade = true\ntable = \"balance\"";
    let lab = Lab::build().servers(2).router(options).service(nat("www")).start()?;
    // No way back to clients but through the router's own address.
    for server in lab.servers() {
        server.run("ip", &["route", "del", "default"])?.stdout()?;
    }
    let answers = lab.get_many("www", 100)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-1", 1), ("server-2", 1)])?;
    // And the router's own connections.
    let vip = lab.vip("www").ip().to_string();
    lab.edge().run("ip", &["route", "add", &vip, "dev", "eth0"])?.stdout()?;
    get_many(lab.edge(), lab.vip("www"), 20)?.all_answered()
}

#[test]
fn flows_of_udp_keep_their_server() -> Result<()> {
    let lab = Lab::build().servers(2).router("").service(nat("dns").settings(UDP)).start()?;
    let _names = Names::start(&lab, |server| lab.backend("dns", server))?;
    let flows = flows(&lab, "dns", 60)?;
    let first = ask(&flows)?;
    let spread: Spread = first.iter().cloned().collect();
    spread.follows(&[("server-1", 1), ("server-2", 1)])?;
    lab.sluice(&["weight", "dns", &address(&lab, "dns", 0), "0"])?.stdout()?;
    ensure!(ask(&flows)? == first, "a flow has moved");
    lab.sluice(&["drop", "dns", "100"])?.stdout()?;
    ensure!(ask(&flows)? == first, "a flow was refused");
    lab.sluice(&["drop", "dns", "0"])?.stdout()?;
    lab.sluice(&["remove", "dns", &address(&lab, "dns", 0), "--force"])?.stdout()?;
    // The kernel sends only some "port unreachable" a second, but all are cut off.
    let mut refused = 0;
    for (flow, server) in flows.iter().zip(&first) {
        flow.set_read_timeout(Some(Duration::from_millis(100)))?;
        match flow.send(b"who?").and_then(|_| flow.recv(&mut [0; 64])) {
            Ok(_) => ensure!(server == "server-2", "a flow of {server} was answered"),
            Err(error) => {
                ensure!(server == "server-1", "a flow of {server}: {error}");
                refused += u32::from(error.kind() == ErrorKind::ConnectionRefused);
            }
        }
    }
    ensure!(refused > 0, "nobody was told");
    Ok(())
}
