//! A bottomless sink: the server that a switch which cannot refuse connections sends
//! those to that should be refused.
//!
//! In mode `reset` each connection is reset as soon as it is there. In mode `hold` it is
//! never read from, so that its window closes and its client waits, and is reset after
//! a while; at most so many are held, and those beyond are reset at once.

mod monitor;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Connections that wait to be accepted; the kernel may allow less.
const BACKLOG: u32 = 4096;
/// What a held connection's client can send before its window is closed: the kernel
/// makes the least of it that it allows (tcp(7), SO_RCVBUF).
const WINDOW: u32 = 1;
/// Descriptors beside those of held connections.
const SPARE: u64 = 64;

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Reset,
    Hold {
        /// They are reset after this.
        time: Duration,
        /// So many are held; others are reset at once.
        most: usize,
    },
}

/// Where and how connections end.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: Vec<SocketAddr>,
    pub mode: Mode,
    /// Where monitors ask for `/metrics`, `/healthz` and `/readyz`.
    pub metrics: Option<SocketAddr>,
}

/// Connections, since the start.
#[derive(Debug, Default)]
struct Tally {
    accepted: AtomicU64,
    /// Held now.
    held: AtomicU64,
    /// Reset at once for want of room.
    beyond: AtomicU64,
    /// Whose client ended it while it was held.
    given_up: AtomicU64,
}

/// Takes connections and ends them, until `stop`; what is held then is reset.
///
/// # Errors
/// An address cannot be had.
pub async fn run(settings: &Settings, stop: CancellationToken) -> anyhow::Result<()> {
    if let Mode::Hold { most, .. } = settings.mode {
        make_room(most);
    }
    let tally = Arc::new(Tally::default());
    let mut parts = JoinSet::new();
    let room = match settings.mode {
        Mode::Reset => 0,
        Mode::Hold { most, .. } => most.min(Semaphore::MAX_PERMITS),
    };
    let room = Arc::new(Semaphore::new(room));
    for &address in &settings.listen {
        let listener = listen(address, settings.mode)
            .with_context(|| format!("cannot listen on {address}"))?;
        tracing::info!(address = %listener.local_addr()?, mode = ?settings.mode, "a bottomless sink");
        let sink = Sink { mode: settings.mode, room: Arc::clone(&room), tally: Arc::clone(&tally) };
        parts.spawn(sink.take(listener, stop.clone()));
    }
    if let Some(address) = settings.metrics {
        parts.spawn(monitor::run(address, Arc::clone(&tally), stop.clone()));
    }
    let mut outcome = Ok(());
    while let Some(ended) = parts.join_next().await {
        stop.cancel();
        outcome = outcome.and(ended.context("a part of the drop server failed")?);
    }
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    tracing::info!(
        accepted = count(&tally.accepted),
        held = count(&tally.held),
        beyond = count(&tally.beyond),
        "stopped; what was held is reset"
    );
    outcome
}

fn listen(address: SocketAddr, mode: Mode) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if let Mode::Hold { .. } = mode {
        // Accepted sockets inherit it.
        socket.set_recv_buffer_size(WINDOW)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Raises the limit of open files to what is held, as far as that goes.
fn make_room(most: usize) {
    let wanted = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(SPARE);
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, wanted.clamp(soft, hard), hard).map(|()| hard)
    });
    match raised {
        Ok(hard) if hard >= wanted => {}
        Ok(hard) => tracing::warn!(
            "the limit of open files is {hard}: not {most}, but about {} connections can be held",
            hard.saturating_sub(SPARE)
        ),
        Err(error) => tracing::warn!("the limit of open files cannot be raised: {error}"),
    }
}

/// What one listener does with its connections.
struct Sink {
    mode: Mode,
    room: Arc<Semaphore>,
    tally: Arc<Tally>,
}

impl Sink {
    async fn take(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.end(stream, &stop),
                Err(error) => {
                    // Mostly a want of descriptors: connections wait in the backlog.
                    tracing::warn!("no connection can be accepted: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn end(&self, stream: TcpStream, stop: &CancellationToken) {
        self.tally.accepted.fetch_add(1, Ordering::Relaxed);
        // However it ends from now on, it ends by RST.
        if let Err(error) = stream.set_zero_linger() {
            tracing::debug!("a connection ends by FIN: {error}");
        }
        let Mode::Hold { time, .. } = self.mode else {
            return;
        };
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(place) => {
                tokio::spawn(hold(stream, time, place, Arc::clone(&self.tally), stop.clone()));
            }
            Err(_) => {
                self.tally.beyond.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Keeps a connection for so long, or until its client resets it.
async fn hold(
    stream: TcpStream,
    time: Duration,
    place: OwnedSemaphorePermit,
    tally: Arc<Tally>,
    stop: CancellationToken,
) {
    tally.held.fetch_add(1, Ordering::Relaxed);
    tokio::select! {
        () = stop.cancelled() => {}
        over = timeout(time, stream.ready(Interest::ERROR)) => {
            if over.is_ok() {
                tally.given_up.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    drop(stream);
    tally.held.fetch_sub(1, Ordering::Relaxed);
    drop(place);
}

#[cfg(test)]
mod tests;
