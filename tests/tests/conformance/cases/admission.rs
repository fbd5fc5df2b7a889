//! A share of new connections is refused.

use anyhow::{Result, ensure};

use crate::{
    site::Site,
    switch::{Switch, WWW},
};

pub fn a_share_is_refused<S: Switch>() -> Result<()> {
    const VISITS: usize = 400;
    let site = Site::<S>::start()?;
    site.add(WWW, &[100, 100])?;
    let mut stay = site.switch.stay(&site.lab, WWW, 20)?;
    site.sluice(&["drop", WWW, "40"])?;
    if !S::CAN.admission && !S::CAN.drop_servers {
        site.alarm("refuses nobody")?;
        return site.switch.visit(&site.lab, WWW, 50)?.all_answered();
    }
    site.lab.wait_switch_in_step()?;
    let answers = site.switch.visit(&site.lab, WWW, VISITS)?;
    let turned_away = site.turned_away(&answers)? as f64;
    // 4.9 standard deviations: once in a million runs by chance.
    let (wanted, bound) = (0.4 * VISITS as f64, 4.9 * (VISITS as f64 * 0.4 * 0.6).sqrt());
    ensure!((turned_away - wanted).abs() <= bound, "{turned_away} of {VISITS}: {answers:?}");
    stay.ask().untouched()?;
    site.sluice(&["drop", WWW, "0"])?;
    site.lab.wait_switch_in_step()?;
    site.follows(WWW, &[100, 100])?;
    stay.ask().untouched()
}
