//! `cargo xtask bench`: what one packet costs, in nanoseconds, beside the
//! floor of a program that only sends the frame back.
//!
//! Both run behind the same wrapper (lb-ebpf's `bench` program), which makes
//! each packet one of another flow. Cases are interleaved and medians are told,
//! because machines change their speed from minute to minute.
//!
//! And how many packets a second go through a veth pair, how long it takes until
//! a change is live, how much memory an edge takes and what it costs it to see whether
//! somebody changed its tables, a manager with a crowd, how long each adapter takes for
//! changes of bindings, and how exactly those refuse a share that cannot refuse.

mod adapters;
mod cases;
mod commits;
mod crowd;
mod live;
mod memory;
mod pps;
mod report;
mod roles;
mod scale;
mod usage;
mod wrapper;

use anyhow::{Result, ensure};
use lb_common::abi::Reason;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use self::{
    adapters::refusals,
    cases::{Case, Site},
    report::Row,
    wrapper::Wrapper,
};
use crate::packet::{INGRESS, Program, routed};

/// How often every case has its turn.
const ROUNDS: usize = 9;
/// Packets in one turn; a few milliseconds.
const PACKETS: u32 = 100_000;
/// Flows that can be remembered.
const ROOM: u32 = 262_144;

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
    if memory::is_told()? || roles::is_played()? {
        return Ok(());
    }
    let mut sites = vec![cases::site(INGRESS)];
    sites.extend(scale::sites());
    for site in &mut sites {
        site.cases.retain(|case| filter.takes("packets", &case.name));
    }
    sites.retain(|site| !site.cases.is_empty());
    let changes: Vec<_> =
        commits::CHANGES.into_iter().filter(|name| filter.takes("commits", name)).collect();
    let rows = if sites.is_empty() { Vec::new() } else { routed(|| measure(sites))? };
    let rates = pps::measure(filter)?;
    let commits =
        if changes.is_empty() { Vec::new() } else { routed(|| commits::measure(&changes))? };
    let memory = memory::measure(filter)?;
    let lags = live::measure(filter)?;
    let crowd = crowd::measure(filter)?;
    let adapters = adapters::measure(filter)?;
    let refusals = refusals::measure(filter)?;
    ensure!(
        !rows.is_empty()
            || !rates.is_empty()
            || !commits.is_empty()
            || !memory.is_empty()
            || !lags.is_empty()
            || crowd.is_some()
            || !adapters.is_empty()
            || !refusals.is_empty(),
        "nothing that is measured has `{}` in its name, such as `packets/established/l2`, \
         `veth/pps/ipip`, `commits/{}`, `edge/memory`, \
         `live/one process`, `manager/crowd`, `adapters/haproxy` or `refusals/haproxy`",
        filter.0,
        commits::CHANGES[0]
    );
    report::print(&rows, &commits);
    pps::print(&rates);
    memory::print(&memory);
    live::print(&lags);
    crowd::print(crowd.as_ref());
    adapters::print(&adapters);
    refusals::print(&refusals);
    report::write(&rows, &commits)?;
    report::store("pps.json", pps::rows(&rates))?;
    report::store("memory.json", memory::rows(&memory))?;
    report::store("live.json", live::rows(&lags))?;
    report::store("crowd.json", crowd::rows(crowd.as_ref()))?;
    report::store("adapters.json", adapters::rows(&adapters))?;
    report::store("refusals.json", refusals::rows(&refusals))
}

/// A case, the program that has its site's world, and what was measured.
struct Lane {
    case: Case,
    site: usize,
    /// Nanoseconds for each packet, and the floor's.
    turns: Vec<[f64; 2]>,
}

fn measure(sites: Vec<Site>) -> Result<Vec<Row>> {
    pin_to_a_core()?;
    let (mut programs, mut wrappers, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
    for (site, Site { world, services, cases }) in sites.into_iter().enumerate() {
        let mut program = Program::load_with_room(services * (cases::RING + 1), ROOM)?;
        program.commit(&world);
        let mut wrapper = Wrapper::around(Some(program.xdp()))?;
        for case in cases {
            wrapper.begin(&case)?;
            lanes.push(Lane { case, site, turns: Vec::new() });
        }
        programs.push(program);
        wrappers.push(wrapper);
    }
    let mut floor = Wrapper::around(None)?;
    for round in 0..ROUNDS {
        eprint!("\rmeasuring, round {} of {ROUNDS} ", round + 1);
        for Lane { case, site, turns } in &mut lanes {
            let floor_ns = floor.run(case, PACKETS)?;
            let before = count(&programs[*site], case.reason);
            let ns = wrappers[*site].run(case, PACKETS)?;
            let counted = count(&programs[*site], case.reason) - before;
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
    let row = |Lane { case, turns, .. }: Lane| {
        let [ns, floor_ns] = [0, 1].map(|which| median(turns.iter().map(|turn| turn[which])));
        Row { case: case.name, ns, floor_ns }
    };
    Ok(lanes.into_iter().map(row).collect())
}

/// So that caches stay warm.
fn pin_to_a_core() -> Result<()> {
    pin_to_core(0)
}

/// This thread, and those that it starts.
fn pin_to_core(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
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
