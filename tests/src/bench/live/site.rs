//! A manager, a real edge and an agent.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lb_control::{
    config::{self, EdgeSettings},
    edge::{Edge, remote},
    manager,
    model::{
        AgentBinding, AgentHello, Application, BackendReport, Binding, BindingKey, FromAgent,
        Heartbeat, Phase,
    },
    proto::v1::{WeightRequest, agents_client::AgentsClient, control_client::ControlClient},
    transport,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    sync::mpsc,
    task::JoinSet,
    time::{interval, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::{
    Where,
    tap::{self, Lives, Tap},
};
use crate::{
    Process,
    bench::{commits::ip, roles},
};

const TARGET: &str = "127.0.0.1:7400";
const BOTH_CORES: &str = "0-1";
/// Servers of the service. The last is the agent's that is told events, the first
/// the one that operators weigh.
const SERVERS: u16 = 100;
const AGENTS: u16 = SERVERS - 1;
const OPERATORS: u16 = 0;
/// Between two heartbeats of the agent that binds the others.
const BEAT: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(10);
const QUEUE: usize = 64;

pub(super) struct Site {
    lives: Lives,
    control: ControlClient<Channel>,
    /// To the agent.
    socket: BufReader<UnixStream>,
}

impl Site {
    /// Runs all of them, and `work` among them.
    pub(super) async fn run<T>(
        at: Where,
        directory: &Path,
        edge: EdgeSettings,
        work: impl AsyncFnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let (config, socket) = configure(directory)?;
        let (tap, mut lives) = tap::tap();
        let stop = CancellationToken::new();
        let mut parts = JoinSet::new();
        let _manager = start(at, &config, edge, tap, &stop, &mut parts)?;
        let begun = Instant::now();
        let control = loop {
            match transport::connect(TARGET, None).await {
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => sleep(Duration::from_millis(20)).await,
                Ok(channel) => break ControlClient::new(channel),
            }
        };
        parts.spawn({
            let stop = stop.clone();
            async move { stop.run_until_cancelled(others()).await.unwrap_or(Ok(())) }
        });
        let args = ["agent", "--config", &config.display().to_string()];
        let agent = roles::sluice(BOTH_CORES, &args, &directory.join("agent.log"))?;
        let serves = |binding: &Binding| binding.phase == Phase::Serve;
        lives.next(&key(OPERATORS), serves).await?;
        let live = lives.next(&key(AGENTS), serves).await;
        live.with_context(|| format!("the agent's last words:\n{}", agent.log_tail()))?;
        let socket = BufReader::new(UnixStream::connect(socket).await?);
        let mut site = Self { lives, control, socket };
        let done = work(&mut site).await;
        drop((site, agent));
        stop.cancel();
        while let Some(part) = parts.join_next().await {
            part??;
        }
        done
    }

    /// An application tells its agent.
    pub(super) async fn notify(
        &mut self,
        line: &str,
        is_so: impl Fn(&Binding) -> bool,
    ) -> Result<Duration> {
        let begun = Instant::now();
        self.socket.write_all(format!("{line}\n").as_bytes()).await?;
        let live = self.lives.next(&key(AGENTS), is_so).await?;
        let mut answer = String::new();
        self.socket.read_line(&mut answer).await?;
        ensure!(answer.starts_with("ok"), "the agent answers `{line}` by `{answer}`");
        Ok(live - begun)
    }

    /// An operator sets a weight. Its answer also waits for the disk, and is not
    /// what is measured.
    pub(super) async fn weigh(
        &mut self,
        weight: u16,
        is_so: impl Fn(&Binding) -> bool,
    ) -> Result<Duration> {
        let BindingKey { service, backend } = key(OPERATORS);
        let (service, backend) = (service.to_string(), backend.to_string());
        let begun = Instant::now();
        self.control.set_weight(WeightRequest { service, backend, weight: weight.into() }).await?;
        let live = self.lives.next(&key(OPERATORS), is_so).await?;
        Ok(live - begun)
    }
}

/// An agent that binds all servers but the last, and says that they are well.
async fn others() -> Result<()> {
    let (to_manager, messages) = mpsc::channel(QUEUE);
    let keys = || (0..AGENTS).map(key);
    let bind = |key| AgentBinding { key, weight: 100, server_id: None };
    let binds = keys().map(bind).collect();
    let hello = AgentHello { name: "others".parse()?, boot: 1, binds, interval: BEAT };
    to_manager.send(FromAgent::Hello(hello).into()).await?;
    let mut agents = AgentsClient::new(transport::connect(TARGET, None).await?);
    let mut replies = agents.session(ReceiverStream::new(messages)).await?.into_inner();
    let mut beats = interval(BEAT);
    let mut sequence = 0;
    loop {
        tokio::select! {
            reply = replies.message() => ensure!(reply?.is_some(), "the manager ended a session"),
            _ = beats.tick() => {
                sequence += 1;
                let report = |key| BackendReport {
                    key,
                    health: Ok(()),
                    connections: 3,
                    load: 0.1,
                    application: Application::default(),
                };
                let reports = keys().map(report).collect();
                to_manager.send(FromAgent::Heartbeat(Heartbeat { sequence, reports }).into()).await?;
            }
        }
    }
}

/// Starts manager and edge: in this process, or the manager in its own.
fn start(
    at: Where,
    config: &Path,
    edge: EdgeSettings,
    tap: Tap,
    stop: &CancellationToken,
    parts: &mut JoinSet<Result<()>>,
) -> Result<Option<Process>> {
    let name = edge.name.clone();
    let edge = Edge::open(&edge)?;
    parts.spawn({
        let (edge, stop) = (edge.clone(), stop.clone());
        async move { edge.maintain(stop).await }
    });
    match at {
        Where::OneProcess => {
            let settings = config::load(config)?;
            let (to_manager, from_edge) = mpsc::channel(QUEUE);
            let (to_edge, from_manager) = mpsc::channel(QUEUE);
            let (to_manager, from_manager) = tap::between(tap, to_manager, from_manager);
            parts.spawn(async move { edge.session(to_manager, from_manager).await });
            parts.spawn(manager::run(settings, Some((from_edge, to_edge)), stop.clone()));
            Ok(None)
        }
        Where::OverTcp => {
            let args = ["manager", "--config", &config.display().to_string()];
            let process = roles::sluice(BOTH_CORES, &args, &config.with_extension("log"))?;
            let session = move |to_manager, from_manager| {
                let (edge, tap) = (edge.clone(), tap.clone());
                let (to_manager, from_manager) = tap::between(tap, to_manager, from_manager);
                async move { edge.session(to_manager, from_manager).await }
            };
            let stop = stop.clone();
            parts.spawn(async move { remote::run(name, TARGET, None, session, stop).await });
            Ok(Some(process))
        }
    }
}

/// Writes a configuration: where it is, and the socket for an application.
fn configure(directory: &Path) -> Result<(PathBuf, PathBuf)> {
    let (config, socket) = (directory.join("sluice.toml"), directory.join("notify.sock"));
    let text = format!(
        r#"
        [manager]
        listen = "{TARGET}"
        socket = "{directory}/sluice.sock"
        intent = "{directory}/intent.json"
        learning = "100ms"
        missed_heartbeats = 40
        flap_damping = {{ losses = 0 }}

        [agent]
        manager = "{TARGET}"
        notify = {{ socket = "{socket}", systemd_socket = "{directory}/systemd.sock" }}
        bind = [{{ service = "www", address = "{agent}", check = {{ command = ["/bin/true"] }} }}]

        [[service]]
        name = "www"
        address = "203.0.113.10:80"
        mode = "l2"
        health = {{ probe = "none" }}
        "#,
        directory = directory.display(),
        socket = socket.display(),
        agent = key(AGENTS).backend,
    );
    fs::write(&config, text)?;
    Ok((config, socket))
}

fn key(server: u16) -> BindingKey {
    let service = "www".parse().expect("a valid name");
    BindingKey { service, backend: SocketAddr::from((ip(server), 80)) }
}
