//! The manager's role: it connects to an agent, and hears the weights.
//!
//! An agent that cannot be had, closes, or is silent for too long is tried again a few
//! times; then it has failed, which is what the core acts on. It is tried on all the
//! same, and is back with its first message: one that takes connections and says
//! nothing is not there.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, split},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_stream::StreamExt as _;
use tokio_util::codec::FramedRead;
use tracing::{debug, warn};

use super::{DfpError, Message, Messages, Weights, pace::Pace, tcp, weights};
use crate::model::{DfpState, FromDfp};

/// Messages that an agent may send in a second.
const MOST: u32 = 1000;
/// Servers that one agent may speak of; further ones are left out.
const SERVERS: usize = 16_384;
/// Between two reports of weights: what comes faster is gathered.
const GATHER: Duration = Duration::from_millis(50);

/// How long a manager waits, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Seconds of an agent's silence after which its connection is closed; 0: never.
    pub keepalive: u32,
    /// Tries after a loss before it has failed.
    pub retries: u32,
    /// Between two tries.
    pub interval: Duration,
    /// For a connection.
    pub connect: Duration,
}

/// A connection for [`keep`].
///
/// # Errors
/// It cannot be had.
pub async fn connect(address: std::net::SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    tcp::prepare(&stream)?;
    Ok(stream)
}

/// Speaks with an agent for as long as somebody hears what comes of it.
pub async fn keep<S: AsyncRead + AsyncWrite, C: Future<Output = io::Result<S>>>(
    mut connect: impl FnMut() -> C,
    patience: Patience,
    to: mpsc::Sender<FromDfp>,
) {
    let mut failures = 0_u32;
    let mut state = DfpState::NotOpen;
    while !to.is_closed() {
        if !state.is_lost() {
            drop(to.send(FromDfp::State(DfpState::Connecting, String::new())).await);
        }
        let why = match timeout(patience.connect, connect()).await {
            Ok(Ok(stream)) => {
                let session = Session { patience, to: &to, heard: false };
                let (heard, why) = session.run(stream).await;
                if heard {
                    failures = 0;
                }
                why
            }
            Ok(Err(error)) => error.into(),
            Err(_) => timed_out(format!("no connection within {:?}", patience.connect)),
        };
        failures = failures.saturating_add(1);
        state = match why {
            DfpError::Signed => DfpState::SecurityError,
            _ if failures > patience.retries => DfpState::Failed,
            _ => DfpState::Trying,
        };
        drop(to.send(FromDfp::State(state, why.to_string())).await);
        tokio::select! {
            () = to.closed() => {}
            () = sleep(patience.interval) => {}
        }
    }
}

fn timed_out(why: String) -> DfpError {
    io::Error::new(io::ErrorKind::TimedOut, why).into()
}

/// One connection.
struct Session<'a> {
    patience: Patience,
    to: &'a mpsc::Sender<FromDfp>,
    /// It has sent a message.
    heard: bool,
}

impl Session<'_> {
    /// Whether anything was heard, and why nothing more is.
    async fn run<S: AsyncRead + AsyncWrite>(mut self, stream: S) -> (bool, DfpError) {
        let why = match self.hear(stream).await {
            Ok(()) => {
                io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection").into()
            }
            Err(error) => error,
        };
        (self.heard, why)
    }

    async fn hear<S: AsyncRead + AsyncWrite>(&mut self, stream: S) -> Result<(), DfpError> {
        let (read, mut write) = split(stream);
        let Patience { keepalive, connect, .. } = self.patience;
        let parameters = Message::Parameters { keepalive: Some(keepalive) }.encode();
        timeout(connect, write.write_all(&parameters))
            .await
            .map_err(|_| timed_out(format!("it has read nothing for {connect:?}")))??;
        let silence = Duration::from_secs(keepalive.into());
        let mut messages = FramedRead::new(read, Messages);
        let mut pace = Pace::new(MOST);
        let mut gathered = Gathered::default();
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                biased;
                message = messages.next() => {
                    let Some(message) = message.transpose()? else { return Ok(()) };
                    pace.count()?;
                    heard = Instant::now();
                    if !std::mem::replace(&mut self.heard, true) {
                        // The rest of a long list is to come with its beginning.
                        gathered.due = heard + GATHER;
                        self.tell(FromDfp::State(DfpState::Open, String::new())).await;
                    }
                    match message {
                        Message::PreferenceInformation(loads) => gathered.take(&loads),
                        Message::BindIdReport(_) | Message::BindIdChange => {
                            debug!("a DFP agent's {}: clients are not told apart", message.name());
                        }
                        other => warn!("a DFP agent's {} is discarded", other.name()),
                    }
                }
                () = sleep_until(gathered.due), if gathered.has_news() && self.heard => {
                    self.tell(gathered.report()).await;
                }
                () = sleep_until(heard + silence), if keepalive > 0 => {
                    return Err(timed_out(format!("it is silent for {silence:?}")));
                }
                () = self.to.closed() => return Ok(()),
            }
        }
    }

    async fn tell(&self, what: FromDfp) {
        // Nobody hears it once the manager stops; then this ends too.
        drop(self.to.send(what).await);
    }
}

/// What was heard in a connection, and what of it nobody was told yet.
struct Gathered {
    known: Weights,
    new: Weights,
    /// When the next may be told.
    due: Instant,
    anew: bool,
    too_many: bool,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            known: Weights::new(),
            new: Weights::new(),
            due: Instant::now(),
            anew: true,
            too_many: false,
        }
    }
}

impl Gathered {
    fn take(&mut self, loads: &[super::Load]) {
        let (heard, others) = weights::hear(loads);
        if others > 0 {
            debug!("a DFP agent gives {others} weight(s) for some clients alone: left out");
        }
        for (server, weight) in heard {
            if self.known.len() >= SERVERS && !self.known.contains_key(&server) {
                if !std::mem::replace(&mut self.too_many, true) {
                    warn!("a DFP agent speaks of more than {SERVERS} servers: some are left out");
                }
                continue;
            }
            if self.known.insert(server, weight) != Some(weight) {
                self.new.insert(server, weight);
            }
        }
    }

    /// Also that nothing is said, where something was in an earlier connection.
    fn has_news(&self) -> bool {
        self.anew || !self.new.is_empty()
    }

    fn report(&mut self) -> FromDfp {
        self.due = Instant::now() + GATHER;
        let weights = std::mem::take(&mut self.new).into_iter().collect();
        FromDfp::Weights { weights, anew: std::mem::replace(&mut self.anew, false) }
    }
}

#[cfg(test)]
mod tests;
