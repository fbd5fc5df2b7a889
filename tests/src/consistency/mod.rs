//! `cargo xtask experiment consistency`: thousands of live connections, each of
//! which knows its server, through hundreds of random changes.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `changes` | which changes, decided by a seed |
//! | `operator` | carries them out |
//! | `ledger` | what each of them may break |
//! | `member` | one client of the crowd |
//! | `world` | what they share, and the verdict over each lost connection |
//! | `outcome` | what came of it |
//!
//! A connection that broke, stalled or was answered by another server counts as
//! collateral, unless the ledger has its server removed by force or its deadline
//! passed. Beside it all runs a flood of SYNs and ACKs that belong to nothing.
//!
//! How long a connection may be silent is the edge's `idle`: it must be longer
//! than anybody of the crowd falls silent, or to break one would be right. The
//! experiment sets it to a multiple of the crowd's longest silence, short enough
//! that slots settle by it during the run, and does not blame the edge for what
//! happens to a client that a slow machine held up for that long.

mod changes;
mod ledger;
mod member;
mod operator;
mod outcome;
mod world;

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;

pub use self::outcome::Outcome;
use self::{
    changes::Changes,
    member::{Habit, Member},
    operator::Operator,
    world::World,
};
use crate::{Flood, Lab, Service, Storm, eventually, gue, ipip, l2, nat};

/// Clients with a crowd; one more has the flood.
const CLIENTS: usize = 2;
/// How long the whole crowd may take to be there.
const GATHER: Duration = Duration::from_secs(90);
/// Members begin this long after each other.
const ARRIVAL: Duration = Duration::from_micros(700);
/// The first of the ports that members keep for all their connections: below
/// those that the others get.
const OWN_PORTS: u16 = 2000;

/// How much of what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Decides the changes, and what clients do.
    pub seed: u64,
    /// Connections that are open at the same time.
    pub connections: usize,
    pub servers: usize,
    pub changes: usize,
    /// Processes that are killed and started anew, each in the middle of changes.
    pub restarts: usize,
    /// Times of rest, in which slots settle.
    pub calms: usize,
    /// Segments of the flood in a second.
    pub flood: u32,
    /// The longest that a member of the crowd is silent.
    pub silence: Duration,
    /// The edge's `idle`.
    pub idle: Duration,
    /// The edge's `tracking`.
    pub tracking: bool,
}

impl Options {
    /// A few minutes.
    pub fn long() -> Self {
        Self {
            seed: 1,
            connections: 3_000,
            servers: 8,
            changes: 600,
            restarts: 30,
            calms: 3,
            flood: 20_000,
            silence: Duration::from_secs(5),
            idle: Duration::from_secs(15),
            tracking: true,
        }
    }

    /// Half a minute, for the tests.
    pub fn short() -> Self {
        Self {
            connections: 300,
            servers: 6,
            changes: 60,
            restarts: 2,
            calms: 1,
            flood: 4_000,
            silence: Duration::from_secs(2),
            idle: Duration::from_secs(6),
            ..Self::long()
        }
    }

    /// The same with tracking off, and with a tenth of the changes: that is
    /// enough to show what the rig can see.
    #[must_use]
    pub fn without_tracking(self) -> Self {
        Self {
            changes: self.changes / 10,
            restarts: self.restarts.min(1),
            calms: 0,
            tracking: false,
            ..self
        }
    }
}

/// The services, one for each way to a server; the last has brief connections
/// only, so that its slots settle.
fn services() -> [Service; 5] {
    [
        l2("direct").port(8001),
        nat("nat6").v6(),
        ipip("tunnel").port(8003),
        gue("gue6").v6().port(8004),
        nat("brief"),
    ]
}

/// Runs it in a lab of its own. `progress` is told how far it is.
///
/// # Errors
/// When the lab fails, or `sluice` does not do what it is told. What became of
/// the connections is in the outcome.
pub fn run(options: &Options, mut progress: impl FnMut(&str)) -> Result<Outcome> {
    allow_sockets()?;
    let begun = Instant::now();
    progress("building the lab");
    let mut lab = build(options)?;
    let names: Vec<String> = services().iter().map(|service| service.name.clone()).collect();
    let world = Arc::new(World::new(lab.vips(), options.servers, options.idle));
    let crowd = gather(&lab, &world, options);
    eventually(GATHER, "the crowd to gather", || {
        progress(&format!("{} of {} connections", world.open(), options.connections));
        Ok((world.open() >= options.connections).then_some(()))
    })?;
    let flood = Flood::start(&lab, CLIENTS, Storm { rate: options.flood, seed: options.seed })?;
    let mut operator = Operator::new(&mut lab, &names, Arc::clone(&world), &flood, options.idle);
    let mut rng = Rng::with_seed(options.seed);
    let mut steered = || -> Result<()> {
        for step in Changes::new(options, names.len()) {
            operator.take(&step).with_context(|| format!("seed {}, {step:?}", options.seed))?;
            operator.pause(Duration::from_millis(rng.u64(50..350)));
            progress(&outcome::line(operator.record(), &world.tally(), world.open()));
        }
        Ok(())
    };
    let steered = steered();
    let record = operator.finish()?;
    let forwarded = lab.reason("forward_new");
    let sent = flood.stop();
    world.end();
    for thread in crowd {
        thread.join().expect("the crowd does not panic")?;
    }
    steered.with_context(|| lab.last_words())?;
    ensure!(
        forwarded? * 2 > sent.syns,
        "the edge saw less than half of the flood of {} SYNs",
        sent.syns
    );
    Ok(Outcome::new(options, record, world.tally(), sent, begun.elapsed()))
}

fn build(options: &Options) -> Result<Lab> {
    let idle = options.idle.as_secs();
    let mut builder = Lab::build().clients(CLIENTS + 1).servers(options.servers).roles_apart();
    for service in services() {
        builder = builder.service(service);
    }
    builder
        // Only a removal breaks a connection: not a machine that is too slow for
        // heartbeats.
        .manager("missed_heartbeats = 50")
        .manager("down_grace = \"1h\"")
        .manager("drain_deadline = \"1h\"")
        .manager("break_linger = \"3s\"")
        .edge(&format!("idle = \"{idle}s\"\ntracking = {}", options.tracking))
        .start()
}

/// A socket for each connection, and for each end of it that a web server has.
fn allow_sockets() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// Starts the crowd, on a thread for each client.
fn gather(lab: &Lab, world: &Arc<World>, options: &Options) -> Vec<JoinHandle<Result<()>>> {
    // Some are between two connections at any time.
    let members = options.connections + options.connections / 20 + 5;
    let services = lab.vips().len();
    let of_client = |client: usize| {
        let netns = lab.clients()[client].netns().clone();
        let (world, options) = (Arc::clone(world), *options);
        let crowd = async move {
            let mut crowd = JoinSet::new();
            for index in (client..members).step_by(CLIENTS) {
                let place = index / CLIENTS;
                let service = place % services;
                let brief = service == services - 1;
                let keeps_port = place / services % 10 == 9;
                let member = Member {
                    world: Arc::clone(&world),
                    rng: Rng::with_seed(options.seed.wrapping_mul(1 << 32) + index as u64),
                    service,
                    habit: Habit::of(place / services, brief || keeps_port, options.silence),
                    port: keeps_port.then(|| OWN_PORTS + place as u16),
                };
                crowd.spawn(member.live());
                tokio::time::sleep(ARRIVAL).await;
            }
            crowd.join_all().await;
        };
        thread::spawn(move || {
            netns.enter(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(crowd);
                Ok(())
            })
        })
    };
    (0..CLIENTS).map(of_client).collect()
}
