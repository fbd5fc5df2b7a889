//! How long a change takes from the manager's word to the packets' way: a real
//! edge on a veth, a hundred servers, a ring of 65,537 slots.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use lb_control::{
    config::EdgeSettings,
    edge::Edge,
    model::{
        Binding, BindingKey, Change, DEFAULT_CLASS, Delta, FromSwitch, Mode, Name, Phase, Policy,
        ServiceSpec, Share, Stamp, ToSwitch, Vip,
    },
};
use nix::{
    mount::{MsFlags, mount, umount},
    sched::{CloneFlags, unshare},
};
use serde_json::json;
use tokio::{runtime::Runtime, sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::report::Commit;

/// Commits of each kind.
const COMMITS: u32 = 200;
const SERVERS: u8 = 100;
/// Between two commits. An operator's commands come no faster, and a script's
/// may: the wait for a grace period would be part of it.
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);

/// What is changed.
pub(super) const CHANGES: [&str; 3] =
    ["one weight of 100", "100 weights of 100", "a share that is refused"];

/// Measures these in this thread's network namespace, on the interface `uplink`.
pub(super) fn measure(changes: &[&'static str]) -> Result<Vec<Commit>> {
    introduce_servers()?;
    with_pins(|settings, _| {
        Runtime::new()?.block_on(with_edge(&settings, async |manager| {
            let mut everything = vec![Change::PutService(service()?)];
            everything.extend((1..=SERVERS).map(|n| bind(n, 100)));
            manager.commit(everything).await?;
            let mut commits = Vec::new();
            for &change in changes {
                commits.push(manager.repeat(change).await?);
            }
            Ok(commits)
        }))
    })
}

/// Runs `work` with a bpffs of this thread's own: an edge's settings, and where
/// it pins.
pub(super) fn with_pins<T>(work: impl FnOnce(EdgeSettings, &Path) -> Result<T>) -> Result<T> {
    // A mount namespace of its own, so that what is pinned goes away with it.
    unshare(CloneFlags::CLONE_NEWNS).context("making a mount namespace; this needs root")?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let directory = tempfile::tempdir()?;
    let pins = directory.path().join("bpf");
    fs::create_dir(&pins)?;
    mount(Some("bpf"), &pins, Some("bpf"), MsFlags::empty(), none).context("mounting a bpffs")?;
    let settings = serde_json::from_value(json!({
        "interfaces": ["uplink"],
        "pin": pins.join("sluice"),
        "flow_key": directory.path().join("flow.key"),
    }))?;
    let done = work(settings, &pins);
    // Without this the directory could not be removed.
    umount(&pins)?;
    done
}

/// Gives every server an Ethernet address: nobody is there to answer for them,
/// and an edge waits a while for a new server's.
fn introduce_servers() -> Result<()> {
    for server in (1..=SERVERS).map(address) {
        let status = Command::new("ip")
            .args(["neighbour", "add", &server.ip().to_string()])
            .args(["lladdr", "02:00:00:00:00:02", "dev", "uplink", "nud", "permanent"])
            .status()?;
        ensure!(status.success(), "`ip neighbour add {}` failed", server.ip());
    }
    Ok(())
}

/// Runs a real edge, with `work` as its manager.
pub(super) async fn with_edge<T>(
    settings: &EdgeSettings,
    work: impl AsyncFnOnce(&mut Manager) -> Result<T>,
) -> Result<T> {
    let edge = Edge::open(settings)?;
    let shutdown = CancellationToken::new();
    let maintained = tokio::spawn({
        let (edge, shutdown) = (edge.clone(), shutdown.clone());
        async move { edge.maintain(shutdown).await }
    });
    let (to_manager, answers) = mpsc::channel(16);
    let (commands, from_manager) = mpsc::channel(16);
    let serving = tokio::spawn(async move { edge.session(to_manager, from_manager).await });
    let mut manager = Manager { commands, answers, sequence: 0 };
    let done = work(&mut manager).await;
    drop(manager);
    serving.await??;
    shutdown.cancel();
    maintained.await??;
    done
}

/// The other side of the edge's session.
pub(super) struct Manager {
    commands: mpsc::Sender<ToSwitch>,
    answers: mpsc::Receiver<FromSwitch>,
    sequence: u64,
}

impl Manager {
    /// From the command to the answer that it is live.
    pub(super) async fn commit(&mut self, changes: Vec<Change>) -> Result<Duration> {
        self.sequence += 1;
        let stamp = Stamp { term: 1, sequence: self.sequence };
        let begun = Instant::now();
        self.commands.send(ToSwitch::Apply(Delta { stamp, changes })).await?;
        loop {
            let answer = timeout(PATIENCE, self.answers.recv()).await;
            match answer.context("the edge does not answer")?.context("the edge is gone")? {
                FromSwitch::Applied { stamp: applied, .. } if applied == stamp => {
                    return Ok(begun.elapsed());
                }
                FromSwitch::Refused { reason, .. } => bail!("the edge refused a delta: {reason}"),
                _ => {}
            }
        }
    }

    async fn repeat(&mut self, change: &str) -> Result<Commit> {
        let mut times = Vec::new();
        for n in 0..COMMITS {
            tokio::time::sleep(PAUSE).await;
            times.push(self.commit(changes(change, n)).await?);
        }
        times.sort();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        Ok(Commit { change: change.into(), p50: at(50), p99: at(99) })
    }
}

/// The changes of one commit, each time others.
fn changes(change: &str, n: u32) -> Vec<Change> {
    let weight = |server: u8| 50 + (n as u16 + u16::from(server)) % 3;
    match change {
        "one weight of 100" => vec![bind(7, weight(7))],
        "100 weights of 100" => (1..=SERVERS).map(|server| bind(server, weight(server))).collect(),
        _ => vec![refuse(n)],
    }
}

fn name() -> Result<Name> {
    Ok("www".parse()?)
}

fn service() -> Result<ServiceSpec> {
    Ok(ServiceSpec::tcp(name()?, "203.0.113.10:80".parse::<Vip>()?, Mode::L2))
}

fn address(server: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, 100 + server), 80))
}

fn bind(server: u8, weight: u16) -> Change {
    let (service, backend) = (name().expect("a valid name"), address(server));
    Change::PutBinding(BindingKey { service, backend }, Binding { weight, phase: Phase::Serve })
}

fn refuse(n: u32) -> Change {
    let refuse = Share::from_ppm(100_000 + n).expect("a share");
    Change::PutPolicy {
        service: name().expect("a valid name"),
        class: DEFAULT_CLASS.parse().expect("a valid name"),
        policy: Policy { refuse, ..Default::default() },
    }
}
