//! Somebody with the privilege changes what an edge has in the kernel.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, eventually, l2};
use lb_common::abi::{ABI_VERSION, Backend, MAX_BACKENDS, maps, words};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: &str = "verify = \"300ms\"";
/// Binding ids begin with this one.
const FIRST_ID: u32 = 1;

/// `bpftool map update` of one element of a pinned map.
fn overwrite(lab: &Lab, pins: &Path, map: &str, index: u32, value: &[u8]) -> Result<()> {
    let pin = pins.join(format!("v{ABI_VERSION}")).join(map).display().to_string();
    let bytes = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>();
    let mut args = vec!["map".to_owned(), "update".to_owned(), "pinned".to_owned(), pin];
    args.push("key".to_owned());
    args.extend(bytes(&index.to_ne_bytes()));
    args.push("value".to_owned());
    args.extend(bytes(value));
    lab.edge().run("bpftool", &args)?.stdout()?;
    Ok(())
}

/// Commits twice what has nothing to do with backends: their rows are then in both
/// copies, and the next commit does not write them.
fn settle(lab: &Lab) -> Result<()> {
    for share in ["0.01", "0"] {
        lab.sluice(&["drop", "www", share])?.stdout()?;
    }
    Ok(())
}

/// The bytes of an element of a pinned map.
fn element(lab: &Lab, pins: &Path, map: &str, index: u32) -> Result<Vec<u8>> {
    let pin = pins.join(format!("v{ABI_VERSION}")).join(map).display().to_string();
    let key = index.to_ne_bytes().map(|byte| byte.to_string());
    let mut args = ["-j", "map", "lookup", "pinned", &pin, "key"].map(str::to_owned).to_vec();
    args.extend(key);
    let element: Value = serde_json::from_str(&lab.edge().run("bpftool", &args)?.stdout()?)?;
    let byte = |byte: &Value| {
        let digits = byte.as_str().and_then(|byte| byte.strip_prefix("0x"))?;
        u8::from_str_radix(digits, 16).ok()
    };
    let bytes = element["value"].as_array().context("no value")?.iter().map(byte);
    bytes.collect::<Option<_>>().context("no bytes")
}

/// The generation that packets read: the manager hears of it a moment later.
fn generation_of(lab: &Lab, pins: &Path) -> Result<u64> {
    let word = element(lab, pins, maps::WORDS, words::GENERATION)?;
    Ok(u64::from_ne_bytes(word[..].try_into()?))
}

/// Waits until the manager knows of so many drifts of an edge, all mended, and
/// returns what the last one was.
fn told(lab: &Lab, edge: usize, times: u64) -> Result<String> {
    eventually(PATIENCE, "the drift to be told of", || {
        let switch = lab.switch(edge)?;
        let last = &switch["last_drift"];
        let mended = switch["drifts"].as_u64() >= Some(times) && last["mended"] == true;
        ensure!(mended, "{switch}");
        Ok(last["what"].as_str().map(str::to_owned))
    })
}

fn drifts(lab: &Lab, edge: usize) -> Result<u64> {
    lab.switch(edge)?["drifts"].as_u64().context("no count")
}

#[test]
fn tables_that_somebody_overwrites_are_put_right() -> Result<()> {
    let lab = Lab::build().edges(2).clients(2).servers(3).service(l2("www")).edge(LOOK).start()?;
    let (other, crowd) = (lab.crowd_by(0, "www", 30)?, lab.crowd_by(1, "www", 60)?);
    let (other, crowd) = (other.keep_asking(), crowd.keep_asking());
    ensure!(drifts(&lab, 0)? == 0 && drifts(&lab, 1)? == 0, "all is as it was put");
    let pins = lab.pins_at(1);
    settle(&lab)?;

    // A backend that packets no longer find, in both generations.
    for copy in 0..2 {
        let row = copy * MAX_BACKENDS + FIRST_ID;
        overwrite(&lab, &pins, maps::BACKENDS, row, &[0; size_of::<Backend>()])?;
    }
    let what = told(&lab, 1, 1)?;
    ensure!(what.contains("of BACKENDS (www/"), "{what}");
    // A look may come between the two; a row of the idle copy that the next commit
    // writes is left to it.
    eventually(PATIENCE, "the copy that packets read to be right", || {
        let row = u32::from(generation_of(&lab, &pins)? % 2 == 1) * MAX_BACKENDS + FIRST_ID;
        let row = element(&lab, &pins, maps::BACKENDS, row)?;
        Ok(row.iter().any(|&byte| byte != 0).then_some(()))
    })?;
    let shares = [("server-1", 1), ("server-2", 1), ("server-3", 1)];
    let answers = lab.get_many_by(1, "www", 150)?;
    answers.all_answered()?;
    answers.spread.follows(&shares)?;

    // Nobody's connections were broken but those of that backend.
    let (_, report) = crowd.stop();
    let broken: BTreeSet<_> = report.broken.iter().map(|broken| &broken.server).collect();
    ensure!(report.moved.is_empty() && report.answers > 0 && broken.len() <= 1, "{report}");

    // The generation that packets read (of the same copy), and the stamp of the
    // last delta: that breaks nothing.
    let crowd = lab.crowd_by(1, "www", 60)?.keep_asking();
    let times = drifts(&lab, 1)?;
    let generation = generation_of(&lab, &pins)?;
    let later = (generation + 2).to_ne_bytes();
    overwrite(&lab, &pins, maps::WORDS, words::GENERATION, &later)?;
    overwrite(&lab, &pins, maps::WORDS, words::SEQUENCE, &[0; 8])?;
    let what = told(&lab, 1, times + 1)?;
    ensure!(what.contains("of WORDS"), "{what}");

    lab.get_many_by(1, "www", 60)?.all_answered()?;
    crowd.stop().1.untouched()?;

    // The beginning of the pool of rings: nobody is anybody's owner. One element
    // is two slots.
    let times = drifts(&lab, 1)?;
    for element in 0..500 {
        overwrite(&lab, &pins, maps::RINGS, element, &[0; 8])?;
    }
    // Whether the live ring is at the beginning or not, it is right in the end.
    eventually(PATIENCE, "every new connection to be answered", || {
        let answers = lab.get_many_by(1, "www", 150)?;
        answers.all_answered()?;
        Ok(answers.spread.follows(&shares).is_ok().then_some(()))
    })?;
    ensure!(drifts(&lab, 1)? >= times);

    // Commands go on as if nothing had been.
    let first = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &first, "0"])?.stdout()?;
    lab.get_many_by(1, "www", 100)?.spread.follows(&[("server-2", 1), ("server-3", 1)])?;
    let events = lab.sluice_json(&["events"])?;
    let drifted = |event: &&Value| event["kind"] == "switch.drifted";
    let drifted: Vec<_> = events.as_array().into_iter().flatten().filter(drifted).collect();
    ensure!(!drifted.is_empty() && drifted.iter().all(|event| event["switch"] == "edge-2"));
    let status = lab.sluice_json(&["status"])?.to_string();
    ensure!(status.contains("was changed behind the manager's back"), "{status}");
    ensure!(drifts(&lab, 0)? == 0, "the other edge is another");
    other.stop().1.untouched()
}

#[test]
fn an_idle_copy_that_somebody_overwrites_breaks_nothing() -> Result<()> {
    let lab = Lab::build().servers(3).service(l2("www")).roles_apart().edge(LOOK).start()?;
    let crowd = lab.crowd("www", 60)?.keep_asking();
    settle(&lab)?;
    let generation = generation_of(&lab, &lab.pins())?;
    let idle = u32::from(generation % 2 == 0) * MAX_BACKENDS;
    for id in FIRST_ID..FIRST_ID + 3 {
        let row = [0x5a; size_of::<Backend>()];
        overwrite(&lab, &lab.pins(), maps::BACKENDS, idle + id, &row)?;
    }
    told(&lab, 0, 1)?;
    // The copy is live now, and was right before.
    for weight in ["0", "100"] {
        let first = lab.backend("www", 0).to_string();
        lab.sluice(&["weight", "www", &first, weight])?.stdout()?;
        lab.get_many("www", 60)?.all_answered()?;
    }
    crowd.stop().1.untouched()
}

#[test]
fn a_program_that_somebody_detaches_is_attached_again() -> Result<()> {
    let lab = Lab::build().service(l2("www")).roles_apart().edge(LOOK).start()?;
    let before = lab.steering()?;
    let link = before.link.to_string();
    lab.edge().run("bpftool", &["link", "detach", "id", &link])?.stdout()?;
    let what = told(&lab, 0, 1)?;
    ensure!(what.contains("the program was not on eth0, and is again"), "{what}");
    ensure!(lab.attached()?.is_some());
    let after = lab.steering()?;
    ensure!(after.program == before.program && after.link != before.link, "{after:?}");
    let answers = lab.get_many("www", 100)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-1", 1), ("server-2", 1)])?;

    // Its pin is all that holds the link.
    let pins = lab.pins().join(format!("v{ABI_VERSION}"));
    for entry in std::fs::read_dir(&pins)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("link-")) {
            std::fs::remove_file(path)?;
        }
    }
    told(&lab, 0, 2)?;
    lab.get_many("www", 50)?.all_answered()?;
    lab.steering()?;
    Ok(())
}

#[test]
fn another_program_in_its_place_is_an_alarm_until_it_is_gone() -> Result<()> {
    let lab = Lab::build().service(l2("www")).roles_apart().edge(LOOK).start()?;
    let link = lab.steering()?.link.to_string();
    lab.edge().run("bpftool", &["link", "detach", "id", &link])?.stdout()?;
    // Who is first has the place; ours may have been put back in between.
    let taken = eventually(PATIENCE, "the place to be taken", || {
        if lab.attach_foreign(lab.edge()).is_ok() {
            return Ok(Some(()));
        }
        let link = lab.steering()?.link.to_string();
        lab.edge().run("bpftool", &["link", "detach", "id", &link])?;
        Ok(None)
    });
    taken?;
    let alarmed = |lab: &Lab| -> Result<bool> {
        let status = lab.sluice_json(&["status"])?.to_string();
        Ok(status.contains("carries another XDP program"))
    };
    eventually(PATIENCE, "the alarm", || Ok(alarmed(&lab)?.then_some(())))?;
    ensure!(lab.switch(0)?["last_drift"]["mended"] == false);
    lab.edge().run("ip", &["link", "set", "eth0", "xdp", "off"])?;
    told(&lab, 0, 2)?;
    lab.get_many("www", 50)?.all_answered()?;
    Ok(())
}
