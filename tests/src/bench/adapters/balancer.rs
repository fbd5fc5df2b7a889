//! DFP: a balancer that connects and is told weights. A change is over when it has
//! heard it, and a balancer that has begun anew is told all when it connects.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use lb_control::dfp::{Message, Messages};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    runtime::Builder,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_stream::StreamExt as _;
use tokio_util::codec::FramedRead;

use super::{
    Took, binds,
    trial::{SERVERS, Trial, WEIGHT, changes, repeat},
};
use crate::bench::commits::ip;

/// In a network namespace of its own.
const LISTEN: &str = "127.0.0.1:8080";
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn measure() -> Result<Took> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut trial = Trial::new("dfp", Balancer::options())?;
        let (held, balancer) = tokio::join!(trial.read(), Balancer::connect());
        held?;
        let mut balancer = balancer?;
        trial.apply(binds(SERVERS, WEIGHT)).await?;
        balancer.hears(SERVERS, WEIGHT).await?;
        let refill = repeat(async || {
            let begun = Instant::now();
            balancer = Balancer::connect().await?;
            balancer.hears(SERVERS, WEIGHT).await?;
            Ok(begun.elapsed())
        })
        .await?;
        let changes = changes(async |servers, weight| {
            let begun = Instant::now();
            trial.apply(binds(servers, weight)).await?;
            balancer.hears(servers, weight).await?;
            Ok(begun.elapsed())
        })
        .await?;
        Ok(Took { changes, refill })
    })
}

/// By server.
pub(super) type Weights = BTreeMap<Ipv4Addr, u16>;

/// What a balancer has heard in a connection, which ends with it.
pub(super) struct Balancer {
    heard: watch::Receiver<Weights>,
    _task: JoinSet<()>,
}

impl Balancer {
    /// Of the manager that it connects to.
    pub(super) fn options() -> Value {
        json!({ "listen": LISTEN })
    }

    /// As soon as somebody listens.
    pub(super) async fn connect() -> Result<Self> {
        let begun = Instant::now();
        let stream = loop {
            match TcpStream::connect(LISTEN).await {
                Ok(stream) => break stream,
                Err(error) if begun.elapsed() > PATIENCE => return Err(error).context(LISTEN),
                Err(_) => sleep(Duration::from_millis(1)).await,
            }
        };
        let (tell, heard) = watch::channel(Weights::new());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut messages = FramedRead::new(stream, Messages);
            while let Some(Ok(message)) = messages.next().await {
                let Message::PreferenceInformation(loads) = message else { continue };
                let wants = loads.iter().flat_map(|load| &load.preferences);
                tell.send_modify(|heard| {
                    heard.extend(wants.map(|want| (want.server, want.weight)))
                });
            }
        });
        Ok(Self { heard, _task: task })
    }

    /// Waits until it knows that the first servers have this weight.
    async fn hears(&mut self, servers: u16, weight: u16) -> Result<()> {
        self.hears_all(&(0..servers).map(|server| (ip(server), weight)).collect()).await?;
        Ok(())
    }

    /// Waits until it knows these weights, and tells all that it knows.
    pub(super) async fn hears_all(&mut self, wanted: &Weights) -> Result<Weights> {
        let all = |heard: &Weights| {
            wanted.iter().all(|(server, weight)| heard.get(server) == Some(weight))
        };
        let heard = timeout(PATIENCE, self.heard.wait_for(all)).await;
        let heard = heard.context("the balancer is not told all")?;
        Ok(heard.context("the connection has ended")?.clone())
    }
}
