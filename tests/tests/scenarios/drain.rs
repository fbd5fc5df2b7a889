//! How a server leaves: in peace, at a deadline, or by force.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lab::{Lab, eventually, l2};

#[test]
fn a_drained_server_finishes_its_download_and_takes_no_new_connection() -> Result<()> {
    let lab = Lab::build().servers(3).service(l2("www")).start()?;
    let mut download = lab.download("www")?;
    let server = download.server().to_owned();
    let index = lab.server_index(&server)?;
    let address = lab.backend("www", index).to_string();
    lab.sluice(&["remove", "www", &address, "--deadline", "60s"])?.stdout()?;
    let answers = lab.get_many("www", 300)?;
    answers.all_answered()?;
    let weights: Vec<_> =
        lab.servers().iter().map(|host| (host.name(), u32::from(host.name() != server))).collect();
    answers.spread.follows(&weights)?;
    ensure!(download.running()?, "the download ended before the drain was looked at");
    ensure!(lab.state("www", index)?.as_deref() == Some("draining"));
    download.finish(Duration::from_secs(20))?;
    lab.wait_state("www", index, None)
}

#[test]
fn remove_with_wait_returns_when_the_last_connection_has_ended() -> Result<()> {
    let lab = Lab::build().servers(2).service(l2("www")).start()?;
    let mut download = lab.download("www")?;
    let index = lab.server_index(download.server())?;
    let address = lab.backend("www", index).to_string();
    let args = ["remove", "www", &address, "--deadline", "60s", "--wait"];
    lab.sluice(&args)?.stdout()?;
    ensure!(!download.running()?, "it returned while the download was running");
    download.finish(Duration::from_secs(1))?;
    ensure!(lab.state("www", index)?.is_none());
    Ok(())
}

#[test]
fn a_deadline_breaks_what_is_left() -> Result<()> {
    let lab = Lab::build().servers(2).service(l2("www")).start()?;
    let mut crowd = lab.crowd("www", 40)?;
    let leaving = crowd.spread().of("server-1");
    ensure!(leaving > 0, "{}", crowd.spread());
    let address = lab.backend("www", 0).to_string();
    let begun = Instant::now();
    lab.sluice(&["remove", "www", &address, "--deadline", "3s"])?.stdout()?;
    crowd.ask().untouched()?;
    let mut broken = Vec::new();
    eventually(Duration::from_secs(10), "the deadline", || {
        broken.extend(crowd.ask().broken);
        Ok((broken.len() as u64 == leaving).then_some(()))
    })?;
    ensure!(begun.elapsed() >= Duration::from_secs(3), "broken after {:?}", begun.elapsed());
    ensure!(broken.iter().all(|one| one.server == "server-1"), "{broken:?}");
    crowd.ask().untouched()
}

#[test]
fn force_breaks_at_the_clients_next_packet() -> Result<()> {
    let lab = Lab::build().servers(2).service(l2("www")).start()?;
    let mut crowd = lab.crowd("www", 40)?;
    let leaving = crowd.spread().of("server-1");
    ensure!(leaving > 0, "{}", crowd.spread());
    let address = lab.backend("www", 0).to_string();
    lab.sluice(&["remove", "www", &address, "--force"])?.stdout()?;
    let begun = Instant::now();
    let report = crowd.ask();
    let took = begun.elapsed();
    ensure!(report.broken.len() as u64 == leaving && report.moved.is_empty(), "{report}");
    ensure!(
        report.broken.iter().all(|one| (one.server.as_str(), one.error) == ("server-1", ErrorKind::ConnectionReset)),
        "{:?}",
        report.broken
    );
    ensure!(took < Duration::from_secs(1), "forty questions took {took:?}: some waited for an RST");
    crowd.ask().untouched()?;
    lab.get_many("www", 100)?.spread.follows(&[("server-2", 1)])
}

#[test]
fn a_removed_server_can_be_added_again() -> Result<()> {
    let lab = Lab::build().servers(2).service(l2("www")).start()?;
    let address = lab.backend("www", 0).to_string();
    for removal in [&["--wait"][..], &["--force"]] {
        let mut args = vec!["remove", "www", &address];
        args.extend(removal);
        lab.sluice(&args)?.stdout()?;
        lab.get_many("www", 50)?.spread.follows(&[("server-2", 1)])?;
        lab.sluice(&["add", "www", &address])?.stdout()?;
        lab.wait_state("www", 0, Some("active"))?;
        lab.get_many("www", 200)?.spread.follows(&[("server-1", 1), ("server-2", 1)])?;
    }
    Ok(())
}
