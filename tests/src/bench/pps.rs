//! Packets per second over a veth pair, of one core, beside a program that only
//! sends them back: the sender, the program, the way back and the counting of
//! what comes back share the core's time in both.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    maps::PerCpuArray,
    programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};
use nix::net::if_::if_nametoindex;
use serde_json::{Value, json};

use super::{
    Filter, ROOM,
    cases::{self, Case, Site},
    median, pin_to_a_core, wrapper,
};
use crate::packet::{Program, routed};

const ROUNDS: usize = 9;
/// Frames in one turn; a fraction of a second.
const FRAMES: u32 = 500_000;
/// Frames that the kernel sends before it lets the other end take them; its
/// ring has room for 256.
const BATCH: u32 = 64;
/// Of established connections at rest, so many.
const STATE: &str = "/flows=10000/rest";
/// Ends of the pair: the program's, and the one that frames are sent from.
const NEAR: &str = "uplink";
const FAR: &str = "peer";

/// One line of the table.
pub(super) struct Rate {
    case: String,
    /// That came back from the program, and from one that only sends back.
    pps: f64,
    bounce_pps: f64,
}

/// Those that the filter takes; none when it takes none.
pub(super) fn measure(filter: &Filter) -> Result<Vec<Rate>> {
    let Site { mut cases, .. } = cases::site(0);
    cases.retain_mut(|case| {
        let name = case.name.strip_prefix("established/");
        let Some(name) = name.and_then(|name| name.strip_suffix(STATE)) else { return false };
        case.name = format!("pps/{name}");
        filter.takes("veth", &case.name)
    });
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    routed(|| rates(cases))
}

fn rates(cases: Vec<Case>) -> Result<Vec<Rate>> {
    pin_to_a_core()?;
    let Site { world, services, .. } = cases::site(if_nametoindex(NEAR)?);
    let mut program = Program::load_with_room(services * (cases::RING + 1), ROOM)?;
    program.commit(&world);
    let mut pair = Pair::new()?;
    let mut turns = vec![Vec::new(); cases.len()];
    for round in 0..ROUNDS {
        eprint!("\rpackets per second, round {} of {ROUNDS} ", round + 1);
        for (case, turns) in cases.iter().zip(&mut turns) {
            let before = super::count(&program, case.reason);
            let ours = pair.turn(case, Some(program.xdp_mut()))?;
            let counted = super::count(&program, case.reason) - before;
            ensure!(
                counted == u64::from(FRAMES),
                "case `{}`: {counted} of {FRAMES} frames left for reason {}",
                case.name,
                case.reason.name()
            );
            turns.push([ours, pair.turn(case, None)?]);
        }
    }
    eprintln!();
    let rate = |(case, turns): (Case, Vec<[f64; 2]>)| {
        let [pps, bounce_pps] = [0, 1].map(|which| median(turns.iter().map(|turn| turn[which])));
        Rate { case: case.name, pps, bounce_pps }
    };
    Ok(cases.into_iter().zip(turns).map(rate).collect())
}

/// What sends into the pair, and takes what comes back.
struct Pair(Ebpf);

impl Pair {
    fn new() -> Result<Self> {
        let mut ebpf = Ebpf::load(wrapper::OBJECT).context("loading what measures")?;
        for name in ["send", "bounce", "sink"] {
            wrapper::load(&mut ebpf, name)?;
        }
        wrapper::set(&mut ebpf, "OUT", if_nametoindex(FAR)?)?;
        program(&mut ebpf, "sink")?.attach(FAR, XdpMode::Driver)?;
        Ok(Self(ebpf))
    }

    /// Packets that come back in a second: from a program, or only sent back.
    fn turn(&mut self, case: &Case, of: Option<&mut Xdp>) -> Result<f64> {
        wrapper::describe(&mut self.0, case, &case.frame)?;
        let Some(of) = of else {
            let link = program(&mut self.0, "bounce")?.attach(NEAR, XdpMode::Driver)?;
            let rate = self.send(case);
            program(&mut self.0, "bounce")?.detach(link)?;
            return rate;
        };
        let link = of.attach(NEAR, XdpMode::Driver).context("attaching the program")?;
        let rate = self.send(case);
        of.detach(link)?;
        rate
    }

    fn send(&self, case: &Case) -> Result<f64> {
        // Of the pair's first frames, some wait for it to be up.
        self.sent(case, BATCH)?;
        let (taken, took) = self.sent(case, FRAMES - BATCH)?;
        ensure!(
            taken >= u64::from(FRAMES - BATCH),
            "case `{}`: {taken} of {} frames came back",
            case.name,
            FRAMES - BATCH
        );
        Ok(taken as f64 / took.as_secs_f64())
    }

    /// Frames that came back, and in what time.
    fn sent(&self, case: &Case, frames: u32) -> Result<(u64, Duration)> {
        let before = self.taken()?;
        let options = TestRunOptions {
            data_in: Some(&case.frame),
            repeat: frames,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..Default::default()
        };
        let begun = Instant::now();
        wrapper::xdp(&self.0, "send")?.test_run(options)?;
        let took = begun.elapsed();
        // The last batch may still be under way.
        let patience = Instant::now();
        while self.taken()? - before < frames.into() && patience.elapsed().as_millis() < 500 {
            thread::sleep(Duration::from_millis(1));
        }
        Ok((self.taken()? - before, took))
    }

    fn taken(&self) -> Result<u64> {
        let map: PerCpuArray<_, u64> = self.0.map("TAKEN").context("no map TAKEN")?.try_into()?;
        Ok(map.get(&0, 0)?.iter().sum())
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}

pub(super) fn print(rates: &[Rate]) {
    if rates.is_empty() {
        return;
    }
    println!("\n{:26}  {:>8}  {:>8}  {:>5}", "million packets a second", "", "bounce", "share");
    for rate @ Rate { case, pps, bounce_pps } in rates {
        let [pps, bounce] = [pps, bounce_pps].map(|pps| pps / 1e6);
        println!("{case:26}  {pps:8.2}  {bounce:8.2}  {:4.0}%", rate.share() * 100.0);
    }
}

pub(super) fn rows(rates: &[Rate]) -> Vec<Value> {
    let row = |rate: &Rate| {
        let Rate { case, pps, bounce_pps } = rate;
        json!({"case": case, "pps": pps, "bounce_pps": bounce_pps, "share": rate.share()})
    };
    rates.iter().map(row).collect()
}

impl Rate {
    fn share(&self) -> f64 {
        self.pps / self.bounce_pps
    }
}
