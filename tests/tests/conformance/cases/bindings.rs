//! Servers come, weigh, and go.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use crate::{
    site::Site,
    switch::{API, Standing, Switch, WWW},
};

/// Port of the lab's web servers that the probes of [`a_full_table`] ask.
const HEALTH: u16 = 8080;

pub fn an_added_server_serves<S: Switch>() -> Result<()> {
    let site = Site::<S>::start()?;
    site.add(WWW, &[100])?;
    let mut stay = site.switch.stay(&site.lab, WWW, 20)?;
    site.add(WWW, &[100, 100])?;
    site.add(API, &[100])?;
    site.follows(WWW, &[100, 100])?;
    site.follows(API, &[100])?;
    stay.ask().untouched()?;
    ensure!(stay.on("server-1") == 20);
    site.witness_serves(WWW, &[100, 100])
}

pub fn weights_are_shares<S: Switch>() -> Result<()> {
    let site = Site::<S>::start()?;
    site.add(WWW, &[100, 100, 100])?;
    let mut stay = site.switch.stay(&site.lab, WWW, 30)?;
    let Some(most) = S::CAN.weights else {
        return site.follows(WWW, &[1, 1, 1]);
    };
    for weights in [[10, 30, 60], [0, 1, 1], [50, 50, 50]] {
        for (server, &weight) in weights.iter().enumerate() {
            site.weigh(WWW, server, weight)?;
        }
        site.serves(WWW, &weights)?;
        site.follows(WWW, &weights)?;
        stay.ask().untouched()?;
    }
    // More than it can say is scaled, where more can be said at all.
    if u16::try_from(2 * most).is_err() {
        return Ok(());
    }
    site.weigh(WWW, 0, 2 * most)?;
    site.weigh(WWW, 1, 2 * most)?;
    site.weigh(WWW, 2, most)?;
    site.eventually("weights within its range", || {
        let held = site.switch.holds(&site.lab, WWW)?;
        let of = |server| match held.get(&site.backend(WWW, server)) {
            Some(Standing::Serves { weight }) => *weight,
            _ => 0,
        };
        let fits = of(0) == of(1) && of(0) == 2 * of(2) && (2..=most).contains(&of(0));
        ensure!(fits, "it holds {held:?}");
        Ok(())
    })?;
    site.follows(WWW, &[2, 2, 1])?;
    stay.ask().untouched()
}

pub fn a_graceful_remove_waits<S: Switch>() -> Result<()> {
    let site = Site::<S>::of(S::lab().manager("break_linger = \"1s\""))?;
    site.add(WWW, &[100, 100, 100])?;
    let mut stay = site.switch.stay(&site.lab, WWW, 30)?;
    ensure!(stay.on("server-1") > 0);
    let before = stay.on("server-1");
    // Within the time that the suite waits, where nothing else ends it.
    let deadline = if S::CAN.counts { "60s" } else { "20s" };
    site.remove(WWW, 0, &["--deadline", deadline])?;
    let mut draining = site.wanted(WWW, &[100, 100, 100]);
    draining.insert(site.backend(WWW, 0), Standing::Drains);
    site.holds(WWW, &draining)?;
    site.follows(WWW, &[0, 100, 100])?;
    stay.ask().untouched()?;
    ensure!(stay.on("server-1") == before);
    // It goes with its last connection, or at the deadline.
    drop(stay);
    draining.remove(&site.backend(WWW, 0));
    site.holds(WWW, &draining)
}

pub fn a_forced_remove_breaks<S: Switch>() -> Result<()> {
    let site = Site::<S>::start()?;
    site.add(WWW, &[100, 100, 100])?;
    let mut stay = site.switch.stay(&site.lab, WWW, 30)?;
    let leaving = stay.on("server-1");
    ensure!(leaving > 0);
    site.remove(WWW, 0, &["--force"])?;
    site.eventually("the server to be out", || {
        let held = site.switch.holds(&site.lab, WWW)?;
        let standing = held.get(&site.backend(WWW, 0));
        let out = match standing {
            None | Some(Standing::Broken) => true,
            // It takes nobody new, which is all that can be done.
            Some(Standing::Drains) => !S::CAN.breaks,
            Some(Standing::Serves { .. }) => false,
        };
        ensure!(out, "{held:?}");
        Ok(())
    })?;
    if S::CAN.breaks {
        let report = stay.ask();
        let broken = report.broken.iter().filter(|one| one.server == "server-1").count() as u64;
        ensure!(broken == leaving && report.broken.len() as u64 == leaving, "{report}");
    }
    stay.ask().untouched()?;
    site.follows(WWW, &[0, 100, 100])?;
    // And back, where nothing holds that up.
    drop(stay);
    site.add(WWW, &[100, 100, 100])?;
    site.follows(WWW, &[100, 100, 100])
}

pub fn what_is_not_ours_stays<S: Switch>() -> Result<()> {
    let site = Site::<S>::start()?;
    let before = site.switch.others()?;
    ensure!(!before.is_empty(), "there is nothing of others");
    site.add(WWW, &[100, 100])?;
    site.weigh(WWW, 0, 50)?;
    site.remove(WWW, 1, &["--force"])?;
    site.eventually("the server to be out", || {
        let held = site.switch.holds(&site.lab, WWW)?;
        let serves = |standing: &Standing| matches!(standing, Standing::Serves { .. });
        ensure!(held.values().filter(|standing| serves(standing)).count() == 1, "{held:?}");
        Ok(())
    })?;
    let after = site.switch.others()?;
    ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    Ok(())
}

/// Nothing is bound yet, and later nothing any more.
pub fn an_empty_table<S: Switch>() -> Result<()> {
    let site = Site::<S>::of(S::lab().manager("break_linger = \"1s\""))?;
    site.holds(WWW, &site.wanted(WWW, &[]))?;
    let nobody = || -> Result<()> {
        let answers = site.switch.visit(&site.lab, WWW, 5)?;
        ensure!(answers.spread.total() == 0, "{answers:?}");
        Ok(())
    };
    nobody()?;
    site.add(WWW, &[100])?;
    site.follows(WWW, &[100])?;
    site.remove(WWW, 0, &["--force"])?;
    site.holds(WWW, &site.wanted(WWW, &[]))?;
    nobody()
}

/// As many servers as it takes, or a few hundred; and one more.
pub fn a_full_table<S: Switch>() -> Result<()> {
    const MANY: usize = 300;
    let most = S::CAN.servers.unwrap_or(MANY);
    let lab = S::lab();
    let site = Site::<S>::of(lab)?;
    let first = site.backend(WWW, 0).ip();
    let address = |number: usize| -> Result<SocketAddr> {
        Ok((first, u16::try_from(20_000 + number)?).into())
    };
    let mut file = format!(
        "[[service]]\nname = \"{WWW}\"\naddress = \"{}\"\nmode = \"nat\"\n\
         health = {{ port = {HEALTH}, interval = \"5s\" }}\n",
        site.lab.vip(WWW)
    );
    let mut declare = |servers: usize, more: usize| -> Result<()> {
        for number in servers..servers + more {
            file += &format!("[[service.backend]]\naddress = \"{}\"\n", address(number)?);
        }
        let path = site.lab.directory().join("full.toml");
        std::fs::write(&path, &file)?;
        site.sluice(&["apply", "--prune", &path.display().to_string()])
    };
    declare(0, most)?;
    let count = |servers: usize| {
        site.eventually(&format!("the switch to hold {servers} servers"), || {
            let held = site.switch.holds(&site.lab, WWW)?.len();
            ensure!(held == servers, "it holds {held}");
            Ok(())
        })
    };
    count(most)?;
    declare(most, 1)?;
    if S::CAN.servers.is_some() {
        site.alarm("refuses changes")?;
        return count(most);
    }
    count(most + 1)
}
