//! `cargo xtask bench`: what one packet costs, in nanoseconds, beside the
//! floor of a program that only sends the frame back.
//!
//! Both run behind the same wrapper (lb-ebpf's `bench` program), which makes
//! each packet one of another flow. Cases are interleaved and medians are told,
//! because machines change their speed from minute to minute.
//!
//! And how long it takes until a change is live.

mod cases;
mod commits;
mod report;
mod wrapper;

use anyhow::{Result, ensure};
use lb_common::abi::Reason;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use self::{cases::Case, report::Row, wrapper::Wrapper};
use crate::packet::{Program, routed};

/// How often every case has its turn.
const ROUNDS: usize = 9;
/// Packets in one turn; a few milliseconds.
const PACKETS: u32 = 100_000;

/// What is to be measured: whatever is called `GROUP/NAME` with this text in it.
#[derive(Clone, Debug)]
pub struct Filter(String);

impl Filter {
    /// An empty text is in every name.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    fn takes(&self, group: &str, name: &str) -> bool {
        format!("{group}/{name}").contains(&self.0)
    }
}

/// Measures, prints tables and writes them under `target/bench`.
///
/// # Errors
/// When nothing is called so, without root, when the kernel refuses a program,
/// or when a packet does not take the way that its case is about.
pub fn run(filter: &Filter) -> Result<()> {
    let mut cases = cases::all();
    cases.retain(|case| filter.takes("packets", &case.name));
    let changes: Vec<_> =
        commits::CHANGES.into_iter().filter(|name| filter.takes("commits", name)).collect();
    ensure!(
        !cases.is_empty() || !changes.is_empty(),
        "nothing that is measured has `{}` in its name, such as `packets/established/l2` or \
         `commits/{}`",
        filter.0,
        commits::CHANGES[0]
    );
    let rows = if cases.is_empty() { Vec::new() } else { routed(|| measure(cases))? };
    let commits =
        if changes.is_empty() { Vec::new() } else { routed(|| commits::measure(&changes))? };
    report::print(&rows, &commits);
    report::write(&rows, &commits)
}

fn measure(cases: Vec<Case>) -> Result<Vec<Row>> {
    // One core, so that caches stay warm.
    let mut core = CpuSet::new();
    core.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &core)?;

    let mut program = Program::load_with_room(cases::RING_SLOTS, cases::ROOM)?;
    program.commit(&cases::world());
    let mut measured = Wrapper::around(Some(program.xdp()))?;
    let mut floor = Wrapper::around(None)?;
    for case in &cases {
        measured.begin(case)?;
    }
    let mut turns: Vec<Vec<[f64; 2]>> = vec![Vec::new(); cases.len()];
    for round in 0..ROUNDS {
        eprint!("\rmeasuring, round {} of {ROUNDS} ", round + 1);
        for (case, turns) in cases.iter().zip(&mut turns) {
            let floor_ns = floor.run(case, PACKETS)?;
            let before = count(&program, case.reason);
            let ns = measured.run(case, PACKETS)?;
            let counted = count(&program, case.reason) - before;
            ensure!(
                counted == u64::from(PACKETS),
                "case `{}`: {counted} of {PACKETS} packets left for reason {}",
                case.name,
                case.reason.name()
            );
            turns.push([ns, floor_ns]);
        }
    }
    eprintln!();
    let row = |(case, turns): (Case, Vec<[f64; 2]>)| {
        let [ns, floor_ns] = [0, 1].map(|which| median(turns.iter().map(|turn| turn[which])));
        Row { case: case.name, ns, floor_ns }
    };
    Ok(cases.into_iter().zip(turns).map(row).collect())
}

/// Frames that left for a reason.
fn count(program: &Program, reason: Reason) -> u64 {
    program.reasons()[reason as usize]
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
