//! What a switch holds is not what it should hold.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    site::Site,
    switch::{API, Switch, Tamper, WWW},
};

pub fn a_reboot_is_refilled<S: Switch>() -> Result<()> {
    let mut site = Site::<S>::start()?;
    site.add(WWW, &[100, 50])?;
    site.add(API, &[100])?;
    let before = site.events("switch.refilled")?;
    site.switch.reboot()?;
    site.serves(WWW, &[100, 50])?;
    site.serves(API, &[100])?;
    site.follows(WWW, &[100, 50])?;
    if S::CAN.forgets && S::CAN.answers {
        ensure!(site.events("switch.refilled")? > before, "it was not seen to be empty");
    }
    Ok(())
}

pub fn what_nobody_vouches_for_goes_after_learning<S: Switch>() -> Result<()> {
    const LEARNING: Duration = Duration::from_secs(5);
    // All of it is lost at once: that alone would freeze it.
    let lab = S::lab().learning("5s").manager("freeze_percent = 0");
    let mut site = Site::<S>::of(lab)?;
    site.add(WWW, &[100, 100])?;
    let mut stay = site.switch.stay(&site.lab, WWW, 10)?;
    site.lab.kill_manager()?;
    std::fs::remove_file(site.lab.intent())?;
    site.start_manager()?;
    let begun = Instant::now();
    // It is known, by the other switch at the least, and kept.
    while begun.elapsed() < LEARNING / 2 {
        let held = site.switch.holds(&site.lab, WWW)?;
        ensure!(held == site.wanted(WWW, &[100, 100]), "too early: {held:?}");
        thread::sleep(Duration::from_millis(200));
    }
    stay.ask().untouched()?;
    site.follows(WWW, &[100, 100])?;
    site.eventually("nobody to serve", || {
        let answers = site.switch.visit(&site.lab, WWW, 5)?;
        ensure!(answers.spread.total() == 0, "{answers:?}");
        Ok(())
    })
}

pub fn changes_behind_our_back_are_mended<S: Switch>() -> Result<()> {
    let mut site = Site::<S>::start()?;
    site.add(WWW, &[100, 100])?;
    let (first, second, third) = (site.backend(WWW, 0), site.backend(WWW, 1), site.backend(WWW, 2));
    let tampers = [Tamper::Weight(first), Tamper::Delete(second), Tamper::Stranger(third)];
    // One that cannot be asked is told again what it was told, and of strangers nothing.
    let mended = if S::CAN.answers { tampers.len() } else { 2 };
    for tamper in tampers.into_iter().take(mended) {
        let wanted = site.wanted(WWW, &[100, 100]);
        site.switch.tamper(WWW, tamper)?;
        let held = site.switch.holds(&site.lab, WWW)?;
        // The look may come before we do, but not within a few milliseconds each time.
        site.holds(WWW, &wanted)?;
        ensure!(held != wanted, "{tamper:?} did nothing");
    }
    if !S::CAN.answers {
        return site.follows(WWW, &[100, 100]);
    }
    site.eventually("the drift to be shown", || {
        ensure!(site.events("switch.drifted")? >= 3, "{}", site.lab.sluice(&["events"])?.stdout()?);
        Ok(())
    })?;
    site.follows(WWW, &[100, 100])
}
