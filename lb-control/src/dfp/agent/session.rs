//! One connected manager.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, WriteHalf, split},
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::StreamExt as _;
use tokio_util::codec::FramedRead;
use tracing::{debug, warn};

use super::Table;
use crate::dfp::{DfpError, Message, Messages, Weights, pace::Pace, weights};

/// How long a manager may take to read what it is sent.
const PATIENCE: Duration = Duration::from_secs(3);
/// Messages that a manager may send in a second.
const MOST: u32 = 100;

/// Speaks with a manager until it ends the connection; `told` hears of each version of
/// the table that was sent.
///
/// # Errors
/// Why the connection cannot go on.
pub(super) async fn session<S: AsyncRead + AsyncWrite>(
    stream: S,
    mut table: watch::Receiver<Table>,
    told: impl Fn(u64),
) -> Result<(), DfpError> {
    let (read, write) = split(stream);
    let mut messages = FramedRead::new(read, Messages);
    let mut out = Out { write, told: Weights::new() };
    let mut keepalive = None;
    let mut due = Instant::now();
    let mut pace = Pace::new(MOST);
    out.all(&mut table, &told).await?;
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message.transpose()? else { return Ok(()) };
                pace.count()?;
                match message {
                    Message::Parameters { keepalive: Some(seconds) } => {
                        keepalive = pause(seconds);
                        out.all(&mut table, &told).await?;
                        due = Instant::now();
                    }
                    Message::BindIdRequest => {
                        out.send(&Message::BindIdReport(Vec::new())).await?;
                    }
                    Message::ServerState(loads) => {
                        let (states, _) = weights::hear(&loads);
                        debug!("the DFP manager sees {} server(s): {states:?}", states.len());
                    }
                    other => warn!("a DFP manager's {} is discarded", other.name()),
                }
            }
            changed = table.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                out.changes(&mut table, &told).await?;
            }
            () = sleep_until(due + keepalive.unwrap_or_default()), if keepalive.is_some() => {
                out.all(&mut table, &told).await?;
                due = Instant::now();
            }
        }
    }
}

/// Between two messages, where the manager closes after so many seconds of silence.
fn pause(seconds: u32) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.into()) * 3 / 4)
}

/// The way to the manager, and what went there.
struct Out<S> {
    write: WriteHalf<S>,
    told: Weights,
}

impl<S: AsyncWrite> Out<S> {
    /// Tells everything, also where that is nothing.
    async fn all(
        &mut self,
        table: &mut watch::Receiver<Table>,
        told: &impl Fn(u64),
    ) -> Result<(), DfpError> {
        self.told.clear();
        if table.borrow().all().is_empty() {
            self.say(&Weights::new()).await?;
        }
        self.changes(table, told).await
    }

    /// Tells what is not told yet.
    async fn changes(
        &mut self,
        table: &mut watch::Receiver<Table>,
        told: &impl Fn(u64),
    ) -> Result<(), DfpError> {
        let (version, all) = {
            let table = table.borrow_and_update();
            (table.version, table.all())
        };
        let mut new = all.clone();
        new.retain(|server, weight| self.told.get(server) != Some(weight));
        if !new.is_empty() {
            self.say(&new).await?;
        }
        self.told = all;
        told(version);
        Ok(())
    }

    async fn say(&mut self, weights: &Weights) -> Result<(), DfpError> {
        for message in weights::tell(weights) {
            self.send(&message).await?;
        }
        Ok(())
    }

    /// Sends a message in one write.
    async fn send(&mut self, message: &Message) -> Result<(), DfpError> {
        match timeout(PATIENCE, self.write.write_all(&message.encode())).await {
            Ok(written) => Ok(written?),
            Err(_) => {
                let message = format!("it has read nothing for {PATIENCE:?}");
                Err(io::Error::new(io::ErrorKind::TimedOut, message).into())
            }
        }
    }
}
