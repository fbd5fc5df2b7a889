//! Agents without servers: each has a connection and a session of its own, as
//! `sluice agent` has, and says that all is well.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use lb_control::{
    model::{
        AgentBinding, AgentHello, Application, BackendReport, BindingKey, FromAgent, Heartbeat,
    },
    proto::v1::agents_client::AgentsClient,
    transport,
};
use tokio::{
    runtime::Builder,
    select,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_stream::wrappers::ReceiverStream;

use super::{BEAT, PROMISE, SERVICES};

/// Between two agents' starts. With less, this side of all connections takes so
/// much of its core that heartbeats are late.
const APART: Duration = Duration::from_millis(1);
/// Agents hold addresses from here on.
const FIRST: u32 = u32::from_be_bytes([10, 64, 0, 0]);

/// What an agent binds, by its number.
pub(super) fn key(number: u32) -> BindingKey {
    let service = format!("www-{}", number % SERVICES).parse().expect("a valid name");
    BindingKey { service, backend: (Ipv4Addr::from(FIRST + number), 80).into() }
}

/// The number of an agent that binds this.
pub(super) fn number(key: &BindingKey) -> Option<u32> {
    match key.backend.ip() {
        IpAddr::V4(ip) => u32::from(ip).checked_sub(FIRST),
        IpAddr::V6(_) => None,
    }
}

/// How long an agent that has lost its session waits before the next.
const AGAIN: Duration = Duration::from_millis(100);

/// Sessions that were lost.
pub(super) type Lost = Arc<AtomicUsize>;

/// A process of `FIRST COUNT TARGET`: agents that go on until it is ended.
pub(in crate::bench) fn alone(mut args: impl Iterator<Item = String>) -> Result<()> {
    let mut arg = |what: &str| args.next().with_context(|| format!("no {what}"));
    let (first, count, target) = (arg("first")?.parse()?, arg("count")?.parse()?, arg("target")?);
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        start(first, count, &target, &Lost::default()).join_all().await;
        Ok(())
    })
}

/// Starts agents. None of them ever ends.
pub(super) fn start(first: u32, count: u32, target: &str, lost: &Lost) -> JoinSet<()> {
    let mut agents = JoinSet::new();
    for index in 0..count {
        let (number, target, lost) = (first + index, target.to_owned(), Arc::clone(lost));
        agents.spawn(async move {
            sleep(APART * index).await;
            for boot in 1.. {
                if let Err(error) = session(number, boot, &target).await {
                    eprintln!("agent {number}: {error:#}");
                }
                lost.fetch_add(1, Ordering::Relaxed);
                sleep(AGAIN).await;
            }
        });
    }
    agents
}

async fn session(number: u32, boot: u64, target: &str) -> Result<()> {
    let channel = transport::connect(target, None).await?;
    let (to_manager, messages) = mpsc::channel(8);
    let hello = AgentHello {
        name: format!("agent-{number}").parse()?,
        boot,
        binds: vec![AgentBinding { key: key(number), weight: 100, server_id: None }],
        interval: PROMISE,
    };
    to_manager.send(FromAgent::Hello(hello).into()).await?;
    to_manager.send(beat(number, 1)).await?;
    let replies = AgentsClient::new(channel).session(ReceiverStream::new(messages)).await?;
    let mut replies = replies.into_inner();
    let mut beats = interval_at(Instant::now() + BEAT, BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sequence = 1;
    loop {
        select! {
            reply = replies.message() => {
                ensure!(reply?.is_some(), "the manager ended the session");
            }
            _ = beats.tick() => {
                sequence += 1;
                if to_manager.try_send(beat(number, sequence)).is_err() {
                    bail!("the manager does not read heartbeat {sequence}");
                }
            }
        }
    }
}

fn beat(number: u32, sequence: u64) -> lb_control::proto::v1::AgentMessage {
    let report = BackendReport {
        key: key(number),
        health: Ok(()),
        connections: 3,
        load: 0.1,
        application: Application::default(),
    };
    FromAgent::Heartbeat(Heartbeat { sequence, reports: vec![report] }).into()
}
