//! The decision core among simulated agents, edges, operators and a network
//! that fails in every way: a seed is a history, and the same one each time.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `scene` | the configuration, and who is there |
//! | `world` | the order in which things happen |
//! | `network` | streams, and how messages get lost, late, twice or out of order |
//! | `manager`, `agents`, `edges` | what the real ones do around the core |
//! | `faults` | what goes wrong, and what operators ask for meanwhile |
//! | `judge` | what must hold |
//! | `history` | what happened, in words |
//! | `mutants` | planted bugs, which the judge must find |
//!
//! `SLUICE_SIMULATION_SEEDS` says how many histories, and
//! `SLUICE_SIMULATION_SEED` the first; `cargo xtask simulate` sets them.

mod agents;
mod edges;
mod faults;
mod history;
mod judge;
mod manager;
mod mutants;
mod network;
mod scene;
mod world;

use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use self::{
    judge::{Invariant, Violation},
    mutants::Mutant,
    world::World,
};

/// Histories in which each planted bug must be found.
const ENOUGH: u64 = 300;
/// How often a long run gives a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = env::var(variable) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not `{text}`"))
}

fn simulate(seed: u64, mutant: Mutant) -> Result<(), Violation> {
    World::new(seed, mutant, false).run()
}

/// The same again, with its history.
fn explain(seed: u64, mutant: Mutant) -> String {
    let mut world = World::new(seed, mutant, true);
    let Err(Violation { invariant, what }) = world.run() else {
        return format!("seed {seed} fails once and not again: it is not deterministic");
    };
    let history = world.history().join("\n");
    format!(
        "{history}\n\nseed {seed} violates invariant {invariant}\n{what}\n\n\
         The same again: cargo xtask simulate --seed {seed} --seeds 1"
    )
}

/// Runs histories on all cores; returns the lowest seed that fails.
fn search(first: u64, seeds: u64) -> Option<u64> {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let failed: Mutex<Option<u64>> = Mutex::new(None);
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= seeds {
                return;
            }
            let seed = first.wrapping_add(turn);
            if simulate(seed, Mutant::None).is_err() {
                stop.store(true, Ordering::Relaxed);
                let mut failed = failed.lock().expect("no worker panics with it");
                *failed = Some(failed.map_or(seed, |other| other.min(seed)));
            }
        }
    };
    let begun = Instant::now();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut said = begun;
        while !handles.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(20));
            if said.elapsed() >= SIGN_OF_LIFE {
                said = Instant::now();
                let done = next.load(Ordering::Relaxed).min(seeds);
                eprintln!("[{:>4} s] {done} of {seeds} histories", begun.elapsed().as_secs());
            }
        }
    });
    let done = next.load(Ordering::Relaxed).min(seeds);
    eprintln!("{done} histories in {:.1} s", begun.elapsed().as_secs_f64());
    *failed.lock().expect("no worker panics with it")
}

#[test]
fn any_history() {
    let first = number("SLUICE_SIMULATION_SEED", 1);
    let seeds = number("SLUICE_SIMULATION_SEEDS", 2_000);
    if let Some(seed) = search(first, seeds) {
        panic!("\n{}\n", explain(seed, Mutant::None));
    }
}

#[test]
fn a_seed_is_a_history() {
    let history = |seed| {
        let mut world = World::new(seed, Mutant::None, true);
        world.run().map(|()| world.history())
    };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}

/// Runs histories with a planted bug until this invariant finds it.
#[track_caller]
fn finds(mutant: Mutant, invariant: Invariant) {
    let found = |seed: &u64| simulate(*seed, mutant).is_err_and(|v| v.invariant == invariant);
    let seed = (1..=ENOUGH).find(found);
    assert!(seed.is_some(), "{ENOUGH} histories with {mutant:?} do not violate {invariant}");
    assert_eq!(simulate(seed.unwrap_or_default(), Mutant::None), Ok(()), "without it all is well");
}

#[test]
fn a_manager_that_does_not_listen_first_is_found() {
    finds(Mutant::NoLearning, Invariant::VouchedStays);
}

#[test]
fn a_manager_that_misses_heartbeats_is_found() {
    finds(Mutant::Deaf, Invariant::VouchedStays);
}

#[test]
fn old_heartbeats_that_count_are_found() {
    finds(Mutant::OldIsNew, Invariant::UnvouchedGoes);
}

#[test]
fn a_twin_that_takes_over_is_found() {
    finds(Mutant::StartsAlike, Invariant::VouchedStays);
}

#[test]
fn a_manager_without_a_clock_is_found() {
    finds(Mutant::TicksWithheld, Invariant::UnvouchedGoes);
}

#[test]
fn a_manager_that_never_freezes_is_found() {
    finds(Mutant::FreezesNever, Invariant::VouchedStays);
}

#[test]
fn a_manager_that_freezes_easily_is_found() {
    finds(Mutant::FreezesEasily, Invariant::UnvouchedGoes);
}

#[test]
fn probes_that_flatter_are_found() {
    finds(Mutant::ProbesFlatter, Invariant::UnvouchedGoes);
}

#[test]
fn a_lost_change_is_found() {
    finds(Mutant::ChangeLost, Invariant::EdgesExact);
}

#[test]
fn an_edge_that_lies_is_found() {
    finds(Mutant::EdgeLies, Invariant::EdgesExact);
}

#[test]
fn a_lost_delta_is_found() {
    finds(Mutant::DeltaLost, Invariant::Converges);
}

#[test]
fn drift_that_nobody_notices_is_found() {
    finds(Mutant::DriftUnnoticed, Invariant::Converges);
}

#[test]
fn a_lost_save_is_found() {
    finds(Mutant::SaveLost, Invariant::IntentKept);
}

#[test]
fn a_torn_save_is_found() {
    finds(Mutant::SaveTorn, Invariant::IntentKept);
}

#[test]
fn an_agent_that_closes_late_is_found() {
    finds(Mutant::StaleClose, Invariant::CloseInTime);
}

#[test]
fn a_lost_answer_is_found() {
    finds(Mutant::ReplyLost, Invariant::InOrder);
}

#[test]
fn a_stamp_that_does_not_grow_is_found() {
    finds(Mutant::StampReused, Invariant::InOrder);
}

#[test]
fn an_acknowledgement_before_its_time_is_found() {
    finds(Mutant::EarlyAck, Invariant::EdgesExact);
}
