//! Edges: they hold a state and a stamp, apply deltas or refuse them, and come
//! back from a crash with what they held, or from a reboot with nothing.

use std::{collections::BTreeMap, time::Duration};

use lb_control::model::{
    BackendCount, Binding, BindingKey, Counters, Delta, FromSwitch, Hello, Name, Phase,
    ServiceCount, Stamp, SwitchState,
};

use crate::{
    history,
    judge::Outcome,
    mutants::Mutant,
    network::{Message, Who},
    scene,
    world::{Event, World},
};

#[derive(Debug)]
pub struct Edge {
    pub name: Name,
    pub state: SwitchState,
    pub stamp: Stamp,
    /// Somebody changed it behind the manager's back.
    pub tampered: bool,
    /// The step of the core that decided that a binding serves here.
    pub serves_since: BTreeMap<BindingKey, u64>,
    runs: bool,
    life: u64,
    stream: Option<usize>,
    /// It has taken a delta and not answered yet.
    owes: bool,
    pub refuses: bool,
    /// It takes its time to acknowledge.
    pub slow: bool,
}

impl Edge {
    pub fn new(name: Name) -> Self {
        Self {
            name,
            state: SwitchState::default(),
            stamp: Stamp::default(),
            tampered: false,
            serves_since: BTreeMap::new(),
            runs: false,
            life: 0,
            stream: None,
            owes: false,
            refuses: false,
            slow: false,
        }
    }

    pub fn serves(&self, key: &BindingKey) -> bool {
        self.state.bindings.get(key).is_some_and(|binding| binding.phase == Phase::Serve)
    }

    /// Whether a delta fits what it holds.
    fn takes(&self, delta: &Delta) -> bool {
        let mut state = self.state.clone();
        delta.changes.iter().all(|change| state.apply(change).is_ok())
    }

    pub fn is_connected(&self) -> bool {
        self.stream.is_some()
    }
}

impl World {
    pub fn start_edge(&mut self, edge: usize) {
        let of = &mut self.edges[edge];
        if std::mem::replace(&mut of.runs, true) {
            return;
        }
        of.life += 1;
        let life = of.life;
        let delay = self.between(0, 1_500);
        self.after(delay, Event::Connect { who: Who::Edge(edge), life });
        self.after(delay, Event::Report { edge, life });
    }

    /// The process is gone, or with `empty` its host: packets are steered as
    /// before, or the maps are empty.
    pub fn crash_edge(&mut self, edge: usize, empty: bool) {
        self.note(|| format!("edge {edge} is gone{}", if empty { " and empty" } else { "" }));
        let of = &mut self.edges[edge];
        of.runs = false;
        of.life += 1;
        if empty {
            of.state = SwitchState::default();
            of.stamp = Stamp::default();
            of.serves_since.clear();
            of.tampered = false;
        }
        if let Some(stream) = of.stream.take() {
            self.hang_up(stream, false);
        }
    }

    /// Somebody changes what the edge holds.
    pub fn tamper(&mut self, edge: usize) {
        let keys = scene::keys();
        let (put, weight) = (self.one_of(keys), self.rng.u16(0..200));
        let phase = self.one_of(&[Phase::Serve, Phase::Drain, Phase::Break]);
        let (drop, foreign) = (self.one_of(keys), self.chance(20));
        let of = &mut self.edges[edge];
        if of.state.services.is_empty() {
            return;
        }
        of.state.bindings.remove(&drop);
        of.state.bindings.insert(put.clone(), Binding::new(weight, phase));
        of.serves_since.remove(&put);
        of.tampered = true;
        if foreign {
            of.stamp.term += 3;
        }
        self.note(|| format!("edge {edge} is changed: {drop} gone, {put} in phase {phase}"));
    }

    pub fn connect_edge(&mut self, edge: usize, life: u64) -> Outcome {
        let of = &self.edges[edge];
        if of.life != life || of.stream.is_some() || !of.runs {
            return Ok(());
        }
        let Some(stream) = self.open(Who::Edge(edge)) else {
            let delay = self.between(200, 1_500);
            self.after(delay, Event::Connect { who: Who::Edge(edge), life });
            return Ok(());
        };
        let of = &mut self.edges[edge];
        (of.stream, of.owes) = (Some(stream), false);
        self.say_hello(edge);
        Ok(())
    }

    /// An edge reads what it holds, and says so.
    fn say_hello(&mut self, edge: usize) {
        let of = &self.edges[edge];
        let Some(stream) = of.stream else { return };
        let hello = Hello {
            name: of.name.clone(),
            stamp: of.stamp,
            generation: of.stamp.sequence,
            state: of.state.clone(),
            description: "simulated".to_owned(),
        };
        self.send(stream, true, Message::FromSwitch(FromSwitch::Hello(hello)));
    }

    /// Somebody changes what a live edge holds, or wipes it: it notices after a
    /// while, whatever it has been told meanwhile.
    pub fn tamper_live(&mut self, edge: usize, wiped: bool) {
        if wiped {
            self.note(|| format!("edge {edge} is wiped"));
            let of = &mut self.edges[edge];
            of.state = SwitchState::default();
            of.stamp = Stamp::default();
            of.serves_since.clear();
            of.tampered = true;
        } else {
            self.tamper(edge);
        }
        let life = self.edges[edge].life;
        let delay = self.between(0, 3_000);
        self.after(delay, Event::Notice { edge, life });
    }

    /// It looks at what it holds.
    pub fn notice(&mut self, edge: usize, life: u64) -> Outcome {
        if self.edges[edge].life != life || self.mutant == Mutant::DriftUnnoticed {
            return Ok(());
        }
        if self.edges[edge].owes {
            // It answers before it reads anew.
            self.after(Duration::from_millis(50), Event::Notice { edge, life });
        } else {
            self.note(|| format!("edge {edge} notices that it was changed"));
            self.say_hello(edge);
        }
        Ok(())
    }

    pub fn edge_lost_stream(&mut self, edge: usize, stream: usize) {
        if self.edges[edge].stream != Some(stream) {
            return;
        }
        self.edges[edge].stream = None;
        let life = self.edges[edge].life;
        let delay = self.between(100, 1_500);
        self.after(delay, Event::Connect { who: Who::Edge(edge), life });
    }

    pub fn edge_hears(&mut self, edge: usize, stream: usize, delta: Delta) -> Outcome {
        let stamp = delta.stamp;
        let lies = self.mutant == Mutant::EdgeLies && self.chance(10);
        let of = &mut self.edges[edge];
        let answer = if stamp <= of.stamp {
            FromSwitch::Refused { stamp, reason: "stale".to_owned() }
        } else if of.tampered && !of.takes(&delta) {
            FromSwitch::Refused { stamp, reason: "it does not fit".to_owned() }
        } else if of.refuses {
            FromSwitch::Refused { stamp, reason: "refuses everything".to_owned() }
        } else {
            if !lies {
                self.judge.applies(&delta, of)?;
            }
            let live_after = Duration::from_micros(10);
            FromSwitch::Applied { stamp, generation: stamp.sequence, live_after }
        };
        self.note(|| {
            format!("edge {edge} hears {}: {}", history::delta(&delta), history::switch(&answer))
        });
        self.edges[edge].owes = true;
        let most = if self.edges[edge].slow { 5_000 } else { 2 };
        let delay = self.between(0, most);
        self.after(delay, Event::Answer { stream, answer: Box::new(answer) });
        Ok(())
    }

    pub fn edge_answers(&mut self, stream: usize, answer: FromSwitch) -> Outcome {
        if let Some(of) = self.edges.iter_mut().find(|edge| edge.stream == Some(stream)) {
            of.owes = false;
        }
        if self.streams[stream].open_at_peer {
            self.send(stream, true, Message::FromSwitch(answer));
        }
        Ok(())
    }

    /// Counters: who has connections left is anybody's guess.
    pub fn report(&mut self, edge: usize, life: u64) -> Outcome {
        if self.edges[edge].life != life {
            return Ok(());
        }
        self.after(Duration::from_secs(2), Event::Report { edge, life });
        let moving = !self.calm && self.chance(30);
        let Some(stream) = self.edges[edge].stream else { return Ok(()) };
        let mut counters = Counters { generation: 1, ..Counters::default() };
        let state = &self.edges[edge].state;
        counters.services.extend(state.services.keys().map(|service| ServiceCount {
            service: service.clone(),
            new_connections: 0,
            refused_reset: 0,
            refused_silent: 0,
            no_backend: 0,
            broken: 0,
            remembered: 0,
            not_remembered: 0,
            moving,
        }));
        counters.backends.extend(state.bindings.keys().map(|key| BackendCount {
            key: key.clone(),
            packets: 0,
            bytes: 0,
            reply_packets: 0,
            reply_bytes: 0,
            new_connections: 0,
            remembered_flows: u64::from(moving),
            unreachable: None,
        }));
        self.send(stream, true, Message::FromSwitch(FromSwitch::Counters(counters)));
        Ok(())
    }
}
