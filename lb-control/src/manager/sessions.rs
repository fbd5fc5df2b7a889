//! Sessions of agents and switches: over gRPC, and of the switch in this process.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep_until},
};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    LocalSwitch,
    engine::Handle,
    outbox::{CAPACITY, Outbox, Outgoing, Way, outgoing},
    rate::Bucket,
};
use crate::{
    core::{Input, SessionId},
    model::{FromAgent, FromSwitch, Origin, ToAgent, ToSwitch},
    proto::{WireError, v1},
    transport,
};

/// Sessions that there can be, on one listener.
const AGENTS: usize = 16_384;
const EDGES: usize = 256;
/// How long a peer may take to say hello.
const HELLO: Duration = Duration::from_secs(10);

/// Where requests come in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    /// The unix socket.
    Local,
    Network,
}

impl Door {
    /// Who sends a request.
    pub(super) fn origin<T>(self, request: &Request<T>) -> Origin {
        match self {
            Self::Local => Origin::local(),
            Self::Network => transport::origin(request),
        }
    }
}

/// Takes agents' sessions.
pub(super) struct Agents {
    handle: Handle,
    door: Door,
    /// Messages that each session may send in a second.
    rate: u32,
    room: Arc<Semaphore>,
}

/// Takes switches' sessions, over the network.
pub(super) struct Edges {
    handle: Handle,
    rate: u32,
    room: Arc<Semaphore>,
}

impl Agents {
    pub(super) fn new(handle: Handle, door: Door, rate: u32) -> Self {
        Self { handle, door, rate, room: Arc::new(Semaphore::new(AGENTS)) }
    }
}

impl Edges {
    pub(super) fn new(handle: Handle, rate: u32) -> Self {
        Self { handle, rate, room: Arc::new(Semaphore::new(EDGES)) }
    }
}

#[tonic::async_trait]
impl v1::agents_server::Agents for Agents {
    type SessionStream = Outgoing<ToAgent, v1::AgentReply>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let place = place(&self.room, "agents")?;
        let (way, out) = mpsc::channel(CAPACITY);
        let outbox = Outbox::new(Way::Agent(way));
        let input = |session, message: FromAgent| Input::Agent { session, message };
        let peer = Peer {
            handle: self.handle.clone(),
            origin: self.door.origin(&request),
            rate: self.rate,
            outbox,
            place,
        };
        tokio::spawn(peer.serve(request.into_inner(), input));
        Ok(Response::new(outgoing(out)))
    }
}

#[tonic::async_trait]
impl v1::edges_server::Edges for Edges {
    type SessionStream = Outgoing<ToSwitch, v1::EdgeCommand>;

    async fn session(
        &self,
        request: Request<Streaming<v1::EdgeMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let place = place(&self.room, "switches")?;
        let (way, out) = mpsc::channel(CAPACITY);
        let outbox = Outbox::new(Way::Edge(way));
        let input = |session, message: FromSwitch| Input::Switch { session, message };
        let peer = Peer {
            handle: self.handle.clone(),
            origin: Door::Network.origin(&request),
            rate: self.rate,
            outbox,
            place,
        };
        tokio::spawn(peer.serve(request.into_inner(), input));
        Ok(Response::new(outgoing(out)))
    }
}

fn place(room: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, Status> {
    Arc::clone(room).try_acquire_owned().map_err(|_| {
        Status::resource_exhausted(format!("the manager has as many {what} as it can take"))
    })
}

/// The other end of a session.
struct Peer {
    handle: Handle,
    origin: Origin,
    rate: u32,
    outbox: Outbox,
    /// Held for as long as the session lasts.
    place: OwnedSemaphorePermit,
}

impl Peer {
    /// Hands a session's messages to the core until either side ends it.
    async fn serve<W, M>(self, mut inbound: Streaming<W>, input: impl Fn(SessionId, M) -> Input)
    where
        W: prost::Message,
        M: TryFrom<W, Error = WireError>,
    {
        let Self { handle, origin, rate, outbox, place } = self;
        let Ok(session) = handle.open(outbox.clone(), origin).await else {
            return outbox.close(Status::unavailable("the manager is stopping"));
        };
        let begun = Instant::now();
        let mut bucket = Bucket::new(rate, Duration::ZERO);
        let mut greeted = false;
        loop {
            let message = tokio::select! {
                () = outbox.closed.cancelled() => break,
                message = inbound.message() => message,
                () = sleep_until(begun + HELLO), if !greeted => {
                    Err(Status::deadline_exceeded(format!("no hello within {HELLO:?}")))
                }
            };
            let sent = match message {
                // A hello is as large as what its sender holds.
                Ok(Some(message))
                    if greeted && !bucket.pay(message.encoded_len(), begun.elapsed()) =>
                {
                    let told = handle.input(Input::Excess { session }).await;
                    if told.is_ok() {
                        // The core ends it, and says why.
                        outbox.closed.cancelled().await;
                        break;
                    }
                    told
                }
                Ok(Some(message)) => match M::try_from(message) {
                    Ok(message) => handle.input(input(session, message)).await,
                    Err(error) => Err(error.into()),
                },
                Ok(None) => break,
                Err(status) => Err(status),
            };
            greeted = true;
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
        drop(place);
    }
}

/// The session of the switch in this process.
pub(super) async fn local(handle: Handle, (mut from, to): LocalSwitch) {
    let outbox = Outbox::new(Way::Local(to));
    let input = |session, message| Input::Switch { session, message };
    let Ok(session) = handle.open(outbox.clone(), Origin::local()).await else {
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
