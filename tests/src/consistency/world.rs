//! What the crowd and the operator of a run share.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::ledger::{Binding, Flow, Ledger};

/// Broken connections that are told of one by one.
const TOLD: usize = 20;
/// A client that was silent for nearly the edge's idle limit proves nothing:
/// the edge counts whole seconds, and looks once a second.
const DOUBT: Duration = Duration::from_secs(2);

/// How a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Turned away at its first packet.
    Refused,
    Broken(ErrorKind),
    /// No answer for longer than [`PATIENCE`](super::member::PATIENCE).
    Stalled,
    /// Answered by this server instead of its own.
    Moved(usize),
}

impl From<io::Error> for How {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            kind => Self::Broken(kind),
        }
    }
}

/// What the crowd went through.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub opened: u64,
    pub answers: u64,
    /// Connections that broke and that no change was allowed to break.
    pub collateral: u64,
    /// The first of them, for people.
    pub told: Vec<String>,
    pub broken_as_asked: u64,
    pub refused_as_asked: u64,
    /// Answers on connections that a removal by force should have broken.
    pub not_broken_as_asked: u64,
    /// Connections that broke after their client, on a slow machine, had been
    /// silent for as long as the edge lets anybody be.
    pub overslept: u64,
    /// Connections that this machine would not let a client open.
    pub not_opened: u64,
    pub longest_stall: Duration,
}

/// See the module.
pub(super) struct World {
    begun: Instant,
    vips: Vec<SocketAddr>,
    /// How long the edge lets a connection be silent.
    idle: Duration,
    ledger: Mutex<Ledger>,
    tally: Mutex<Tally>,
    /// By service and server: connections from before are to end.
    leave: Vec<Vec<watch::Sender<Option<Instant>>>>,
    over: watch::Sender<bool>,
    open: AtomicUsize,
}

/// Counts a connection while it is open.
pub(super) struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(vips: Vec<SocketAddr>, servers: usize, idle: Duration) -> Self {
        let leave = || (0..servers).map(|_| watch::Sender::new(None)).collect();
        Self {
            begun: Instant::now(),
            leave: vips.iter().map(|_| leave()).collect(),
            vips,
            idle,
            ledger: Mutex::default(),
            tally: Mutex::default(),
            over: watch::Sender::new(false),
            open: AtomicUsize::new(0),
        }
    }

    pub(super) fn vip(&self, service: usize) -> SocketAddr {
        self.vips[service]
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    pub(super) fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Everybody is to ask once more and to go.
    pub(super) fn end(&self) {
        self.over.send_replace(true);
    }

    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    pub(super) fn over(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }

    /// The connections of a binding are to end, those that begin from now on
    /// excepted.
    pub(super) fn empty(&self, (service, server): Binding) {
        self.leave[service][server].send_replace(Some(Instant::now()));
    }

    pub(super) fn leave(&self, service: usize, server: usize) -> watch::Receiver<Option<Instant>> {
        self.leave[service][server].subscribe()
    }

    /// Whether a connection is to end for its server's sake.
    pub(super) fn leaves(&self, flow: &Flow, server: usize) -> bool {
        self.leave[flow.service][server].borrow().is_some_and(|asked| flow.begun <= asked)
    }

    /// A connection is open.
    pub(super) fn enter(&self) -> Open<'_> {
        self.open.fetch_add(1, Relaxed);
        lock(&self.tally).opened += 1;
        Open(&self.open)
    }

    /// A question was answered.
    pub(super) fn answered(&self, flow: &Flow, asked: Instant) {
        let now = Instant::now();
        let late = self.ledger().must_break(flow, asked, now);
        let mut tally = lock(&self.tally);
        tally.answers += 1;
        tally.not_broken_as_asked += u64::from(late);
        tally.longest_stall = tally.longest_stall.max(now - asked);
    }

    /// A connection was lost: by whose doing?
    pub(super) fn lost(&self, flow: &Flow, how: How) {
        let now = Instant::now();
        let ledger = self.ledger();
        let asked_for = ledger.may_break(flow, now);
        let turned_away = how == How::Refused && ledger.may_refuse(flow, now);
        drop(ledger);
        let mut tally = lock(&self.tally);
        match how {
            How::Broken(ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable) => {
                tally.not_opened += 1
            }
            How::Refused if turned_away => tally.refused_as_asked += 1,
            How::Refused | How::Broken(_) | How::Stalled if asked_for => tally.broken_as_asked += 1,
            How::Broken(_) if flow.silent + DOUBT > self.idle => tally.overslept += 1,
            _ => {
                tally.collateral += 1;
                if tally.told.len() < TOLD {
                    let told = self.tell(flow, how, now);
                    tally.told.push(told);
                }
            }
        }
    }

    fn tell(&self, flow: &Flow, how: How, now: Instant) -> String {
        let server = match flow.server {
            Some(server) => format!("of server-{}", server + 1),
            None => "of a server that never answered".to_owned(),
        };
        format!(
            "{:.3} s into the run: a connection to {} {server}, {:.3} s old and at most {:.3} s \
             silent, was lost after {:.3} s: {how:?}",
            (now - self.begun).as_secs_f64(),
            self.vip(flow.service),
            (now - flow.begun).as_secs_f64(),
            flow.silent.as_secs_f64(),
            (now - flow.spoke).as_secs_f64(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(10);

    fn world() -> World {
        World::new(vec!["198.18.0.10:80".parse().unwrap()], 2, IDLE)
    }

    fn flow(silent: Duration) -> Flow {
        let now = Instant::now();
        Flow { service: 0, begun: now, server: Some(1), spoke: now, silent }
    }

    #[test]
    fn what_nobody_asked_for_is_collateral() {
        let world = world();
        let flow = flow(Duration::ZERO);
        let reset = How::Broken(ErrorKind::ConnectionReset);
        for how in [reset, How::Stalled, How::Refused, How::Moved(0)] {
            world.lost(&flow, how);
        }
        assert_eq!((world.tally().collateral, world.tally().told.len()), (4, 4));
        world.ledger().force((0, 1), flow.begun);
        world.lost(&flow, reset);
        world.lost(&flow, How::Stalled);
        // Nothing sends a connection to another server.
        world.lost(&flow, How::Moved(0));
        assert_eq!((world.tally().collateral, world.tally().broken_as_asked), (5, 2));
    }

    #[test]
    fn who_slept_too_long_proves_nothing() {
        let world = world();
        world.lost(&flow(IDLE), How::Broken(ErrorKind::ConnectionReset));
        world.lost(&flow(IDLE / 2), How::Broken(ErrorKind::ConnectionReset));
        assert_eq!((world.tally().collateral, world.tally().overslept), (1, 1));
    }

    #[test]
    fn connections_are_counted_while_they_are_open() {
        let world = world();
        let first = world.enter();
        let second = world.enter();
        assert_eq!(world.open(), 2);
        drop((first, second));
        assert_eq!((world.open(), world.tally().opened), (0, 2));
    }
}
