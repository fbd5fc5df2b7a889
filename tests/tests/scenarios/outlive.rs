//! The data path outlives its loader, and goes when it is told to.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Lab, eventually, l2, nat};

#[test]
fn a_killed_sluice_stops_no_traffic_and_the_next_one_adopts() -> Result<()> {
    let mut lab = Lab::build().servers(3).service(l2("www")).service(nat("api")).start()?;
    let first = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &first, "0"])?.stdout()?;
    let maps = lab.pinned_maps()?;
    ensure!(!maps.is_empty(), "nothing is pinned");
    let crowds = [lab.crowd("www", 50)?.keep_asking(), lab.crowd("api", 50)?.keep_asking()];
    let download = lab.download("www")?;

    lab.kill_sluice()?;
    let weights = [("server-2", 1), ("server-3", 1)];
    let answers = lab.get_many("www", 200)?;
    answers.all_answered()?;
    answers.spread.follows(&weights)?;
    lab.get_many("api", 100)?.all_answered()?;

    lab.start_sluice(&[])?;
    ensure!(lab.pinned_maps()? == maps, "the maps are other ones than before");
    for index in 0..3 {
        lab.wait_state("www", index, Some("active"))?;
        lab.wait_state("api", index, Some("active"))?;
    }
    let answers = lab.get_many("www", 200)?;
    answers.all_answered()?;
    answers.spread.follows(&weights)?;
    // The new process steers, too.
    lab.sluice(&["weight", "www", &first, "100"])?.stdout()?;
    lab.get_many("www", 300)?.spread.follows(&[
        ("server-1", 1),
        ("server-2", 1),
        ("server-3", 1),
    ])?;

    download.finish(Duration::from_secs(20))?;
    for crowd in crowds {
        let (_, report) = crowd.stop();
        report.untouched()?;
    }
    Ok(())
}

#[test]
fn a_proper_stop_goes_on_steering() -> Result<()> {
    let mut lab = Lab::build().service(l2("www")).start()?;
    let crowd = lab.crowd("www", 20)?.keep_asking();
    lab.stop_sluice()?;
    ensure!(lab.attached()?.is_some(), "the program is gone");
    lab.get_many("www", 100)?.all_answered()?;
    let (_, report) = crowd.stop();
    report.untouched()
}

#[test]
fn detach_on_exit_leaves_nothing_in_the_kernel() -> Result<()> {
    let mut lab = Lab::build().service(l2("www")).prepare()?;
    lab.start_sluice(&["--detach-on-exit"])?;
    lab.start_agent(0)?;
    lab.wait_state("www", 0, Some("active"))?;
    lab.get_many("www", 20)?.all_answered()?;
    let maps = lab.pinned_maps()?;
    ensure!(lab.attached()?.is_some() && !maps.is_empty());
    lab.stop_sluice()?;
    nothing_is_left(&lab, &maps)
}

#[test]
fn detach_by_hand_leaves_nothing_in_the_kernel() -> Result<()> {
    let mut lab = Lab::build().service(l2("www")).start()?;
    let maps = lab.pinned_maps()?;
    ensure!(lab.attached()?.is_some() && !maps.is_empty());
    lab.kill_sluice()?;
    let config = lab.directory().join("sluice.toml");
    lab.sluice(&["detach", "--config", &config.to_string_lossy()])?.stdout()?;
    nothing_is_left(&lab, &maps)
}

fn nothing_is_left(lab: &Lab, maps: &[u64]) -> Result<()> {
    ensure!(lab.attached()?.is_none(), "a program is still attached");
    ensure!(lab.pinned_files()? == 0, "{} files are still pinned", lab.pinned_files()?);
    // The kernel frees maps after a grace period.
    eventually(Duration::from_secs(5), "the kernel to free the maps", || {
        for &map in maps {
            ensure!(!lab.map_exists(map)?, "map {map} is still there");
        }
        Ok(Some(()))
    })
}
