//! Grace periods: when no packet can still be reading what a commit replaced.
//!
//! The program reads the generation word first and everything else after it.
//! So a packet that still uses the old copy began before the commit, and it is
//! enough to know that every packet that was under way at the commit has left.
//!
//! XDP programs run with bottom halves disabled, in the driver's poll function
//! as in generic mode. Outside `PREEMPT_RT` that means that the CPU's thread
//! cannot be replaced by another until the program is done. A thread of ours
//! that runs on a CPU therefore proves that no packet that began there earlier
//! is still under way. Having run once on every CPU since the commit, it has
//! proved it for all of them; and as the scheduler orders memory when a thread
//! comes to a CPU, later packets there see the new word. That takes
//! microseconds for each CPU, where waiting for RCU takes tens of milliseconds.
//!
//! Where a CPU cannot be visited (a cpuset keeps us out) or the kernel is
//! `PREEMPT_RT`, the thread waits for RCU instead: programs run inside an RCU
//! read-side section.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use aya::util::online_cpus;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use tracing::warn;

use super::sys;
use crate::privilege;

/// Names a grace period; later ones are greater.
pub(super) type Ticket = u64;

/// Grants grace periods.
pub(super) trait Grace: Send + Sync + std::fmt::Debug {
    /// Begins a grace period in the background.
    fn begin(&self) -> Ticket;
    /// Whether it is over.
    fn passed(&self, ticket: Ticket) -> bool;
    /// Returns when it is over.
    fn wait(&self, ticket: Ticket);
}

/// How long a packet can at most be under way, where neither way above works:
/// the kernel itself reports a CPU that is stuck for longer as a fault.
const LAST_RESORT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Progress {
    asked: Ticket,
    over: Ticket,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &self,
        guard: MutexGuard<'a, Progress>,
        condition: impl FnMut(&mut Progress) -> bool,
    ) -> MutexGuard<'a, Progress> {
        self.changed.wait_while(guard, condition).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kernel's grace periods, waited for by a thread of their own.
#[derive(Debug)]
pub(super) struct KernelGrace(Arc<Shared>);

impl KernelGrace {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(super) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("grace".into()).spawn(move || {
            // It is there before the process gives its own up.
            privilege::keep_nothing();
            run(&theirs);
        })?;
        Ok(Self(shared))
    }
}

impl Grace for KernelGrace {
    fn begin(&self) -> Ticket {
        let mut progress = self.0.lock();
        progress.asked += 1;
        self.0.changed.notify_all();
        progress.asked
    }

    fn passed(&self, ticket: Ticket) -> bool {
        self.0.lock().over >= ticket
    }

    fn wait(&self, ticket: Ticket) {
        drop(self.0.wait_while(self.0.lock(), |progress| progress.over < ticket));
    }
}

impl Drop for KernelGrace {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

fn run(shared: &Shared) {
    let real_time =
        std::fs::read_to_string("/sys/kernel/realtime").is_ok_and(|content| content.trim() == "1");
    let mut warned = false;
    loop {
        let progress = shared.lock();
        let progress = shared.wait_while(progress, |p| p.over >= p.asked && !p.closed);
        if progress.closed {
            return;
        }
        let asked = progress.asked;
        drop(progress);
        if (real_time || visit_every_cpu().is_err())
            && let Err(error) = sys::wait_for_rcu()
        {
            if !std::mem::replace(&mut warned, true) {
                warn!(
                    "neither every CPU nor membarrier can be used to wait for packets ({error}): \
                     waiting {LAST_RESORT:?} after each change instead"
                );
            }
            thread::sleep(LAST_RESORT);
        }
        shared.lock().over = asked;
        shared.changed.notify_all();
    }
}

/// Runs this thread once on each CPU.
fn visit_every_cpu() -> io::Result<()> {
    for cpu in online_cpus().map_err(|(_, error)| error)? {
        let mut only = CpuSet::new();
        only.set(cpu as usize)?;
        // Returns on that CPU: the kernel moves the thread before it does.
        sched_setaffinity(Pid::from_raw(0), &only)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
