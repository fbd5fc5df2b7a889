//! Beside an application server: binds it to its services, checks it, and
//! heartbeats for it.

mod check;
mod connections;
mod leave;
pub(crate) mod notify;
mod pulse;
mod session;
mod word;

use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use lb_common::abi::decap::Reason;
use tokio::{
    select,
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(crate) use self::check::check_once;
use self::{
    connections::{Census, Meant},
    leave::{BindState, Leave},
    notify::Notes,
    pulse::Pulse,
    word::Word,
};
use crate::{
    config::{AgentBind, AgentSettings, TlsSettings},
    decap::Decap,
    model::{CLOSE_WITHIN, Name, ServerEnd},
    transport::{self, Backoff},
};

/// Runs an agent until `shutdown`, then leaves: tells the manager, and keeps
/// heartbeating until its bindings are gone, no connection is left, or the
/// settings' `leave_deadline` has passed. A manager that cannot be reached is
/// tried again for ever.
///
/// # Errors
/// Only what no trying again would mend: no usable name, certificates that
/// cannot be read, a kernel that does not tell its connections.
pub async fn run(
    settings: &AgentSettings,
    tls: Option<&TlsSettings>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut agent = Agent::new(settings)?;
    if let Some(tls) = tls {
        transport::check_files(tls)?;
    }
    agent.observe().await?;
    let decap = match &settings.decap {
        Some(decap) => Some(Decap::open(decap, &agent.servers()).await?),
        None => None,
    };
    let outcome = serve(&mut agent, decap, tls, shutdown).await;
    info!("left");
    outcome
}

/// Keeps sessions with the manager, and the tunnels' addresses current.
async fn serve(
    agent: &mut Agent,
    mut decap: Option<Decap>,
    tls: Option<&TlsSettings>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let watch = async {
        match &mut decap {
            Some(decap) => watch_decap(decap).await,
            None => std::future::pending().await,
        }
    };
    select! {
        result = sessions(agent, tls, &shutdown) => result?,
        () = watch => {}
    }
    // Nobody is steered here any more.
    decap.map_or(Ok(()), Decap::close)
}

/// How often the host's addresses are looked at, and drops are told of.
const WATCH: Duration = Duration::from_secs(1);

/// Follows the host's VIPs, and tells when tunnelled packets are dropped.
async fn watch_decap(decap: &mut Decap) {
    let mut told: BTreeMap<&'static str, u64> = BTreeMap::new();
    loop {
        sleep(WATCH).await;
        if let Err(error) = decap.refresh().await {
            warn!("{error:#}");
        }
        for (reason, count) in decap.counters().unwrap_or_default() {
            let before = told.insert(reason.name(), count);
            let drops = !matches!(reason, Reason::NotTunnelled | Reason::Decapsulated);
            if drops && count > before.unwrap_or_default() {
                warn!("{count} tunnelled packets were dropped so far, reason {}", reason.name());
            }
        }
    }
}

async fn sessions(
    agent: &mut Agent,
    tls: Option<&TlsSettings>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::new();
    loop {
        match session::run(agent, tls, shutdown).await {
            Ok(()) => break,
            Err(error) => warn!("{error:#}; trying again"),
        }
        if std::mem::take(&mut agent.welcomed) {
            backoff.reset();
        }
        select! {
            () = sleep(backoff.next_wait()) => {}
            () = shutdown.cancelled(), if agent.leave.is_none() => agent.begin_leave(),
        }
        if agent.leave.is_some() {
            let connections = agent.observe().await?;
            if agent.may_go(connections, true) {
                break;
            }
        }
    }
    Ok(())
}

/// What outlives a session with the manager.
struct Agent {
    name: Name,
    /// Random for each start.
    boot_id: u64,
    settings: AgentSettings,
    /// What the manager last said of each bind, in the settings' order.
    states: Vec<BindState>,
    /// The last words of checks and applications, in the settings' order.
    words: watch::Receiver<Vec<Word>>,
    /// A manager hears it.
    heard: Arc<AtomicBool>,
    /// Where each bind's connections end, as the manager last said, in the
    /// settings' order.
    ends: Vec<Option<ServerEnd>>,
    /// Connections of each bind, as last counted.
    census: Census,
    /// Why connections cannot be closed was said already.
    cannot_close: bool,
    pulse: Pulse,
    /// Of the last heartbeat.
    sequence: u64,
    /// The manager has answered since this was last looked at.
    welcomed: bool,
    leave: Option<Leave>,
    /// Checks and sockets; they end with the agent.
    _tasks: JoinSet<()>,
}

impl Agent {
    fn new(settings: &AgentSettings) -> anyhow::Result<Self> {
        let name = match &settings.name {
            Some(name) => name.clone(),
            None => host_name()?,
        };
        let awaits = settings.notify.as_ref().is_some_and(|notify| notify.await_ready);
        let word = if awaits { Word::awaiting() } else { Word::default() };
        let (to_words, words) = watch::channel(vec![word; settings.binds.len()]);
        let heard = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let notes = Notes::new(&settings.binds, to_words.clone(), Arc::clone(&heard));
        notify::serve(settings.notify.as_ref(), &notes, &mut tasks)?;
        for (index, bind) in settings.binds.iter().enumerate() {
            tasks.spawn(check::run(bind.clone(), index, to_words.clone()));
        }
        Ok(Self {
            name,
            boot_id: fastrand::u64(1..),
            settings: settings.clone(),
            states: vec![BindState::default(); settings.binds.len()],
            words,
            heard,
            ends: vec![None; settings.binds.len()],
            census: Census::default(),
            cannot_close: false,
            pulse: Pulse::new(CLOSE_WITHIN),
            sequence: 0,
            welcomed: false,
            leave: None,
            _tasks: tasks,
        })
    }

    /// Counts the connections of every bind; returns how many there are.
    async fn observe(&mut self) -> anyhow::Result<u64> {
        let meant = |(bind, end): (&AgentBind, &Option<ServerEnd>)| match end {
            Some(end) => Meant::End(end.clone()),
            None => Meant::Port(bind.address.port()),
        };
        let meant: Vec<_> = self.settings.binds.iter().zip(&self.ends).map(meant).collect();
        self.census = spawn_blocking(move || connections::count(&meant)).await?.context(
            "the kernel does not tell how many connections it holds: \
                 load its modules inet_diag and tcp_diag",
        )?;
        Ok(self.census.all)
    }

    /// Closes the server's side of connections that the switches break, unless
    /// that moment comes first; says how many.
    async fn close(&mut self, end: ServerEnd, until: Instant) -> anyhow::Result<u64> {
        if !self.settings.close {
            return Ok(0);
        }
        let error = match spawn_blocking(move || connections::close(&end, until)).await? {
            Ok(closed) => return Ok(closed),
            Err(error) => error,
        };
        if !std::mem::replace(&mut self.cannot_close, true) {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => "give the agent CAP_NET_ADMIN",
                io::ErrorKind::Unsupported => "its kernel has no CONFIG_INET_DIAG_DESTROY",
                _ => "it will be tried again",
            };
            warn!(
                "connections that the switches break stay open on this server until it notices \
                 itself: {error}: {remedy} (or set `close = false` in [agent])"
            );
        }
        Ok(0)
    }

    /// The addresses that packets for this server are sent to.
    fn servers(&self) -> Vec<IpAddr> {
        self.settings.binds.iter().map(|bind| bind.address.ip()).collect()
    }

    fn index_of(&self, service: &str, backend: &str) -> Option<usize> {
        let backend: SocketAddr = backend.parse().ok()?;
        let same = |bind: &AgentBind| bind.service.as_str() == service && bind.address == backend;
        self.settings.binds.iter().position(same)
    }

    fn begin_leave(&mut self) {
        let deadline = self.settings.leave_deadline;
        info!(
            "leaving: no new connections from now on; waiting up to {} for {} connection(s) to end",
            humantime::format_duration(deadline),
            self.census.all
        );
        self.leave = Some(Leave::new(deadline));
    }

    /// Whether an agent that leaves may end now. `unheard`: no manager hears
    /// it, so that no answer is waited for.
    fn may_go(&mut self, connections: u64, unheard: bool) -> bool {
        self.leave.as_mut().is_some_and(|leave| leave.may_go(&self.states, connections, unheard))
    }
}

/// The host's name as an agent's: host names may have upper case.
fn host_name() -> anyhow::Result<Name> {
    let file = "/proc/sys/kernel/hostname";
    let name = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    name.trim()
        .to_lowercase()
        .parse()
        .context("the host's name is none for an agent: set agent.name")
}

#[cfg(test)]
mod tests;
