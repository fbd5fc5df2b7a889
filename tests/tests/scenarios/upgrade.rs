//! A program in the place of another, while packets come.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{ACK, Lab, Segment, Wire, eventually, get_many, l2, nat};

#[test]
fn replacing_the_program_loses_no_packet() -> Result<()> {
    let mut lab = Lab::build().servers(1).service(l2("www")).start()?;
    let before = lab.steering()?;
    let forwarded = lab.reason("forward_established")?;
    let wire = Wire::of(lab.client())?;
    let segment = Segment {
        macs: [wire.mac(), lab.edge().mac()?],
        from: (lab.client().address(false), 1).into(),
        to: lab.vip("www"),
        flags: ACK,
        sequence: 1,
        acknowledged: 1,
    };
    let done = AtomicBool::new(false);
    let sent = thread::scope(|scope| -> Result<u64> {
        let stream = scope.spawn(|| stream(&wire, segment, &done));
        let replaced = replace_five_times(&mut lab, before.link, before.program);
        done.store(true, Ordering::Relaxed);
        let sent = stream.join().expect("it does not panic")?;
        replaced.and(Ok(sent))
    })?;
    ensure!(sent > 1000, "only {sent} packets were sent");
    // The edge tells once a second.
    eventually(Duration::from_secs(20), "every packet to be counted", || {
        let counted = lab.reason("forward_established")? - forwarded;
        ensure!(counted <= sent, "{counted} packets were counted, and {sent} sent");
        Ok((counted == sent).then_some(()))
    })
    .with_context(|| format!("{sent} packets were sent"))
}

/// Sends segments of one flow after another, without a pause that an update
/// could hide in.
fn stream(wire: &Wire, segment: Segment, done: &AtomicBool) -> Result<u64> {
    let mut sent = 0;
    while !done.load(Ordering::Relaxed) {
        let port = 1 + (sent % 60_000) as u16;
        let from = SocketAddr::new(segment.from.ip(), port);
        wire.send(&Segment { from, ..segment }.frame())?;
        sent += 1;
        thread::sleep(Duration::from_micros(200));
    }
    Ok(sent)
}

fn replace_five_times(lab: &mut Lab, link: u64, first: u64) -> Result<()> {
    let mut programs = vec![first];
    for _ in 0..5 {
        lab.kill_sluice()?;
        lab.start_sluice(&[])?;
        let now = lab.steering()?;
        ensure!(now.link == link, "the link is another one");
        ensure!(!programs.contains(&now.program), "the program is the same");
        programs.push(now.program);
    }
    Ok(())
}

/// The pins of this version, under the name of an older one.
#[test]
fn an_older_version_steers_until_this_one_can() -> Result<()> {
    let mut lab = Lab::build()
        .servers(3)
        .service(l2("www"))
        .service(nat("api").v6())
        .edge("idle = \"2s\"")
        .start()?;
    eventually(Duration::from_secs(60), "the services to be at rest", || {
        let services = lab.sluice_json(&["get", "services"])?;
        let services = services.as_array().context("not a list")?;
        Ok(services.iter().all(|service| service["moving"] == false).then_some(()))
    })?;
    let crowds = [lab.crowd("www", 50)?.keep_asking(), lab.crowd("api", 50)?.keep_asking()];
    let before = lab.steering()?;
    let maps = lab.pinned_maps()?;
    lab.kill_sluice()?;
    let [older, ours] = ["v1", "v2"].map(|version| lab.pins().join(version));
    fs::rename(&ours, &older)?;

    // Nobody is to be met by tables that are empty.
    let (done, client) = (AtomicBool::new(false), lab.client().clone());
    let vips = ["www", "api"].map(|service| lab.vip(service));
    let after = thread::scope(|scope| {
        let requests = scope.spawn(|| -> Result<()> {
            while !done.load(Ordering::Relaxed) {
                for vip in vips {
                    get_many(&client, vip, 20)?.all_answered()?;
                }
            }
            Ok(())
        });
        let after = lab.start_sluice(&[]).and_then(|()| {
            eventually(Duration::from_secs(120), "this version to take over", || {
                Ok(Some(lab.steering()?).filter(|now| now.program != before.program))
            })
        });
        done.store(true, Ordering::Relaxed);
        requests.join().expect("it does not panic").and(after)
    })?;
    ensure!(after.link == before.link, "the link is another one");
    eventually(Duration::from_secs(5), "the older version's pins to go", || {
        Ok((!older.exists()).then_some(()))
    })?;
    ensure!(lab.pinned_maps()?.iter().all(|map| !maps.contains(map)), "old maps are still used");
    for service in ["www", "api"] {
        let answers = lab.get_many(service, 300)?;
        answers.all_answered()?;
        answers.spread.follows(&[("server-1", 1), ("server-2", 1), ("server-3", 1)])?;
    }
    // Now changes are seen, and the next process adopts.
    let first = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &first, "0"])?.stdout()?;
    lab.kill_sluice()?;
    lab.start_sluice(&[])?;
    lab.get_many("www", 100)?.spread.follows(&[("server-2", 1), ("server-3", 1)])?;
    for crowd in crowds {
        let (_, report) = crowd.stop();
        report.untouched()?;
    }
    Ok(())
}

#[test]
fn an_upgrade_can_be_called_off_until_it_took_over() -> Result<()> {
    let mut lab = Lab::build().servers(2).service(l2("www")).start()?;
    let before = lab.steering()?;
    let maps = lab.pinned_maps()?;
    lab.kill_sluice()?;
    // Of the newer version there are maps, but it does not steer.
    let newer = lab.pins().join("v99");
    fs::create_dir(&newer)?;
    let words = newer.join("WORDS");
    let args = ["map", "create", "type", "array", "key", "4", "value", "8", "entries", "1"];
    let (path, name) = (words.to_string_lossy(), ["name", "WORDS"]);
    let line = [&args[..2], &[&*path], &args[2..], &name].concat();
    lab.edge().run("bpftool", &line)?.stdout()?;
    lab.start_sluice(&[])?;
    ensure!(lab.steering()?.link == before.link && lab.pinned_maps()? == maps);
    ensure!(!newer.exists(), "the newer version's maps are still there");
    lab.get_many("www", 50)?.all_answered()
}
