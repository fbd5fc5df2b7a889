//! Edges without packets: they take what the manager sends over a connection of
//! their own, note when it came, and acknowledge it at once.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use lb_control::{
    edge::remote,
    model::{
        BackendCount, Change, Counters, FromSwitch, Hello, Phase, Stamp, SwitchState, ToSwitch,
    },
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    SERVICES,
    agents::{key, number},
};

/// Between two reports of counters, as of real edges.
const REPORT: Duration = Duration::from_secs(1);

/// What an edge holds of agents' bindings, by their number.
#[derive(Debug, Default)]
pub(super) struct Held {
    phases: Vec<Option<Phase>>,
    pub(super) serving: usize,
    /// Those that ceased to serve, and when.
    gone: Vec<(u32, Instant)>,
    pub(super) deltas: usize,
    /// How often it said hello.
    pub(super) sessions: usize,
}

impl Held {
    /// How long after a moment each of these ceased to serve.
    pub(super) fn gone_since(&self, numbers: Range<u32>, moment: Instant) -> Vec<Duration> {
        let gone = self.gone.iter().filter(|(number, _)| numbers.contains(number));
        gone.filter_map(|(_, at)| at.checked_duration_since(moment)).collect()
    }

    /// Of every binding, service by service as edges have them.
    fn counters(&self) -> Counters {
        let numbers = 0..u32::try_from(self.phases.len()).unwrap_or(u32::MAX);
        let in_order = (0..SERVICES)
            .flat_map(|service| numbers.clone().skip(service as usize).step_by(SERVICES as usize));
        let held = in_order.filter(|number| self.phases[*number as usize].is_some());
        let count = |number| BackendCount {
            key: key(number),
            packets: 1_000_000,
            bytes: 1_000_000_000,
            reply_packets: 0,
            reply_bytes: 0,
            new_connections: 1000,
            remembered_flows: 0,
            unreachable: None,
        };
        Counters { backends: held.map(count).collect(), ..Counters::default() }
    }

    fn put(&mut self, number: u32, phase: Option<Phase>) {
        let index = number as usize;
        if self.phases.len() <= index {
            self.phases.resize(index + 1, None);
        }
        let before = std::mem::replace(&mut self.phases[index], phase);
        let serves = |phase| usize::from(phase == Some(Phase::Serve));
        self.serving = self.serving + serves(phase) - serves(before);
        if serves(before) > serves(phase) {
            self.gone.push((number, Instant::now()));
        }
    }
}

/// An edge, as seen from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Edge(Arc<Mutex<Held>>);

impl Edge {
    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many of the edges report counters.
pub(super) type Counting = Arc<AtomicUsize>;

/// Starts so many edges.
pub(super) fn start(
    count: usize,
    target: &str,
    counting: &Counting,
) -> Result<(Vec<Edge>, JoinSet<Result<()>>)> {
    let (mut edges, mut tasks) = (Vec::new(), JoinSet::new());
    for index in 0..count {
        let edge = Edge::default();
        edges.push(edge.clone());
        let (name, target) = (format!("edge-{index}").parse()?, target.to_owned());
        let counting = Arc::clone(counting);
        tasks.spawn(async move {
            let session =
                move |to, from| session(index, edge.clone(), Arc::clone(&counting), to, from);
            remote::run(name, &target, None, session, CancellationToken::new()).await
        });
    }
    Ok((edges, tasks))
}

async fn session(
    index: usize,
    edge: Edge,
    counting: Counting,
    to_manager: mpsc::Sender<FromSwitch>,
    mut from_manager: mpsc::Receiver<ToSwitch>,
) -> Result<()> {
    let sessions = edge.held().sessions + 1;
    *edge.held() = Held { sessions, ..Held::default() };
    let hello = Hello {
        name: format!("edge-{index}").parse()?,
        stamp: Stamp::default(),
        generation: 0,
        state: SwitchState::default(),
        description: "measures".to_owned(),
        probes: false,
    };
    to_manager.send(FromSwitch::Hello(hello)).await?;
    let mut generation = 0;
    let mut report = interval(REPORT);
    report.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let delta = tokio::select! {
            command = from_manager.recv() => match command {
                Some(ToSwitch::Apply(delta)) => delta,
                Some(ToSwitch::Probe(_)) => continue,
                None => return Ok(()),
            },
            _ = report.tick() => {
                if index < counting.load(Ordering::Relaxed) {
                    let counters = edge.held().counters();
                    to_manager.send(FromSwitch::Counters(counters)).await?;
                }
                continue;
            }
        };
        {
            let mut held = edge.held();
            held.deltas += 1;
            for change in delta.changes.iter() {
                match change {
                    Change::PutBinding(key, binding) => {
                        number(key).map(|number| held.put(number, Some(binding.phase)))
                    }
                    Change::DeleteBinding(key) => number(key).map(|number| held.put(number, None)),
                    _ => None,
                };
            }
        }
        generation += 1;
        let applied = FromSwitch::Applied {
            stamp: delta.stamp,
            generation,
            live_after: Duration::from_nanos(1),
        };
        to_manager.send(applied).await?;
    }
}
