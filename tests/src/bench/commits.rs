//! How long a change takes from the manager's word to the packets' way: a real
//! edge on a veth, and services whose rings have 65,537 slots.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
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
/// Services of a hundred servers each; the last one has all.
const SERVICES: u16 = 10;
const LARGE: u16 = SERVICES;
const SERVERS: u16 = 1000;
/// Between two commits. An operator's commands come no faster, and a script's
/// may: the wait for a grace period would be part of it.
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);

/// What is changed.
pub(super) const CHANGES: [&str; 7] = [
    "one weight of 100",
    "100 weights of 100",
    "100 weights, 10 services of 100",
    "100 adds and removes, 10 services of 100",
    "one weight of 1000",
    "one add or remove of 1000",
    "a share that is refused",
];

/// Measures these in this thread's network namespace, on the interface `uplink`.
pub(super) fn measure(changes: &[&'static str]) -> Result<Vec<Commit>> {
    introduce_servers()?;
    with_pins(|settings, _| {
        Runtime::new()?.block_on(with_edge(&settings, async |manager| {
            for number in 0..=LARGE {
                let mut everything = vec![Change::PutService(service(number)?)];
                let servers = if number == LARGE { SERVERS } else { 100 };
                everything.extend((0..servers).map(|server| bind(number, server, 100)));
                manager.commit(everything).await?;
            }
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
pub(super) fn introduce_servers() -> Result<()> {
    let mut batch = "address add 10.9.0.1/16 dev uplink\n".to_owned();
    for ip in (0..SERVERS).map(ip) {
        batch += &format!("neighbour add {ip} lladdr 02:00:00:00:00:02 dev uplink nud permanent\n");
    }
    let mut command = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn()?;
    command.stdin.take().context("a pipe")?.write_all(batch.as_bytes())?;
    ensure!(command.wait()?.success(), "`ip -batch` failed");
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
    /// Hears what the edge says for a while, and says nothing.
    pub(super) async fn listen(&mut self, time: Duration) -> Result<()> {
        let heard = async { while self.answers.recv().await.is_some() {} };
        ensure!(timeout(time, heard).await.is_err(), "the edge is gone");
        Ok(())
    }

    /// From the command to the answer that it is live.
    pub(super) async fn commit(&mut self, changes: Vec<Change>) -> Result<Duration> {
        self.sequence += 1;
        let stamp = Stamp { term: 1, sequence: self.sequence };
        let begun = Instant::now();
        self.commands.send(ToSwitch::Apply(Delta { stamp, changes: changes.into() })).await?;
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
    let weight = |server: u16| 50 + (n as u16 + server) % 3;
    let weigh = |service: u16, server: u16| bind(service, server, weight(server));
    let even = n.is_multiple_of(2);
    match change {
        "one weight of 100" => vec![weigh(0, 7)],
        "100 weights of 100" => (0..100).map(|server| weigh(0, server)).collect(),
        "100 weights, 10 services of 100" => {
            let some = |service| (0..10).map(move |server| weigh(service, 10 * service + server));
            (0..SERVICES).flat_map(some).collect()
        }
        // Five of the first ten come, and the five that came before go.
        "100 adds and removes, 10 services of 100" => {
            let turn = |service, server| {
                if (server < 5) == even {
                    unbind(service, server)
                } else {
                    bind(service, server, 100)
                }
            };
            (0..SERVICES).flat_map(|service| (0..10).map(move |s| turn(service, s))).collect()
        }
        "one weight of 1000" => vec![weigh(LARGE, 7)],
        "one add or remove of 1000" if even => vec![unbind(LARGE, 7)],
        "one add or remove of 1000" => vec![bind(LARGE, 7, 100)],
        _ => vec![refuse(n)],
    }
}

fn name(service: u16) -> Name {
    format!("www-{service}").parse().expect("a valid name")
}

fn service(number: u16) -> Result<ServiceSpec> {
    let vip = format!("203.0.113.10:{}", port(number)).parse::<Vip>()?;
    Ok(ServiceSpec::tcp(name(number), vip, Mode::L2))
}

fn port(service: u16) -> u16 {
    80 + service
}

pub(super) fn ip(server: u16) -> Ipv4Addr {
    let [high, low] = server.to_be_bytes();
    Ipv4Addr::new(10, 9, 1 + high, low)
}

fn key(service: u16, server: u16) -> BindingKey {
    let backend = SocketAddr::from((ip(server), port(service)));
    BindingKey { service: name(service), backend }
}

fn bind(service: u16, server: u16, weight: u16) -> Change {
    Change::PutBinding(key(service, server), Binding::new(weight, Phase::Serve))
}

fn unbind(service: u16, server: u16) -> Change {
    Change::DeleteBinding(key(service, server))
}

fn refuse(n: u32) -> Change {
    let refuse = Share::from_ppm(100_000 + n).expect("a share");
    Change::PutPolicy {
        service: name(0),
        class: DEFAULT_CLASS.parse().expect("a valid name"),
        policy: Policy { refuse, ..Default::default() },
    }
}
