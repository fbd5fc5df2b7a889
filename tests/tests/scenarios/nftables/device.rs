//! The dialect itself against the kernel, without a manager.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Client, Lab, nat};
use lb_control::{
    config::SwitchSettings,
    model::{Phase, Protocol, Share, Verdict},
    switch::{Device, Failure, Plan, PlannedServer, PlannedService, dialects},
};

use super::{OTHERS, nft, others};

/// Does something with a device on the router, where no manager runs.
fn with_device<T: Send>(
    lab: &Lab,
    work: impl AsyncFnOnce(&mut dyn Device) -> Result<T> + Send,
) -> Result<T> {
    let settings = SwitchSettings {
        name: "router".parse()?,
        kind: "nftables".to_owned(),
        services: Vec::new(),
        poll: Duration::from_secs(1),
        verify: Duration::from_secs(1),
        timeout: Duration::from_secs(10),
        drop_servers: Vec::new(),
        options: Default::default(),
    };
    lab.edge().netns().enter(|| {
        let dialect = dialects::find("nftables").map_err(anyhow::Error::msg)?;
        let mut device = (dialect.make)(&settings).map_err(anyhow::Error::msg)?;
        // One thread, and those that it starts: in the router's namespace.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(work(device.as_mut()))
    })
}

fn any_plan(random: &mut fastrand::Rng) -> Result<Plan> {
    let mut plan = Plan::default();
    for number in 0..random.u8(..4) {
        let v6 = number % 2 == 1;
        let address = |last: u8| -> Result<SocketAddr> {
            let ip = if v6 { format!("[2001:db8::{last}]") } else { format!("192.0.2.{last}") };
            Ok(format!("{ip}:{}", 80 + u16::from(last)).parse()?)
        };
        let vip = address(100 + number)?;
        let mut service = PlannedService {
            address: vip.ip(),
            port: vip.port(),
            protocol: [Protocol::Tcp, Protocol::Udp, Protocol::TcpAndUdp][random.usize(..3)],
            servers: Default::default(),
            refuse: Share::from_ppm(random.u32(..3) * 400_000).context("a share")?,
            verdict: Verdict::Reset,
        };
        for last in 0..random.u8(..20) {
            let phase = [Phase::Serve, Phase::Drain, Phase::Break][random.usize(..3)];
            let weight = if phase == Phase::Serve { random.u32(..=65_535) } else { 0 };
            service.servers.insert(address(last)?, PlannedServer { weight, phase });
        }
        plan.services.insert(format!("s.{number}").parse()?, service);
    }
    Ok(plan)
}

#[test]
fn the_kernel_holds_any_plan_after_any_other() -> Result<()> {
    let lab = Lab::build().servers(1).routed().prepare()?;
    let file = lab.directory().join("others.nft");
    std::fs::write(&file, OTHERS)?;
    nft(&lab, &["-f", &file.display().to_string()])?;
    let before = others(&lab)?;
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    with_device(&lab, async |device| {
        for number in 0..200 {
            let plan = any_plan(&mut random)?;
            // Others change their tables meanwhile.
            if number % 10 == 0 {
                for word in ["add", "delete"] {
                    nft(&lab, &[word, "table", "inet", "passing"])?;
                }
            }
            device.apply(&plan).await.with_context(|| format!("seed {seed}: {plan:?}"))?;
            let held = device.read().await?;
            ensure!(held == plan, "seed {seed}: {held:?}\ninstead of {plan:?}");
        }
        device.apply(&Plan::default()).await?;
        Ok(())
    })?;
    ensure!(others(&lab)? == before, "tables of others have changed");
    Ok(())
}

/// Both servers by turns: whoever connects between a map that goes and one that comes
/// would be refused.
#[test]
fn no_connection_meets_half_a_change() -> Result<()> {
    const CHANGES: usize = 100;
    let lab = Lab::build().servers(2).routed().service(nat("www")).prepare()?;
    let vip = lab.vip("www");
    let servers = [0, 1].map(|server| lab.backend("www", server));
    let stop = AtomicBool::new(false);
    let (changes, failed) = thread::scope(|scope| -> Result<_> {
        let (changed, ready) = std::sync::mpsc::channel();
        let (lab, stop) = (&lab, &stop);
        let device = scope.spawn(move || {
            with_device(lab, async |device| {
                let mut changes = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let server = PlannedServer { weight: 1 + changes, phase: Phase::Serve };
                    let service = PlannedService {
                        address: vip.ip(),
                        port: vip.port(),
                        protocol: Protocol::Tcp,
                        servers: [(servers[changes as usize % 2], server)].into(),
                        refuse: Share::NONE,
                        verdict: Verdict::Reset,
                    };
                    let plan = Plan { services: [("www".parse()?, service)].into() };
                    device.apply(&plan).await?;
                    changes += 1;
                    changed.send(())?;
                }
                Ok(changes)
            })
        });
        ready.recv()?;
        let mut failed = Vec::new();
        let begun = Instant::now();
        let mut seen = 0;
        while seen < CHANGES && begun.elapsed() < Duration::from_secs(60) {
            seen += ready.try_iter().count();
            let attempts = Client::of(lab.client()).connect_many(vip, 50)?;
            failed.extend(attempts.into_iter().filter(|attempt| attempt.stream.is_err()));
        }
        stop.store(true, Ordering::Relaxed);
        Ok((device.join().expect("no panic")?, failed))
    })?;
    ensure!(changes as usize >= CHANGES, "only {changes} changes");
    ensure!(failed.is_empty(), "{failed:?}");
    Ok(())
}

#[test]
fn a_table_of_somebody_else_with_our_name_is_left_alone() -> Result<()> {
    let lab = Lab::build().servers(1).routed().prepare()?;
    nft(&lab, &["add", "table", "inet", "sluice"])?;
    nft(&lab, &["add", "chain", "inet", "sluice", "theirs"])?;
    let before = nft(&lab, &["list", "ruleset"])?;
    let failure = with_device(&lab, async |device| {
        let read = device.read().await;
        ensure!(device.apply(&Plan::default()).await.is_err());
        Ok(read)
    })?;
    let Err(Failure::Lost(why)) = failure else { anyhow::bail!("{failure:?}") };
    ensure!(why.contains("made by somebody else"), "{why}");
    ensure!(nft(&lab, &["list", "ruleset"])? == before);
    Ok(())
}
