//! The box that all its listeners share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{broadcast, watch};

use super::{
    Options, State,
    faults::{Downtime, Faults},
};

/// Messages that a slow session may fall behind.
const BACKLOG: usize = 4096;

#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) options: Options,
    state: Mutex<State>,
    faults: Mutex<Faults>,
    downtime: Mutex<Downtime>,
    /// One management processor: what it does, it does one after the other.
    processor: tokio::sync::Mutex<fastrand::Rng>,
    announcements: broadcast::Sender<String>,
    /// Turned at a reboot, which throws everybody out.
    boots: watch::Sender<u32>,
    configuring: AtomicBool,
    /// Command lines, and requests by SNMP.
    pub(crate) commands: AtomicUsize,
    /// Changes, each of which took its time.
    pub(crate) operations: AtomicUsize,
    /// Sessions that got past the login.
    pub(crate) logins: AtomicUsize,
}

impl Device {
    pub(crate) fn new(options: Options) -> Self {
        let state = State::new(
            options.limits,
            options.hide_leaving,
            options.force_delete_after,
            Instant::now(),
        );
        Self {
            state: Mutex::new(state),
            faults: Mutex::default(),
            downtime: Mutex::default(),
            processor: tokio::sync::Mutex::new(fastrand::Rng::with_seed(options.seed)),
            announcements: broadcast::channel(BACKLOG).0,
            boots: watch::channel(0).0,
            configuring: AtomicBool::new(false),
            commands: AtomicUsize::new(0),
            operations: AtomicUsize::new(0),
            logins: AtomicUsize::new(0),
            options,
        }
    }

    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        let mut state = self.lock();
        state.at(Instant::now());
        look(&state)
    }

    /// Changes the state, lets go of what waits for nothing any more, and
    /// tells those who are logged in.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        state.at(Instant::now());
        let result = change(&mut state);
        state.settle();
        state.touch();
        for message in state.take_announcements() {
            // Nobody may be listening.
            let _ = self.announcements.send(message);
        }
        result
    }

    /// Does a piece of work that reports how many changes it made, and takes
    /// as long as they do, with everybody else waiting.
    ///
    /// None where a fault has lost the answer.
    pub(crate) async fn process<T>(&self, work: impl FnOnce() -> (usize, T)) -> Option<T> {
        let mut random = self.processor.lock().await;
        let begun = tokio::time::Instant::now();
        let (changes, result) = work();
        self.operations.fetch_add(changes, Ordering::Relaxed);
        let lost = self.faults().count_changes(changes);
        let latency = &self.options.latency;
        let nanos = |duration: &Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let taken: u64 =
            (0..changes).map(|_| random.u64(nanos(latency.start())..=nanos(latency.end()))).sum();
        if taken > 0 {
            tokio::time::sleep_until(begun + Duration::from_nanos(taken)).await;
        }
        (!lost).then_some(result)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is announced from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<String> {
        self.announcements.subscribe()
    }

    /// Turns when everybody is thrown out.
    pub(crate) fn boots(&self) -> watch::Receiver<u32> {
        self.boots.subscribe()
    }

    pub(crate) fn reboot(&self, lasting: Duration) {
        self.downtime().begin(lasting);
        self.change(State::reboot);
        self.kick();
    }

    /// Drops every connection to the command line.
    pub(crate) fn kick(&self) {
        self.boots.send_modify(|boots| *boots += 1);
    }

    /// Whether it boots, and so hears nothing.
    pub(crate) fn is_down(&self) -> bool {
        self.downtime().lasts()
    }

    /// The one configuration session there may be; `None` while another has it.
    pub(crate) fn configure(self: &Arc<Self>) -> Option<Configuring> {
        let taken = self.configuring.swap(true, Ordering::AcqRel);
        (!taken).then(|| Configuring(Arc::clone(self)))
    }

    fn downtime(&self) -> MutexGuard<'_, Downtime> {
        self.downtime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds the configuration session until it is dropped.
#[derive(Debug)]
pub(crate) struct Configuring(Arc<Device>);

impl Drop for Configuring {
    fn drop(&mut self) {
        self.0.configuring.store(false, Ordering::Release);
    }
}
