//! Sessions of agents and switches: over gRPC, and of the switch in this process.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    LocalSwitch,
    engine::Handle,
    outbox::{CAPACITY, Outbox, Way},
};
use crate::{
    core::{Input, SessionId},
    model::{FromAgent, FromSwitch},
    proto::{WireError, v1},
};

/// Sessions that there can be, on one listener.
const AGENTS: usize = 16_384;
const EDGES: usize = 256;
/// How long a peer may take to say hello.
const HELLO: Duration = Duration::from_secs(10);

/// Takes agents' sessions.
pub(super) struct Agents {
    handle: Handle,
    room: Arc<Semaphore>,
}

/// Takes switches' sessions.
pub(super) struct Edges {
    handle: Handle,
    room: Arc<Semaphore>,
}

impl Agents {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, room: Arc::new(Semaphore::new(AGENTS)) }
    }
}

impl Edges {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, room: Arc::new(Semaphore::new(EDGES)) }
    }
}

#[tonic::async_trait]
impl v1::agents_server::Agents for Agents {
    type SessionStream = ReceiverStream<Result<v1::AgentReply, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let place = place(&self.room, "agents")?;
        let (way, out) = mpsc::channel(CAPACITY);
        let outbox = Outbox::new(Way::Agent(way));
        let input = |session, message: FromAgent| Input::Agent { session, message };
        tokio::spawn(serve(self.handle.clone(), request.into_inner(), outbox, input, place));
        Ok(Response::new(ReceiverStream::new(out)))
    }
}

#[tonic::async_trait]
impl v1::edges_server::Edges for Edges {
    type SessionStream = ReceiverStream<Result<v1::EdgeCommand, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::EdgeMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let place = place(&self.room, "switches")?;
        let (way, out) = mpsc::channel(CAPACITY);
        let outbox = Outbox::new(Way::Edge(way));
        let input = |session, message: FromSwitch| Input::Switch { session, message };
        tokio::spawn(serve(self.handle.clone(), request.into_inner(), outbox, input, place));
        Ok(Response::new(ReceiverStream::new(out)))
    }
}

fn place(room: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, Status> {
    Arc::clone(room).try_acquire_owned().map_err(|_| {
        Status::resource_exhausted(format!("the manager has as many {what} as it can take"))
    })
}

/// Hands a session's messages to the core until either side ends it.
async fn serve<W, M>(
    handle: Handle,
    mut inbound: Streaming<W>,
    outbox: Outbox,
    input: impl Fn(SessionId, M) -> Input,
    _place: OwnedSemaphorePermit,
) where
    M: TryFrom<W, Error = WireError>,
{
    let first = match timeout(HELLO, next(&mut inbound)).await {
        Ok(Ok(Some(first))) => first,
        Ok(Ok(None)) => return,
        Ok(Err(status)) => return outbox.close(status),
        Err(_) => {
            return outbox.close(Status::deadline_exceeded(format!("no hello within {HELLO:?}")));
        }
    };
    let Ok(session) = handle.open(outbox.clone(), |session| input(session, first)).await else {
        return outbox.close(Status::unavailable("the manager is stopping"));
    };
    loop {
        let message = tokio::select! {
            () = outbox.closed.cancelled() => break,
            message = next(&mut inbound) => message,
        };
        let sent = match message {
            Ok(Some(message)) => handle.input(input(session, message)).await,
            Ok(None) => break,
            Err(status) => Err(status),
        };
        if let Err(status) = sent {
            if status.code() == Code::InvalidArgument {
                tracing::warn!(session = session.0, "a session is ended: {}", status.message());
            } else {
                tracing::debug!(session = session.0, "a session ended: {}", status.message());
            }
            outbox.close(status);
            break;
        }
    }
    // A core that has stopped needs no telling.
    drop(handle.input(Input::Closed { session }).await);
}

/// The next message, checked; None at the end.
async fn next<W, M: TryFrom<W, Error = WireError>>(
    inbound: &mut Streaming<W>,
) -> Result<Option<M>, Status> {
    match inbound.message().await? {
        Some(message) => Ok(Some(M::try_from(message)?)),
        None => Ok(None),
    }
}

/// The session of the switch in this process.
pub(super) async fn local(handle: Handle, (mut from, to): LocalSwitch) {
    let outbox = Outbox::new(Way::Local(to));
    let input = |session, message| Input::Switch { session, message };
    let Some(first) = from.recv().await else {
        return;
    };
    let Ok(session) = handle.open(outbox.clone(), |session| input(session, first)).await else {
        return;
    };
    loop {
        let message = tokio::select! {
            () = outbox.closed.cancelled() => break,
            message = from.recv() => message,
        };
        let Some(message) = message else { break };
        if handle.input(input(session, message)).await.is_err() {
            break;
        }
    }
    drop(handle.input(Input::Closed { session }).await);
}
