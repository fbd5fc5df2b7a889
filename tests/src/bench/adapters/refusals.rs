//! How exactly a share of new connections is refused by switches that cannot refuse: they
//! get a drop server, with the weight that makes the share. Weights are whole numbers up to
//! the largest one of the device, so that a share may be off by a rounding; the rest is
//! how the device goes by its weights.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use lb_control::{
    drop_server::{self, Mode, Settings},
    model::{Change, DEFAULT_CLASS, Policy, Share, SwitchState},
    switch::Plan,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    SERVICE,
    balancer::{Balancer, Weights},
    binds, external, service,
    trial::{Trial, WEIGHT},
};
use crate::{
    bench::{Filter, commits::ip},
    command,
    packet::routed,
};

/// Percent.
const ASKED: [f64; 5] = [1.0, 5.0, 25.0, 50.0, 75.0];
/// For each of these.
const CONNECTIONS: usize = 4000;
/// Of them at once.
const CLIENTS: usize = 16;
/// Servers besides the drop server, alike in weight.
const SERVERS: u16 = 10;
/// Of one connection.
const PATIENCE: Duration = Duration::from_secs(10);

fn sink() -> SocketAddr {
    (ip(super::SERVERS), 80).into()
}

struct Case {
    name: &'static str,
    /// Whose connections are counted.
    clients: &'static str,
    measure: fn() -> Result<Vec<Refused>>,
}

static CASES: [Case; 3] = [
    Case { name: "haproxy", clients: "real connections", measure: haproxy },
    Case { name: "serveriron", clients: "connections of the simulation", measure: serveriron },
    Case { name: "dfp", clients: "weights that the balancer has heard", measure: dfp },
];

/// What became of one share.
struct Refused {
    asked: f64,
    /// Of the drop server, and of all.
    weights: (u32, u32),
    landed: usize,
}

/// One adapter.
pub(in crate::bench) struct Row {
    case: &'static Case,
    shares: Vec<Refused>,
}

/// Those that the filter takes.
pub(in crate::bench) fn measure(filter: &Filter) -> Result<Vec<Row>> {
    let cases = CASES.iter().filter(|case| filter.takes("refusals", case.name));
    let row = |case: &'static Case| {
        eprintln!("shares that are refused, {}", case.name);
        Ok(Row { case, shares: routed(case.measure).context(case.name)? })
    };
    cases.map(row).collect()
}

/// Asks for each share, and has `clients` say how many connections the drop server gets.
async fn shares(
    mut trial: Trial,
    mut clients: impl AsyncFnMut(&Plan) -> Result<usize>,
) -> Result<Vec<Refused>> {
    let mut state = SwitchState::default();
    let mut change = async |changes: Vec<Change>| {
        for change in &changes {
            state.apply(change)?;
        }
        trial.apply(changes).await?;
        anyhow::Ok(Plan::of(&state, trial.shape()).0)
    };
    change(vec![Change::PutService(service()?)]).await?;
    change(binds(SERVERS, WEIGHT)).await?;
    let mut all = Vec::new();
    for asked in ASKED {
        let plan = change(vec![refuse(asked)?]).await?;
        let landed = clients(&plan).await?;
        all.push(Refused { asked, weights: weights(&plan)?, landed });
    }
    Ok(all)
}

fn refuse(percent: f64) -> Result<Change> {
    let refuse = Share::from_percent(percent).context("no share")?;
    let (service, class) = (SERVICE.parse()?, DEFAULT_CLASS.parse()?);
    Ok(Change::PutPolicy { service, class, policy: Policy { refuse, ..Policy::default() } })
}

/// Of the drop server, and of all.
fn weights(plan: &Plan) -> Result<(u32, u32)> {
    let servers = &plan.services.values().next().context("no service")?.servers;
    let sunk = servers.get(&sink()).context("no drop server")?.weight;
    Ok((sunk, servers.values().map(|server| server.weight).sum()))
}

fn haproxy() -> Result<Vec<Refused>> {
    // All servers are here.
    command::run("ip", &["route", "add", "local", "10.9.0.0/16", "dev", "lo"])?.stdout()?;
    let directory = tempfile::tempdir()?;
    let (_haproxy, front, options) = external::with_haproxy(directory.path())?;
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut trial = Trial::with_drop_servers("haproxy", options, vec![sink()])?;
        let stop = CancellationToken::new();
        let settings = Settings { listen: vec![sink()], mode: Mode::Reset, metrics: None };
        let sunk = tokio::spawn({
            let stop = stop.clone();
            async move { drop_server::run(&settings, stop).await }
        });
        let mut answering = JoinSet::new();
        for server in 0..SERVERS {
            answering.spawn(answer(TcpListener::bind((ip(server), 80)).await?));
        }
        trial.read().await?;
        let refused = shares(trial, async |_| visit(front).await).await;
        stop.cancel();
        sunk.await??;
        refused
    })
}

/// A byte for everybody.
async fn answer(servers: TcpListener) {
    while let Ok((mut stream, _)) = servers.accept().await {
        // Who has gone needs no answer.
        tokio::spawn(async move { stream.write_all(b"!").await });
    }
}

/// How many of the connections have no answer.
async fn visit(front: SocketAddr) -> Result<usize> {
    let left = Arc::new(AtomicUsize::new(CONNECTIONS));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let left = Arc::clone(&left);
        clients.spawn(async move {
            let mut refused = 0;
            let take = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                let asked = timeout(PATIENCE, async {
                    let mut stream = TcpStream::connect(front).await?;
                    anyhow::Ok(stream.read(&mut [0]).await.unwrap_or(0))
                });
                refused += usize::from(asked.await.context("a client hangs")?? == 0);
            }
            anyhow::Ok(refused)
        });
    }
    let mut refused = 0;
    while let Some(done) = clients.join_next().await {
        refused += done??;
    }
    Ok(refused)
}

fn serveriron() -> Result<Vec<Refused>> {
    let secrets = tempfile::tempdir()?;
    let (iron, options) = external::with_iron(Duration::ZERO, secrets.path())?;
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut trial = Trial::with_drop_servers("serveriron-cli", options, vec![sink()])?;
        trial.read().await?;
        shares(trial, async |_| {
            let pick = || iron.change(|state| state.pick(SERVICE, 80));
            let picked: Option<Vec<_>> = (0..CONNECTIONS).map(|_| pick()).collect();
            let sunk = format!("sluice-{}", sink().ip());
            let picked = picked.context("a client is not let in")?;
            Ok(picked.iter().filter(|binding| binding.real_server == sunk).count())
        })
        .await
    })
}

fn dfp() -> Result<Vec<Refused>> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut trial = Trial::with_drop_servers("dfp", Balancer::options(), vec![sink()])?;
        let (held, balancer) = tokio::join!(trial.read(), Balancer::connect());
        held?;
        let mut balancer = balancer?;
        shares(trial, async |plan| {
            let servers = plan.services.values().flat_map(|service| &service.servers);
            let wanted: Option<Weights> = servers
                .map(|(at, server)| match at {
                    SocketAddr::V4(at) => Some((*at.ip(), server.weight.try_into().ok()?)),
                    SocketAddr::V6(_) => None,
                })
                .collect();
            let heard = balancer.hears_all(&wanted.context("weights of 16 bits")?).await?;
            let all: f64 = heard.values().copied().map(f64::from).sum();
            let sunk = heard.iter().find(|(server, _)| sink().ip() == **server);
            let (_, weight) = sunk.context("it has not heard of the drop server")?;
            Ok((CONNECTIONS as f64 * f64::from(*weight) / all).round() as usize)
        })
        .await
    })
}

impl Refused {
    /// Percent, by the weights.
    fn planned(&self) -> f64 {
        100.0 * f64::from(self.weights.0) / f64::from(self.weights.1)
    }

    fn measured(&self) -> f64 {
        100.0 * self.landed as f64 / CONNECTIONS as f64
    }
}

pub(in crate::bench) fn print(rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    println!(
        "\n{:36}{:>9}{:>17}{:>10}{:>10}{:>9}",
        "% that the drop server gets", "asked", "weight of all", "rounding", "measured", "error"
    );
    for Row { case, shares } in rows {
        for share in shares {
            let (sunk, all) = share.weights;
            println!(
                "{:36}{:>9}{:>17}{:>+10.3}{:>10.3}{:>+9.3}",
                case.name,
                share.asked,
                format!("{sunk} of {all}"),
                share.planned() - share.asked,
                share.measured(),
                share.measured() - share.asked,
            );
        }
    }
    for Row { case, .. } in rows {
        println!("{}: {CONNECTIONS} {} for each share", case.name, case.clients);
    }
}

pub(in crate::bench) fn rows(rows: &[Row]) -> Vec<Value> {
    let row = |Row { case, shares }: &Row| {
        let share = |share: &Refused| {
            json!({
                "asked": share.asked,
                "weight": share.weights.0,
                "weights": share.weights.1,
                "measured": share.measured(),
            })
        };
        let shares: Vec<_> = shares.iter().map(share).collect();
        json!({ "case": case.name, "connections": CONNECTIONS, "shares": shares })
    };
    rows.iter().map(row).collect()
}
