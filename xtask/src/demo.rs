//! `cargo xtask demo`: the main job on real traffic, told step by step.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab::{Answers, Lab, eventually, l2, wrk};

use crate::{labs, story::Story};

const SERVICE: &str = "www";
/// Requests in a step that looks at shares.
const REQUESTS: usize = 300;
/// How long a change by a person or a failure may take to show.
const SOON: Duration = Duration::from_secs(10);
/// When a client that hears nothing sends its SYN again (RFC 6298 section 2.1).
const SYN_AGAIN: Duration = Duration::from_secs(1);
const DOWNLOAD: Duration = Duration::from_secs(30);

/// `cargo xtask demo`
pub fn command(keep: bool) -> Result<()> {
    labs::prepare("demo")?;
    let lab = Lab::build().servers(3).service(l2(SERVICE));
    // A lab that people enter has a name to remember.
    let mut lab = if keep { lab.label("demo") } else { lab }.start()?;
    let told = tell(&mut lab);
    if keep {
        let entry = labs::how_to_enter(&lab)?;
        lab.keep()?;
        println!("\n{entry}");
    } else {
        if told.is_err() {
            println!("\n{}", lab.last_words());
        }
        drop(lab);
    }
    told?;
    println!("\nEverything was as expected.");
    Ok(())
}

fn tell(lab: &mut Lab) -> Result<()> {
    let mut story = Story::default();
    servers_are_bound(&mut story, lab)?;
    requests_follow_weights(&mut story, lab)?;
    load_is_served(&mut story, lab)?;
    a_drain_leaves_a_download_alone(&mut story, lab)?;
    a_dead_servers_share_moves(&mut story, lab)?;
    let refused = half_is_refused(&mut story, lab)?;
    counters_agree(&mut story, lab, refused)
}

fn servers_are_bound(story: &mut Story, lab: &Lab) -> Result<()> {
    story.step("Three servers heartbeat and are bound");
    story.sluice(lab, &["get", "backends"])?;
    let active = lab.backends(SERVICE)?.iter().filter(|backend| backend.state == "active").count();
    story.expect("3 servers active", format!("{active} servers active"), active == 3)?;
    let attached = lab.attached()?.unwrap_or_else(|| "nothing".to_owned());
    story.expect("an XDP program on the edge's eth0", &attached, attached.starts_with("xdp"))
}

fn requests_follow_weights(story: &mut Story, lab: &Lab) -> Result<()> {
    story.step("Requests spread by weight");
    shares(story, lab, "equal shares", &[("server-1", 1), ("server-2", 1), ("server-3", 1)])?;
    let first = lab.backend(SERVICE, 0).to_string();
    story.sluice(lab, &["weight", SERVICE, &first, "200"])?;
    shares(
        story,
        lab,
        "half of them on server-1",
        &[("server-1", 2), ("server-2", 1), ("server-3", 1)],
    )?;
    story.sluice(lab, &["weight", SERVICE, &first, "100"])
}

fn load_is_served(story: &mut Story, lab: &Lab) -> Result<()> {
    story.step("wrk loads the service over 60 connections for 3 seconds");
    let load = wrk(lab.client(), lab.vip(SERVICE), 60, 3)?;
    let errors = load.connect_errors + load.other_errors;
    let seen = format!("{} requests, {errors} errors", load.requests);
    story.expect("thousands of requests, 0 errors", seen, load.requests > 1000 && errors == 0)
}

fn a_drain_leaves_a_download_alone(story: &mut Story, lab: &Lab) -> Result<()> {
    story.step("A server is drained while a long download through it goes on");
    let mut download = lab.download(SERVICE)?;
    let server = download.server().to_owned();
    let index = lab.server_index(&server)?;
    let address = lab.backend(SERVICE, index).to_string();
    println!("   curl downloads {} KiB from {server}", download.size() / 1024);
    story.sluice(lab, &["remove", SERVICE, &address, "--deadline", "60s"])?;
    let answers = lab.get_many(SERVICE, REQUESTS)?;
    let none = answers.all_answered().is_ok() && answers.spread.of(&server) == 0;
    story.expect(&format!("no new connection on {server}"), show(&answers), none)?;
    let running = download.running()?;
    let seen = format!("{} of {} KiB so far", download.received() / 1024, download.size() / 1024);
    story.expect("the download goes on", seen, running)?;
    story.sluice(lab, &["get", "backends"])?;
    let size = download.size();
    let finished = download.finish(DOWNLOAD);
    let seen = match &finished {
        Ok(()) => format!("{size} bytes, as sent"),
        Err(error) => format!("{error:#}"),
    };
    story.expect(&format!("{size} bytes, as sent"), seen, finished.is_ok())?;
    let gone = eventually(SOON, "the drained server to be gone", || {
        let state = lab.state(SERVICE, index)?;
        let done = lab
            .backends(SERVICE)?
            .iter()
            .all(|backend| backend.address.to_string() != address || backend.removable);
        Ok((state.is_none() || done).then_some(()))
    });
    let seen = if gone.is_ok() { "it may go now" } else { "it is still in use" };
    story.expect("with its last connection ended, it may go now", seen, gone.is_ok())?;
    story.sluice(lab, &["add", SERVICE, &address])?;
    lab.wait_state(SERVICE, index, Some("active"))
}

fn a_dead_servers_share_moves(story: &mut Story, lab: &mut Lab) -> Result<()> {
    story.step("server-3 loses power");
    lab.cut_power(2)?;
    let begun = Instant::now();
    lab.wait_state(SERVICE, 2, Some("down"))?;
    let took = begun.elapsed();
    let seen = format!("down after {} ms", took.as_millis());
    story.expect(
        "its missed heartbeats take it out within 2 s",
        seen,
        took < Duration::from_secs(2),
    )?;
    shares(story, lab, "its share on the others", &[("server-1", 1), ("server-2", 1)])
}

/// How many were refused.
fn half_is_refused(story: &mut Story, lab: &Lab) -> Result<u64> {
    story.step("Half of the new connections are refused");
    story.sluice(lab, &["drop", SERVICE, "50"])?;
    let answers = lab.get_many(SERVICE, REQUESTS)?;
    // A share that is a half leaves these bounds once in a million runs.
    let spread = 4.9 * (REQUESTS as f64 * 0.25).sqrt();
    let half = (answers.refused as f64 - REQUESTS as f64 / 2.0).abs() < spread;
    let only = answers.failed.is_empty();
    let expected = format!("about {} of {REQUESTS} refused by RST, no other failure", REQUESTS / 2);
    let seen = format!("{} refused, {} other failures", answers.refused, answers.failed.len());
    story.expect(&expected, seen, half && only)?;
    let slowest = answers.slowest_refusal;
    let seen = format!("the slowest after {:.1} ms", slowest.as_secs_f64() * 1e3);
    let expected = "each at once: before a client sends its SYN again";
    story.expect(expected, seen, slowest < SYN_AGAIN)?;
    story.sluice(lab, &["drop", SERVICE, "0"])?;
    let served = lab.get_many(SERVICE, 100)?;
    let all = served.all_answered().is_ok();
    story.expect("with the share at 0 all are served", show(&served), all)?;
    Ok(answers.refused)
}

fn counters_agree(story: &mut Story, lab: &Lab, refused: u64) -> Result<()> {
    story.step("What the counters say");
    // The edge reports once a second.
    let counted = || lab.counter(SERVICE, "refused_reset");
    let agree = eventually(SOON, "the counters", || Ok((counted()? == refused).then_some(())));
    story.sluice(lab, &["counters"])?;
    let seen = format!("{} connections refused by RST", counted()?);
    story.expect(&format!("{refused} connections refused by RST"), seen, agree.is_ok())
}

fn shares(story: &Story, lab: &Lab, expected: &str, weights: &[(&str, u32)]) -> Result<()> {
    let answers = lab.get_many(SERVICE, REQUESTS).context("curl")?;
    let agrees = answers.all_answered().and_then(|()| answers.spread.follows(weights));
    story.expect(&format!("{REQUESTS} requests, {expected}"), show(&answers), agrees.is_ok())
}

fn show(answers: &Answers) -> String {
    let lost = answers.total() - answers.spread.total();
    if lost == 0 {
        answers.spread.to_string()
    } else {
        format!("{}, {lost} not answered", answers.spread)
    }
}
