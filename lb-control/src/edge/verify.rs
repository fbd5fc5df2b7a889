//! Whether the kernel has what this edge has put there: tables, rings and the
//! program on its interfaces. Somebody with the privilege may have changed them.
//!
//! It is looked at in small steps, between which commits take their turn.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info};

use super::{
    Shared,
    object::Loaded,
    plane::{Finding, Place, Plane},
    shared::lock,
};
use crate::{
    model::Drift,
    xdp::{attach, interfaces},
};

/// Between two steps.
const PAUSE: Duration = Duration::from_millis(1);
/// So many findings are put into words.
const NAMED: usize = 4;

/// What was found, and what of it the manager has not been told.
#[derive(Debug, Default)]
pub(super) struct Drifts {
    times: AtomicU64,
    changes: AtomicU64,
    untold: Mutex<Option<Drift>>,
    found: Notify,
}

impl Drifts {
    /// How often something was found, and how much in all.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.times.load(Ordering::Relaxed), self.changes.load(Ordering::Relaxed))
    }

    fn note(&self, drift: Drift) {
        if drift.changes > 0 {
            self.times.fetch_add(1, Ordering::Relaxed);
            self.changes.fetch_add(drift.changes, Ordering::Relaxed);
        }
        let mut untold = lock(&self.untold);
        // Of what was found while nobody listened the last is told, and how much.
        let before = untold.take().map_or(0, |before| before.changes);
        *untold = Some(Drift { changes: before.saturating_add(drift.changes), ..drift });
        drop(untold);
        self.found.notify_one();
    }

    /// The next that is to be told.
    pub(super) async fn next(&self) -> Drift {
        loop {
            if let Some(drift) = lock(&self.untold).take() {
                return drift;
            }
            self.found.notified().await;
        }
    }
}

/// Looks again and again; does not end.
///
/// # Errors
/// When a task of ours fails.
pub(super) async fn run(edge: &Arc<Shared>) -> anyhow::Result<()> {
    let period = edge.settings.verify;
    if period.is_zero() {
        return std::future::pending().await;
    }
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut faulty = false;
    loop {
        tick.tick().await;
        let theirs = Arc::clone(edge);
        let look = spawn_blocking(move || (tables(&theirs.plane, PAUSE), program(&theirs)));
        let (tables, program) = look.await.context("looking at what the kernel has failed")?;
        let is_faulty = program.faults > 0;
        if let Some(drift) = drift(tables, program).or_else(|| recovered(faulty, is_faulty)) {
            if drift.repaired {
                info!(changes = drift.changes, "{}", drift.what);
            } else {
                error!(changes = drift.changes, "{}", drift.what);
            }
            edge.drifts.note(drift);
        }
        faulty = is_faulty;
    }
}

fn drift(tables: Vec<Finding>, program: Places) -> Option<Drift> {
    let findings: Vec<_> = program.findings.into_iter().chain(tables).collect();
    let changes = findings.iter().map(|finding| finding.changes as u64).sum();
    let mut what: Vec<_> = findings.iter().take(NAMED).map(|found| found.what.as_str()).collect();
    if findings.len() > NAMED {
        what.push("and more");
    }
    let (what, repaired) = (what.join(", "), program.faults == 0);
    (changes > 0).then_some(Drift { changes, what, repaired })
}

fn recovered(was_faulty: bool, is_faulty: bool) -> Option<Drift> {
    let what = "nothing is wrong any more".to_owned();
    (was_faulty && !is_faulty).then_some(Drift { changes: 0, what, repaired: true })
}

/// One look at all that packets read, with a pause after each step.
pub(super) fn tables(plane: &Mutex<Plane>, pause: Duration) -> Vec<Finding> {
    let plane = || lock(plane);
    let mut findings: Vec<_> = plane().verify_words().into_iter().collect();
    let mut place = Place::default();
    loop {
        let step = plane().verify_rows(&mut place);
        let Some(found) = step else { break };
        findings.extend(found);
        thread::sleep(pause);
    }
    let names = plane().ring_names();
    for name in names {
        let look = plane().look_at_ring(&name);
        let Some(look) = look else { continue };
        let truth = look.judge(|id| plane().is_held(id));
        findings.extend(plane().settle_ring(truth));
        thread::sleep(pause);
    }
    findings
}

/// What a look at the interfaces has shown.
#[derive(Debug, Default)]
struct Places {
    findings: Vec<Finding>,
    /// How many of them could not be put right.
    faults: usize,
}

/// Looks whether our program is on every interface, and attaches it again where
/// it is not.
fn program(edge: &Shared) -> Places {
    let mut places = Places::default();
    // Held meanwhile: nobody detaches for good while it is attached again.
    let mut program = lock(&edge.program);
    // Without it, an older version's still steers, or all is about to end.
    let Some(loaded) = program.as_mut() else { return places };
    for name in &edge.settings.interfaces {
        let what = match is_on(edge, loaded, name) {
            Ok(true) => continue,
            Ok(false) => match put_on(edge, loaded, name) {
                Ok(()) => format!("the program was not on {name}, and is again"),
                Err(error) => {
                    places.faults += 1;
                    format!("the program is not on {name}, and cannot be put there: {error:#}")
                }
            },
            Err(error) => {
                places.faults += 1;
                format!("{name} cannot be looked at: {error:#}")
            }
        };
        places.findings.push(Finding { changes: 1, what });
    }
    let missing = edge.pins.missing(&edge.settings);
    if let Some(first) = missing.first() {
        places.faults += 1;
        let what = format!(
            "{} of the maps are not pinned any more, such as {first}: the next start will make \
             new ones, after `sluice detach`",
            missing.len()
        );
        places.findings.push(Finding { changes: missing.len(), what });
    }
    places
}

fn is_on(edge: &Shared, loaded: &mut Loaded, name: &str) -> anyhow::Result<bool> {
    let interface = interfaces::look_up(name)?;
    let ours = loaded.program()?.info().context("our program cannot be looked at")?.id();
    let runs = interface.program.is_some_and(|(id, _)| id == ours);
    Ok(runs && edge.pins.link(interface.index).exists())
}

fn put_on(edge: &Shared, loaded: &mut Loaded, name: &str) -> anyhow::Result<()> {
    let program = loaded.program()?;
    attach::attach(program, |index| edge.pins.link(index), name, edge.settings.xdp)?;
    Ok(())
}
