//! A switch, or the way to it, that does not do as it should.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::{
    site::Site,
    switch::{API, Noise, Switch, Trouble, WWW},
};

/// How much more memory the manager may take for what a switch says.
const MEMORY: u64 = 100 << 20;

pub fn a_connection_lost_within_a_delta<S: Switch>() -> Result<()> {
    let mut site = Site::<S>::start()?;
    if !S::CAN.cable {
        return no_cable(&mut site);
    }
    site.add(WWW, &[100])?;
    let mut stay = site.switch.stay(&site.lab, WWW, 10)?;
    site.switch.trouble(Trouble::CutInDelta)?;
    // Several changes in one delta.
    let mut file = String::new();
    for service in [WWW, API] {
        file += &format!(
            "[[service]]\nname = \"{service}\"\naddress = \"{}\"\nmode = \"nat\"\n\
             health = {{ interval = \"200ms\" }}\n",
            site.lab.vip(service)
        );
        for server in 0..3 {
            let backend = site.backend(service, server);
            file += &format!("[[service.backend]]\naddress = \"{backend}\"\n");
        }
    }
    let path = site.lab.directory().join("many.toml");
    std::fs::write(&path, file)?;
    site.sluice(&["apply", &path.display().to_string()])?;
    let switch = &site.switch;
    site.eventually("the connection to be cut", || {
        ensure!(switch.cuts() > 0, "it is not cut");
        Ok(())
    })?;
    site.serves(WWW, &[100, 100, 100])?;
    site.serves(API, &[100, 100, 100])?;
    ensure!(site.events("switch.disconnected")? > 0, "it was not noticed");
    stay.ask().untouched()?;
    site.follows(WWW, &[100, 100, 100])
}

/// A switch that is reached by no connection says so when it is asked for trouble.
fn no_cable<S: Switch>(site: &mut Site<S>) -> Result<()> {
    ensure!(site.switch.trouble(Trouble::Silence).is_err(), "there is a cable after all");
    Ok(())
}

pub fn a_refusal_is_an_alarm_and_tried_again<S: Switch>() -> Result<()> {
    let mut site = Site::<S>::start()?;
    if !S::CAN.refuses {
        ensure!(site.switch.refuse(true).is_err(), "it can refuse after all");
        return Ok(());
    }
    let words = site.switch.refuse(true)?;
    let backend = site.backend(API, 0).to_string();
    site.sluice(&["add", API, &backend])?;
    site.alarm(words)?;
    // All others go on.
    site.witness_serves(API, &[100])?;
    let backend = site.backend(WWW, 0).to_string();
    site.sluice(&["add", WWW, &backend])?;
    site.holds(WWW, &site.wanted(WWW, &[100]))?;
    site.follows(WWW, &[100])?;
    site.eventually("it to be tried again", || {
        ensure!(site.events("switch.refused")? >= 3, "it is not");
        Ok(())
    })?;
    site.switch.refuse(false)?;
    site.serves(API, &[100])?;
    site.follows(API, &[100])?;
    site.eventually("the alarm to end", || {
        let alarms = site.alarms()?;
        ensure!(!alarms.iter().any(|alarm| alarm.contains(words)), "{alarms:?}");
        Ok(())
    })
}

pub fn a_silent_switch_holds_up_nobody<S: Switch>() -> Result<()> {
    let mut site = Site::<S>::start()?;
    if !S::CAN.cable {
        return no_cable(&mut site);
    }
    site.add(WWW, &[100, 100])?;
    let mut stay = site.switch.stay(&site.lab, WWW, 10)?;
    site.switch.trouble(Trouble::Silence)?;
    goes_on_without(&site, 50)?;
    if S::CAN.answers {
        site.alarm("switch `trial`")?;
    }
    stay.ask().untouched()?;
    site.switch.trouble(Trouble::None)?;
    site.serves(WWW, &[50, 100])?;
    stay.ask().untouched()
}

pub fn hostile_replies<S: Switch>() -> Result<()> {
    let mut site = Site::<S>::start()?;
    if !S::CAN.cable {
        return no_cable(&mut site);
    }
    site.add(WWW, &[100, 100])?;
    let before = memory(&site)?;
    let noises = [Noise::Huge, Noise::Endless, Noise::Binary].map(Trouble::Noise);
    for (number, trouble) in (1..).zip(noises.into_iter().chain([Trouble::PromptInName])) {
        let weight = 100 - number;
        site.switch.trouble(trouble.clone())?;
        goes_on_without(&site, weight).with_context(|| format!("{trouble:?}"))?;
        site.alarm("switch `trial`")?;
        let took = memory(&site)?.saturating_sub(before);
        ensure!(took < MEMORY, "{trouble:?}: the manager took {took} bytes more");
        site.switch.trouble(Trouble::None)?;
        site.serves(WWW, &[weight, 100]).with_context(|| format!("after {trouble:?}"))?;
    }
    site.follows(WWW, &[96, 100])
}

/// The first server gets another weight: the other switch has it soon, and the manager
/// answers.
fn goes_on_without<S: Switch>(site: &Site<S>, weight: u32) -> Result<()> {
    let begun = Instant::now();
    site.weigh(WWW, 0, weight)?;
    site.witness_serves(WWW, &[weight, 100])?;
    site.alarms()?;
    let took = begun.elapsed();
    ensure!(took < Duration::from_secs(10), "it took {took:?}");
    Ok(())
}

/// Resident memory of the manager.
fn memory<S: Switch>(site: &Site<S>) -> Result<u64> {
    let manager = site.lab.daemons().next().context("no manager runs")?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", manager.pid()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kilobytes = line.split_whitespace().nth(1).context("no number")?;
    Ok(kilobytes.parse::<u64>()? << 10)
}
