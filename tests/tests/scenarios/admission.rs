//! Which connections are let in at all.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Answers, Client, Lab, get_many, l2, nat};

/// Whether `refused` of `total` may come of a coin with this probability; a
/// fair coin fails once in a million runs.
fn about(share: f64, refused: u64, total: u64) -> bool {
    let total = total as f64;
    (refused as f64 - share * total).abs() <= 4.9 * (total * share * (1.0 - share)).sqrt()
}

fn refused_about(share: f64, answers: &Answers) -> Result<()> {
    ensure!(answers.failed.is_empty(), "{answers:?}");
    ensure!(about(share, answers.refused, answers.total()), "{share} wanted: {answers:?}");
    Ok(())
}

#[test]
fn a_share_is_refused_by_rst_at_once() -> Result<()> {
    let lab =
        Lab::build().service(l2("www")).service(nat("api")).service(nat("six").v6()).start()?;
    for service in ["www", "api", "six"] {
        lab.sluice(&["drop", service, "50"])?.stdout()?;
        refused_about(0.5, &lab.get_many(service, 600)?)?;
        let attempts = Client::of(lab.client()).connect_many(lab.vip(service), 100)?;
        for attempt in &attempts {
            ensure!(attempt.stream.is_ok() || attempt.refused(), "{attempt:?}");
            // A client that has to send its SYN again waits a second.
            ensure!(attempt.took < Duration::from_millis(500), "{attempt:?}");
        }
        lab.sluice(&["drop", service, "0"])?.stdout()?;
        lab.get_many(service, 100)?.all_answered()?;
    }
    Ok(())
}

#[test]
fn a_small_share_is_kept_too() -> Result<()> {
    let lab = Lab::build().service(l2("www")).start()?;
    lab.sluice(&["drop", "www", "12.5"])?.stdout()?;
    refused_about(0.125, &lab.get_many("www", 800)?)
}

#[test]
fn established_connections_do_not_notice() -> Result<()> {
    let lab = Lab::build().service(l2("www")).start()?;
    let crowd = lab.crowd("www", 50)?.keep_asking();
    lab.sluice(&["drop", "www", "100"])?.stdout()?;
    let answers = lab.get_many("www", 50)?;
    ensure!(answers.refused == 50, "{answers:?}");
    let (_, report) = crowd.stop();
    report.untouched()
}

#[test]
fn a_class_is_refused_alone() -> Result<()> {
    let lab = Lab::build()
        .clients(2)
        .service(l2("www"))
        .tables("[[class]]\nname = \"guests\"\nsources = [\"198.18.1.12/32\"]")
        .start()?;
    let vip = lab.vip("www");
    lab.sluice(&["drop", "www", "100", "--class", "guests"])?.stdout()?;
    let guests = get_many(&lab.clients()[1], vip, 50)?;
    ensure!(guests.refused == 50, "{guests:?}");
    lab.get_many("www", 50)?.all_answered()?;
    lab.sluice(&["drop", "www", "100", "--class", "default"])?.stdout()?;
    lab.sluice(&["drop", "www", "0", "--class", "guests"])?.stdout()?;
    get_many(&lab.clients()[1], vip, 50)?.all_answered()?;
    let others = lab.get_many("www", 50)?;
    ensure!(others.refused == 50, "{others:?}");
    Ok(())
}

#[test]
fn silence_is_no_refusal() -> Result<()> {
    let lab = Lab::build().service(l2("www")).start()?;
    lab.sluice(&["drop", "www", "100", "--verdict", "silent"])?.stdout()?;
    let attempt = Client::of(lab.client()).connect(lab.vip("www"))?;
    ensure!(attempt.stream.is_err() && !attempt.refused(), "{attempt:?}");
    Ok(())
}

#[test]
fn a_client_is_let_in_or_turned_away_as_a_whole() -> Result<()> {
    let lab = Lab::build().clients(6).service(l2("www")).start()?;
    lab.sluice(&["drop", "www", "50", "--by", "client"])?.stdout()?;
    for client in lab.clients() {
        let answers = get_many(client, lab.vip("www"), 20)?;
        ensure!(answers.failed.is_empty(), "{answers:?}");
        ensure!(answers.refused == 0 || answers.refused == 20, "{}: {answers:?}", client.name());
    }
    Ok(())
}
