//! The manager, its agents and its edges, and what happens to them.

use std::{
    fs,
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use lb_control::{
    proto::v1::{WeightRequest, control_client::ControlClient},
    transport,
};
use nix::sys::signal::Signal;
use tokio::{select, task::JoinSet, time::sleep};
use tonic::transport::Channel;

use super::{
    AGENTS, BEAT, EDGES, MANAGER_CORE, OTHERS_CORE, SERVICES, Seen, VICTIMS, agents,
    agents::Lost,
    edges::{self, Counting, Edge},
};
use crate::{
    Process,
    bench::{
        report::Percentiles,
        roles,
        usage::{Usage, memory},
    },
};

const TARGET: &str = "127.0.0.1:7400";
/// How long the state at rest is watched.
const REST: Duration = Duration::from_secs(10);
/// Edges that then report counters, as all real ones do: for more, the core that
/// they share with the agents would be too slow.
const COUNTING: usize = 10;
/// Changes that go to all edges, and what is between two.
const CHANGES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(20);
/// How often agents die, by turns in both ways.
const DEATHS: u32 = 4;
/// How long the edges may take to know.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Site<'a> {
    directory: &'a Path,
    manager: Process,
    /// Those that live on, and how many sessions of theirs were lost.
    _agents: JoinSet<()>,
    lost: Lost,
    edges: Vec<Edge>,
    /// Their sessions.
    wires: JoinSet<Result<()>>,
    counting: Counting,
}

impl<'a> Site<'a> {
    pub(super) async fn measure(directory: &'a Path) -> Result<Seen> {
        let config = directory.join("sluice.toml");
        fs::write(&config, configuration(directory))?;
        let args = ["manager", "--config", &config.display().to_string()];
        let manager = roles::sluice(MANAGER_CORE, &args, &directory.join("manager.log"))?;
        reach().await?;
        let begun = Instant::now();
        let counting = Counting::default();
        let (edges, wires) = edges::start(EDGES, TARGET, &counting)?;
        let lost = Lost::default();
        let _agents = agents::start(0, AGENTS - VICTIMS, TARGET, &lost);
        let mut site = Self { directory, manager, _agents, lost, edges, wires, counting };
        site.watch(begun).await
    }

    async fn watch(&mut self, begun: Instant) -> Result<Seen> {
        let victims = self.victims(0).await?;
        let filled = begun.elapsed();
        tell(&format!("filled after {filled:.1?}"));
        let process = self.manager.pid();
        // While they connect, this side has little time for heartbeats.
        self.lost.store(0, Ordering::Relaxed);
        let usage = Usage::from_now(process)?;
        self.pass(REST).await?;
        let ([cpu, waited], now) = (usage.share()?, memory(process, "VmRSS")?);
        let most = memory(process, "VmHWM")?;
        tell(&format!("at rest {cpu:.2} of a core, kept from it {waited:.2}; {} MiB", now >> 20));
        self.counting.store(COUNTING, Ordering::Relaxed);
        self.pass(BEAT).await?;
        let usage = Usage::from_now(process)?;
        self.pass(REST / 2).await?;
        let counters = (usage.share()?[0] - cpu) / COUNTING as f64;
        self.counting.store(0, Ordering::Relaxed);
        tell(&format!("an edge's counters {counters:.4} of a core"));
        let delta = Percentiles::of(self.changes().await?);
        tell(&format!("a change to all edges: {delta}"));
        let (mut killed, mut frozen) = (Vec::new(), Vec::new());
        killed.extend(self.death(0, victims, Signal::SIGKILL).await?);
        for round in 1..DEATHS {
            let victims = self.victims(round).await?;
            if round.is_multiple_of(2) {
                killed.extend(self.death(round, victims, Signal::SIGKILL).await?);
            } else {
                frozen.extend(self.death(round, victims, Signal::SIGSTOP).await?);
            }
        }
        let [killed, frozen] = [killed, frozen].map(Percentiles::of);
        let lost = self.lost.load(Ordering::Relaxed);
        Ok(Seen { lost, filled, cpu, waited, counters, memory: now, most, delta, killed, frozen })
    }

    /// Starts agents that are to die, and waits until all agents serve.
    async fn victims(&mut self, round: u32) -> Result<Process> {
        let first = (AGENTS + round * VICTIMS).to_string();
        let log = self.directory.join("agents.log");
        let args = [first.as_str(), &VICTIMS.to_string(), TARGET];
        let mut victims = roles::agents(OTHERS_CORE, &args, &log)?;
        let begun = Instant::now();
        while !self.edges.iter().all(|edge| edge.held().serving == AGENTS as usize) {
            victims.check_alive()?;
            self.pass(PAUSE).await?;
            if begun.elapsed() > PATIENCE {
                let serving = self.edges.iter().map(|edge| edge.held().serving);
                let (least, most) = (serving.clone().min(), serving.max());
                bail!("after {PATIENCE:?} edges have {least:?} to {most:?} of {AGENTS} agents");
            }
        }
        // Every agent's heartbeats go on as they will.
        self.pass(2 * BEAT).await?;
        Ok(victims)
    }

    /// Lets time pass, in which no edge may be lost.
    async fn pass(&mut self, time: Duration) -> Result<()> {
        select! {
            () = sleep(time) => {}
            ended = self.wires.join_next() => {
                ended.context("there are no edges")???;
                bail!("an edge has ended");
            }
        }
        self.manager.check_alive()?;
        let again = self.edges.iter().filter(|edge| edge.held().sessions > 1).count();
        ensure!(again == 0, "{again} edges lost their sessions");
        Ok(())
    }

    /// An operator's changes of weights: each until its last acknowledgement.
    async fn changes(&mut self) -> Result<Vec<Duration>> {
        // A connection that idles is given up where this side is slow to hear.
        let mut control = ControlClient::new(reach().await?);
        let mut times = Vec::new();
        for number in 0..CHANGES {
            self.pass(PAUSE).await?;
            let key = agents::key(number);
            let (service, backend) = (key.service.to_string(), key.backend.to_string());
            let request = WeightRequest { service, backend, weight: 50 };
            let reply = control.set_weight(request).await?.into_inner();
            let live = reply.switches.iter().filter(|switch| switch.live);
            ensure!(live.clone().count() == EDGES, "not every edge acknowledged: {reply:?}");
            let last = live.map(|switch| switch.live_after_nanos).max();
            times.push(Duration::from_nanos(last.unwrap_or_default()));
        }
        Ok(times)
    }

    /// The victims die: how long each edge did not know of each.
    async fn death(
        &mut self,
        round: u32,
        victims: Process,
        signal: Signal,
    ) -> Result<Vec<Duration>> {
        let usage = Usage::from_now(self.manager.pid())?;
        let deltas: usize = self.edges.iter().map(|edge| edge.held().deltas).sum();
        let begun = Instant::now();
        victims.signal(signal)?;
        let first = AGENTS + round * VICTIMS;
        let victims_of = first..first + VICTIMS;
        let knows = |edge: &Edge| {
            edge.held().gone_since(victims_of.clone(), begun).len() >= VICTIMS as usize
        };
        while !self.edges.iter().all(knows) {
            self.pass(PAUSE).await?;
            ensure!(begun.elapsed() < PATIENCE, "not every edge knows after {PATIENCE:?}");
        }
        let took = begun.elapsed();
        // Whoever is lost besides is lost by now.
        self.pass(2 * BEAT).await?;
        let mut times = Vec::new();
        for edge in &self.edges {
            let gone = edge.held().gone_since(victims_of.clone(), begun);
            ensure!(gone.len() == VICTIMS as usize, "{} of {VICTIMS} ceased to serve", gone.len());
            times.extend(gone);
        }
        let deltas = self.edges.iter().map(|edge| edge.held().deltas).sum::<usize>() - deltas;
        let [spent, waited] = usage.spent()?;
        tell(&format!(
            "{signal}: all know after {took:.1?}, by {deltas} deltas; {spent:.2} CPU seconds, kept \
             from the core for {waited:.2} s"
        ));
        victims.kill()?;
        Ok(times)
    }
}

/// A connection to the manager, once it listens.
async fn reach() -> Result<Channel> {
    let begun = Instant::now();
    loop {
        match transport::connect(TARGET, None).await {
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(PAUSE).await,
            channel => return channel,
        }
    }
}

fn configuration(directory: &Path) -> String {
    let directory = directory.display();
    let mut text = format!(
        r#"
        [manager]
        listen = "{TARGET}"
        socket = "{directory}/sluice.sock"
        intent = "{directory}/intent.json"
        learning = "1s"
        missed_heartbeats = 1
        flap_damping = {{ losses = 0 }}
        limits = {{ sessions_per_source = 20000 }}
        "#
    );
    for service in 0..SERVICES {
        text += &format!(
            r#"
            [[service]]
            name = "www-{service}"
            address = "203.0.113.{service}:80"
            mode = "ipip"
            health = {{ probe = "none" }}
            "#
        );
    }
    text
}

fn tell(what: &str) {
    eprintln!("{what}");
}
