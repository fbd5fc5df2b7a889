//! The world: what happens next, in the order of a simulated time.
//!
//! Everything random comes from one generator, and everything that is walked
//! through is ordered: a seed is a history.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use fastrand::Rng;
use lb_control::{
    core::Intent,
    model::{BindingKey, FromSwitch, ProbeId},
};

use crate::{
    agents::Agent,
    edges::Edge,
    judge::{Judge, Outcome},
    manager::Manager,
    mutants::Mutant,
    network::{Message, Stream, Who},
    scene,
};

/// Lines of history that a failure shows.
const HISTORY: usize = 300;
/// Between two looks at what must hold at any time.
const LOOK: Duration = Duration::from_millis(50);
/// After the last fault all must be well within this time.
const CALM: Duration = Duration::from_secs(25);
/// After this time nobody hopes any longer for what is lost.
const THAW: Duration = Duration::from_secs(12);
/// A switch that has refused many deltas is asked again after this time at the most.
const RETRY: Duration = Duration::from_secs(60);

/// Something that will happen. `life` tells a process from the one before it.
#[derive(Debug)]
pub enum Event {
    Arrive {
        stream: usize,
        to_manager: bool,
        message: Message,
    },
    /// One end of a stream learns that it is over.
    Noticed {
        stream: usize,
        by_manager: bool,
    },
    Connect {
        who: Who,
        life: u64,
    },
    Beat {
        agent: usize,
        life: u64,
    },
    Wake {
        agent: usize,
        life: u64,
    },
    /// An agent is at closing connections that it was asked to close at `asked`.
    Close {
        agent: usize,
        life: u64,
        key: BindingKey,
        heartbeat: u64,
        asked: u64,
    },
    Exit {
        agent: usize,
        life: u64,
    },
    Report {
        edge: usize,
        life: u64,
    },
    /// An edge looks whether somebody has changed what it holds.
    Notice {
        edge: usize,
        life: u64,
    },
    Answer {
        stream: usize,
        answer: Box<FromSwitch>,
    },
    Probe {
        probe: ProbeId,
        life: u64,
    },
    Probed {
        probe: ProbeId,
        life: u64,
        outcome: Result<(), String>,
    },
    /// An edge asks a backend; the probe is of the session over a stream.
    EdgeProbe {
        edge: usize,
        stream: usize,
        probe: ProbeId,
    },
    Written {
        life: u64,
    },
    /// The core has heard all that came at once.
    Settle {
        life: u64,
    },
    StartManager,
    Resume {
        life: u64,
    },
    Heal {
        who: Who,
    },
    Command,
    Fault,
}

pub struct World {
    pub rng: Rng,
    pub now: Duration,
    pub mutant: Mutant,
    pub manager: Manager,
    pub agents: Vec<Agent>,
    pub edges: Vec<Edge>,
    pub streams: Vec<Stream>,
    /// Who cannot reach the manager.
    pub cut: BTreeSet<Who>,
    /// Servers that answer nobody.
    pub dead: BTreeSet<SocketAddr>,
    /// Servers to which no packet of clients comes from an edge.
    pub blocked: BTreeSet<(usize, SocketAddr)>,
    /// What is lost together is kept.
    pub freezes: bool,
    pub judge: Judge,
    /// Nothing fails any more.
    pub calm: bool,
    queue: BTreeMap<(Duration, u64), Event>,
    last: u64,
    history: Option<VecDeque<String>>,
}

impl World {
    pub fn new(seed: u64, mutant: Mutant, with_history: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let edges = rng.usize(1..=scene::EDGES.len());
        let freezes = rng.bool();
        Self {
            now: Duration::ZERO,
            mutant,
            manager: Manager::new(Intent::default()),
            agents: (0..scene::agents().len()).map(Agent::new).collect(),
            edges: scene::EDGES[..edges]
                .iter()
                .map(|name| Edge::new(scene::name(name), rng.u32(0..4) > 0))
                .collect(),
            streams: Vec::new(),
            cut: BTreeSet::new(),
            dead: BTreeSet::new(),
            blocked: BTreeSet::new(),
            freezes,
            judge: Judge::new(freezes),
            calm: false,
            queue: BTreeMap::new(),
            last: 0,
            history: with_history.then(VecDeque::new),
            rng,
        }
    }

    /// One history: trouble, and then calm, in which all must become well.
    pub fn run(&mut self) -> Outcome {
        let trouble = self.between(8_000, 30_000);
        self.after(Duration::ZERO, Event::StartManager);
        for edge in 0..self.edges.len() {
            self.start_edge(edge);
        }
        for agent in 0..scene::RESIDENTS {
            self.start_agent(agent);
        }
        let first = self.between(100, 4_000);
        self.after(first, Event::Fault);
        self.after(first, Event::Command);
        self.run_until(trouble)?;
        self.note(|| "-- trouble ends".to_owned());
        self.calm_down()?;
        self.run_until(trouble + THAW)?;
        self.thaw()?;
        self.run_until(trouble + CALM)?;
        if self.judge.is_refused() {
            self.run_until(trouble + CALM + RETRY)?;
        }
        self.judge_end()
    }

    fn run_until(&mut self, end: Duration) -> Outcome {
        let mut looked = self.now;
        loop {
            let event = self.queue.first_key_value().map_or(end, |(&(at, _), _)| at).min(end);
            let wakeup = self.wakeup();
            let next = wakeup.map_or(event, |at| at.max(self.now).min(event));
            if next > self.now && self.now >= looked + LOOK {
                // Everything of this moment has happened.
                looked = self.now;
                if self.manager.has_settled(self.now) {
                    self.judge.look(self.now)?;
                }
            }
            self.now = next;
            // Messages of the same moment come before the tick.
            if wakeup.is_some_and(|at| at < event) {
                self.tick()?;
            } else if event == end && self.queue.first_key_value().is_none_or(|(k, _)| k.0 >= end) {
                return Ok(());
            } else if let Some((_, event)) = self.queue.pop_first() {
                self.happen(event)?;
            }
        }
    }

    fn happen(&mut self, event: Event) -> Outcome {
        match event {
            Event::Arrive { stream, to_manager: true, message } => {
                self.manager_hears(stream, message)
            }
            Event::Arrive { stream, to_manager: false, message } => {
                self.peer_hears(stream, message)
            }
            Event::Noticed { stream, by_manager: true } => self.manager_notices(stream),
            Event::Noticed { stream, by_manager: false } => self.peer_notices(stream),
            Event::Connect { who: Who::Agent(agent), life } => self.connect_agent(agent, life),
            Event::Connect { who: Who::Edge(edge), life } => self.connect_edge(edge, life),
            Event::Beat { agent, life } => self.beat(agent, life),
            Event::Wake { agent, life } => self.wake(agent, life),
            Event::Close { agent, life, key, heartbeat, asked } => {
                self.close(agent, life, key, heartbeat, asked)
            }
            Event::Exit { agent, life } => self.exit(agent, life),
            Event::Report { edge, life } => self.report(edge, life),
            Event::Notice { edge, life } => self.notice(edge, life),
            Event::Answer { stream, answer } => self.edge_answers(stream, *answer),
            Event::Probe { probe, life } => self.probe(probe, life),
            Event::Probed { probe, life, outcome } => self.probed(probe, life, outcome),
            Event::EdgeProbe { edge, stream, probe } => self.edge_probes(edge, stream, probe),
            Event::Written { life } => self.written(life),
            Event::Settle { life } => self.settle(life),
            Event::StartManager => self.start_manager(),
            Event::Resume { life } => self.resume(life),
            Event::Heal { who } => self.heal(who),
            Event::Command => self.next_command(),
            Event::Fault => self.next_fault(),
        }
    }

    pub fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    pub fn at(&mut self, at: Duration, event: Event) {
        self.last += 1;
        self.queue.insert((at, self.last), event);
    }

    /// A time of so many milliseconds, evenly spread, to the microsecond.
    pub fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_micros(self.rng.u64(least * 1000..=most * 1000))
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    pub fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(0..of.len())].clone()
    }

    /// A line of the history, made only where somebody will read it.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let Some(history) = &mut self.history else { return };
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back(format!("{:>10.6} s  {}", self.now.as_secs_f64(), line()));
    }

    /// Whether there is a history to be written.
    pub fn is_watched(&self) -> bool {
        self.history.is_some()
    }

    pub fn history(&self) -> Vec<String> {
        self.history.iter().flatten().cloned().collect()
    }
}
