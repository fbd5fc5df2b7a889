//! What goes out to a peer: bounded, and never waited for.

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_stream::{StreamExt as _, adapters::Map, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::model::{ToAgent, ToSwitch};

/// Messages that may wait for a peer that reads slowly.
pub(super) const CAPACITY: usize = 1024;

/// A peer's way out, and the means to end its session.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    way: Way,
    /// Cancelled when the manager ends the session.
    pub(super) closed: CancellationToken,
}

#[derive(Clone, Debug)]
pub(super) enum Way {
    Agent(mpsc::Sender<Result<ToAgent, Status>>),
    Edge(mpsc::Sender<Result<ToSwitch, Status>>),
    Local(mpsc::Sender<ToSwitch>),
}

/// What goes out over the network: a message becomes the wire's when the
/// connection takes it. Until then all switches share one delta, and the core has
/// not waited for it.
pub(super) type Outgoing<M, W> =
    Map<ReceiverStream<Result<M, Status>>, fn(Result<M, Status>) -> Result<W, Status>>;

pub(super) fn outgoing<M, W: From<M>>(out: mpsc::Receiver<Result<M, Status>>) -> Outgoing<M, W> {
    ReceiverStream::new(out).map(|message| message.map(W::from))
}

/// The peer is gone, or reads too slowly.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Undelivered(&'static str);

impl<T> From<TrySendError<T>> for Undelivered {
    fn from(error: TrySendError<T>) -> Self {
        Self(match error {
            TrySendError::Full(_) => "it does not read what it is sent",
            TrySendError::Closed(_) => "it is gone",
        })
    }
}

impl Outbox {
    pub(super) fn new(way: Way) -> Self {
        Self { way, closed: CancellationToken::new() }
    }

    pub(super) fn agent(&self, message: ToAgent) -> Result<(), Undelivered> {
        match &self.way {
            Way::Agent(way) => Ok(way.try_send(Ok(message))?),
            Way::Edge(_) | Way::Local(_) => Err(Undelivered("it is no agent")),
        }
    }

    pub(super) fn switch(&self, message: ToSwitch) -> Result<(), Undelivered> {
        match &self.way {
            Way::Edge(way) => Ok(way.try_send(Ok(message))?),
            Way::Local(way) => Ok(way.try_send(message)?),
            Way::Agent(_) => Err(Undelivered("it is no switch")),
        }
    }

    /// Ends the session; the peer learns why where there is room for it.
    pub(super) fn close(&self, status: Status) {
        match &self.way {
            Way::Agent(way) => drop(way.try_send(Err(status))),
            Way::Edge(way) => drop(way.try_send(Err(status))),
            Way::Local(_) => {}
        }
        self.closed.cancel();
    }
}
