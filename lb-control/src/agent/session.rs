//! One session with the manager: from hello to the stream's end.

use std::{
    fs,
    pin::pin,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use tokio::{
    select,
    sync::mpsc::{self, error::TrySendError},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tracing::{debug, info, warn};

use super::{Agent, BindState};
use crate::{
    config::TlsSettings,
    model::{BackendReport, BindingKey, ServerEnd},
    proto::v1::{
        self, AgentHello, AgentMessage, AgentReply, BindRequest, ConnectionsClosed, Heartbeat,
        Leave as LeaveMessage, agent_message, agent_reply, agents_client::AgentsClient,
    },
    transport,
};

/// Messages that may wait for a manager that does not read.
const QUEUE: usize = 8;

/// How long the manager may take to be reached and to answer at all.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Heartbeats between two beats: changes do not wait for the next beat, unless
/// there are so many.
const EXTRA: u32 = 8;

/// Connects and heartbeats. Ends well when the agent has left.
///
/// # Errors
/// The manager cannot be reached, or the session ended.
pub(super) async fn run(
    agent: &mut Agent,
    tls: Option<&TlsSettings>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let outcome = speak(agent, tls, shutdown).await;
    agent.heard.store(false, Ordering::Relaxed);
    outcome
}

async fn speak(
    agent: &mut Agent,
    tls: Option<&TlsSettings>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let manager = agent.settings.manager.clone();
    let (outgoing, messages) = mpsc::channel(QUEUE);
    outgoing.send(hello(agent)).await?;
    if agent.leave.is_some() {
        outgoing.send(leave()).await?;
    }
    let open = async {
        let channel = transport::connect(&manager, tls).await?;
        let replies = AgentsClient::new(channel)
            .session(ReceiverStream::new(messages))
            .await
            .map_err(|status| lost(&manager, &status))?;
        Ok::<_, anyhow::Error>(replies.into_inner())
    };
    let mut open = pin!(timeout(OPEN_TIMEOUT, open));
    let mut replies = loop {
        select! {
            replies = &mut open => {
                break replies.with_context(|| format!("no answer from {manager}"))??;
            }
            () = shutdown.cancelled(), if agent.leave.is_none() => {
                agent.begin_leave();
                outgoing.send(leave()).await?;
            }
        }
    };
    let mut beats = interval(agent.settings.interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut words = agent.words.clone();
    let mut extra = EXTRA;
    loop {
        select! {
            // What the manager says is heard first: where counting takes long,
            // it would wait for one heartbeat after the other.
            biased;
            () = shutdown.cancelled(), if agent.leave.is_none() => {
                agent.begin_leave();
                outgoing.send(leave()).await?;
            }
            reply = replies.message() => {
                let reply = reply.map_err(|status| lost(&manager, &status))?;
                let reply = reply.context("the manager closed the session")?;
                if let Some(answer) = take(agent, reply).await? {
                    outgoing.try_send(answer).context("the manager does not read")?;
                }
            }
            _ = beats.tick() => {
                extra = EXTRA;
                words.mark_unchanged();
                beat(agent, &outgoing).await?;
                if agent.may_go(agent.census.all, false) {
                    drop(outgoing);
                    goodbye(replies).await;
                    return Ok(());
                }
            }
            Ok(()) = words.changed(), if extra > 0 => {
                extra -= 1;
                beat(agent, &outgoing).await?;
            }
        }
    }
}

/// How long the manager may take to end its side of a session that is over.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits for the manager's end of the session, so that it sees a proper one.
async fn goodbye(mut replies: Streaming<AgentReply>) {
    let rest = async { while let Ok(Some(_)) = replies.message().await {} };
    if timeout(GOODBYE_TIMEOUT, rest).await.is_err() {
        debug!("the manager did not end its side of the session");
    }
}

fn lost(manager: &str, status: &tonic::Status) -> anyhow::Error {
    anyhow!("the session with {manager} ended: {}", transport::call_failure(status))
}

fn hello(agent: &Agent) -> AgentMessage {
    let binds = agent.settings.binds.iter().map(|bind| BindRequest {
        service: bind.service.to_string(),
        backend: bind.address.to_string(),
        weight: bind.weight.into(),
        server_id: bind.server_id.map(String::from).unwrap_or_default(),
    });
    let hello = AgentHello {
        name: agent.name.to_string(),
        boot_id: agent.boot_id,
        binds: binds.collect(),
        interval_ms: u32::try_from(agent.settings.interval.as_millis()).unwrap_or(u32::MAX),
    };
    message(agent_message::Kind::Hello(hello))
}

fn leave() -> AgentMessage {
    let cause = "the agent was told to stop".to_owned();
    message(agent_message::Kind::Leave(LeaveMessage { cause }))
}

fn message(kind: agent_message::Kind) -> AgentMessage {
    AgentMessage { kind: Some(kind) }
}

/// Sends one heartbeat. Where the manager does not read, this one is left
/// out: the next says the same and is newer.
async fn beat(agent: &mut Agent, outgoing: &mpsc::Sender<AgentMessage>) -> anyhow::Result<()> {
    if let Err(error) = agent.observe().await {
        // The last count stands: zero would be taken as leave to go.
        warn!("{error:#}");
    }
    let load = load();
    let words = agent.words.borrow().clone();
    let reports = agent.settings.binds.iter().zip(words).zip(&agent.census.each);
    let backends = reports.map(|((bind, word), &connections)| {
        let health = if word.health.healthy { Ok(()) } else { Err(word.health.cause.clone()) };
        let key = BindingKey { service: bind.service.clone(), backend: bind.address };
        let (load, application) = (word.load().unwrap_or(load), word.application());
        v1::BackendReport::from(BackendReport { key, health, connections, load, application })
    });
    let heartbeat = Heartbeat { sequence: agent.sequence + 1, backends: backends.collect() };
    agent.pulse.beat(agent.sequence + 1, Instant::now());
    match outgoing.try_send(message(agent_message::Kind::Heartbeat(heartbeat))) {
        Ok(()) => agent.sequence += 1,
        Err(TrySendError::Full(_)) => warn!("the manager does not read: heartbeat left out"),
        Err(TrySendError::Closed(_)) => debug!("the session is ending"),
    }
    Ok(())
}

/// One-minute load average over CPUs; 0 where it cannot be told.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let minute = text.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    minute.unwrap_or(0.0) / cpus as f64
}

/// Acts on what the manager says; returns what is to be answered.
async fn take(agent: &mut Agent, reply: AgentReply) -> anyhow::Result<Option<AgentMessage>> {
    match reply.kind {
        Some(agent_reply::Kind::Welcome(welcome)) => {
            agent.welcomed = true;
            agent.heard.store(true, Ordering::Relaxed);
            info!(
                "connected to {} as {}; it waits {} ms for a heartbeat",
                agent.settings.manager, agent.name, welcome.timeout_ms
            );
        }
        Some(agent_reply::Kind::Refused(refused)) => {
            set(agent, &refused.service, &refused.backend, BindState::Refused, &refused.reason);
        }
        Some(agent_reply::Kind::Notice(notice)) => {
            if let Some(index) = agent.index_of(&notice.service, &notice.backend) {
                agent.ends[index] = notice.end.map(server_end).transpose()?;
            }
            let state = BindState::Told(notice.state);
            set(agent, &notice.service, &notice.backend, state, &notice.reason);
        }
        Some(agent_reply::Kind::Close(v1::CloseConnections {
            service,
            backend,
            end,
            heartbeat,
        })) => {
            let end = server_end(end.context("the manager does not say what to close")?)?;
            // It is asked again while that is so.
            let connections = match agent.pulse.until(heartbeat) {
                Some(until) => agent.close(end, until).await?,
                None => 0,
            };
            if connections > 0 {
                info!("closed {connections} connection(s) of {service}/{backend}");
            }
            let closed = ConnectionsClosed { service, backend, connections, heartbeat };
            return Ok(Some(message(agent_message::Kind::Closed(closed))));
        }
        None => {}
    }
    Ok(None)
}

fn server_end(end: v1::ServerEnd) -> anyhow::Result<ServerEnd> {
    ServerEnd::try_from(end).context("the manager says where connections end")
}

/// Notes what the manager says of a bind; one line for each change.
fn set(agent: &mut Agent, service: &str, backend: &str, state: BindState, reason: &str) {
    let Some(index) = agent.index_of(service, backend) else {
        debug!("the manager speaks of {service}/{backend}, which is not bound here");
        return;
    };
    if agent.states[index] == state {
        return;
    }
    let separator = if reason.is_empty() { "" } else { ": " };
    if state == BindState::Refused {
        warn!("{service}/{backend} is refused{separator}{reason}");
    } else {
        info!("{service}/{backend} is {state}{separator}{reason}");
    }
    agent.states[index] = state;
}
