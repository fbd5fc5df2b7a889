//! The core's surroundings in small: agents, switches, backends and a disk
//! that do what the real ones would.

mod agents;
mod operator;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

pub(super) use self::agents::closed;
use super::{
    CONFIG, WEB, key, name,
    peers::{FakeAgent, FakeSwitch},
    seconds, settings,
};
use crate::{
    core::*,
    model::{
        Binding, BindingKey, Counters, Delta, FromSwitch, Origin, Phase, ProbeId, ServerId,
        ToAgent, ToSwitch, Weight,
    },
};

/// One beat of the world: agents heartbeat each 250 ms, probes each second.
const STEP: Duration = Duration::from_millis(50);

pub(super) struct World {
    pub(super) core: Core,
    pub(super) now: Duration,
    pub(super) last: u64,
    pub(super) agents: BTreeMap<String, FakeAgent>,
    pub(super) switches: BTreeMap<String, FakeSwitch>,
    /// That agents give from now on.
    pub(super) server_ids: BTreeMap<BindingKey, ServerId>,
    pub(super) probes: BTreeMap<ProbeId, SocketAddr>,
    /// Backends whose probes fail.
    pub(super) dead: BTreeSet<SocketAddr>,
    /// Hosts to which no packet of clients comes from a switch.
    pub(super) blocked: BTreeSet<(String, IpAddr)>,
    /// Nothing answers the manager's probes: neither well nor badly.
    pub(super) mute: bool,
    pub(super) disk: Intent,
    pub(super) disk_error: Option<String>,
    /// Saves are never answered.
    pub(super) disk_hangs: bool,
    pub(super) replies: BTreeMap<RequestId, Result<Done, Refusal>>,
    pub(super) events: Vec<Event>,
    pub(super) told: Vec<(SessionId, ToAgent)>,
    pub(super) closed: Vec<(SessionId, String)>,
    /// That agents ask for from now on.
    pub(super) asked_weight: Weight,
    /// Whose agents and commands come from now on, and whose switches.
    pub(super) origin: Origin,
    pub(super) switch_origin: Origin,
}

impl World {
    /// A manager that has just started, with one switch connected.
    pub(super) fn new() -> Self {
        let mut world = Self::start(Intent { term: 1, ..Intent::default() });
        world.connect("edge");
        world
    }

    /// The same, when the learning period is over.
    pub(super) fn learned() -> Self {
        let mut world = Self::new();
        world.pass(seconds(6));
        world.events.clear();
        world
    }

    /// The same, with one agent's backend, which serves.
    pub(super) fn serving_web() -> Self {
        Self::learned().and_web()
    }

    /// The same, on two switches.
    pub(super) fn on_two_switches() -> Self {
        let mut world = Self::learned();
        world.connect("spare");
        world.and_web()
    }

    fn and_web(mut self) -> Self {
        self.agent("web-1", 1, &[WEB]);
        self.pass(seconds(2));
        assert_eq!(self.state(WEB), "active");
        self.events.clear();
        self
    }

    /// A manager with these services, when the learning period is over.
    pub(super) fn serving(config: &str) -> Self {
        let mut world = Self::configured(config, Intent { term: 1, ..Intent::default() });
        world.connect("edge");
        world.pass(seconds(6));
        world
    }

    pub(super) fn start(intent: Intent) -> Self {
        Self::configured(CONFIG, intent)
    }

    fn configured(config: &str, intent: Intent) -> Self {
        let mut world = Self {
            core: Core::new(settings(config), intent.clone()).expect("a valid configuration"),
            now: Duration::ZERO,
            last: 0,
            agents: BTreeMap::new(),
            switches: BTreeMap::new(),
            server_ids: BTreeMap::new(),
            probes: BTreeMap::new(),
            dead: BTreeSet::new(),
            blocked: BTreeSet::new(),
            mute: false,
            disk: intent,
            disk_error: None,
            disk_hangs: false,
            replies: BTreeMap::new(),
            events: Vec::new(),
            told: Vec::new(),
            closed: Vec::new(),
            asked_weight: 100,
            origin: Origin::default(),
            switch_origin: Origin::local(),
        };
        world.feed(Input::Tick);
        world
    }

    /// The manager dies and a new one starts; switches, agents and disk stay,
    /// but nobody is connected yet.
    pub(super) fn restart(&mut self) {
        let old = std::mem::replace(self, Self::start(Intent::default()));
        *self = Self::restarted(CONFIG, old);
    }

    /// The same with these services.
    pub(super) fn restarted(config: &str, old: Self) -> Self {
        let intent = Intent { term: old.disk.term + 1, ..old.disk };
        let mut next = Self {
            switches: old.switches,
            agents: old.agents,
            server_ids: old.server_ids,
            dead: old.dead,
            last: old.last + 1000,
            ..Self::configured(config, intent)
        };
        for switch in next.switches.values_mut() {
            switch.session = None;
        }
        for agent in next.agents.values_mut() {
            agent.silent = true;
        }
        next
    }

    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let outputs = self.core.handle(input, self.now);
            self.core.check_standings();
            for output in outputs {
                inputs.extend(self.act(output));
            }
        }
    }

    pub(super) fn act(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::ToAgent { session, message } => {
                self.told.push((session, message.clone()));
                let ToAgent::Close { key, heartbeat, .. } = message else { return None };
                let asked = |agent: &&FakeAgent| agent.session == session;
                let agent = self.agents.values().find(asked)?;
                return (!agent.slow && !agent.silent).then(|| closed(session, key, 7, heartbeat));
            }
            Output::ToSwitch { session, message: ToSwitch::Apply(delta) } => {
                return self.deliver(session, delta);
            }
            Output::ToSwitch { session, message: ToSwitch::Probe(orders) } => {
                let switch = self.switches.values_mut().find(|s| s.session == Some(session))?;
                switch.ordered(orders);
            }
            Output::Close { session, reason } => {
                self.closed.push((session, reason));
                self.agents.retain(|_, agent| agent.session != session);
            }
            Output::StartProbe { probe, backend, .. } => {
                assert!(
                    self.probes.insert(probe, backend).is_none(),
                    "probe numbers are used once"
                );
            }
            Output::StopProbe { probe } => {
                self.probes.remove(&probe).expect("only what runs is stopped");
            }
            Output::Reply { request, reply } => {
                assert!(
                    self.replies.insert(request, reply).is_none(),
                    "a request is answered once"
                );
            }
            Output::Publish(event) => self.events.push(event),
            Output::Save { number, intent } => {
                if self.disk_hangs {
                    return None;
                }
                let outcome = self.disk_error.clone().map_or(Ok(()), Err);
                if outcome.is_ok() {
                    self.disk = *intent;
                }
                return Some(Input::Saved { number, outcome });
            }
        }
        None
    }

    pub(super) fn deliver(&mut self, session: SessionId, delta: Delta) -> Option<Input> {
        let switch = self.switches.values_mut().find(|s| s.session == Some(session))?;
        switch.deltas.push(delta.clone());
        switch.unanswered.push(delta);
        assert_eq!(switch.unanswered.len(), 1, "one delta is outstanding at a time");
        if switch.held { None } else { Some(switch.answer(session)) }
    }

    /// A held switch answers what it has.
    pub(super) fn release(&mut self, switch: &str) {
        let switch = self.switches.get_mut(switch).expect("a switch");
        switch.held = false;
        if let (Some(session), false) = (switch.session, switch.unanswered.is_empty()) {
            let input = switch.answer(session);
            self.feed(input);
        }
    }

    /// A switch connects with what it holds.
    pub(super) fn connect(&mut self, switch: &str) {
        let session = SessionId(self.number());
        let held = self.switches.entry(switch.to_owned()).or_default();
        held.session = Some(session);
        held.unanswered.clear();
        let hello = held.read(name(switch));
        held.probes.clear();
        self.feed(Input::Opened { session, origin: self.switch_origin.clone() });
        self.feed(Input::Switch { session, message: FromSwitch::Hello(hello) });
    }

    /// Somebody changes what a switch holds; it notices, and reads it again.
    pub(super) fn tamper(&mut self, switch: &str, change: impl FnOnce(&mut FakeSwitch)) {
        let held = self.switches.get_mut(switch).expect("a switch");
        change(held);
        let hello = held.read(name(switch));
        let session = held.session.expect("a connected switch");
        self.feed(Input::Switch { session, message: FromSwitch::Hello(hello) });
    }

    /// A connected switch reports counters.
    pub(super) fn feed_counters(&mut self, switch: &str, counters: Counters) {
        let session = self.switches[switch].session.expect("a connected switch");
        self.feed(Input::Switch { session, message: FromSwitch::Counters(counters) });
    }

    pub(super) fn disconnect(&mut self, switch: &str) {
        let session = self.switches.get_mut(switch).and_then(|switch| switch.session.take());
        self.feed(Input::Closed { session: session.expect("a connected switch") });
    }

    /// Time goes on.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = (self.now + STEP).min(end);
            let millis = self.now.as_millis();
            if millis.is_multiple_of(250) {
                let alive = self.agents.iter().filter(|(_, agent)| !agent.silent);
                for agent in alive.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
                    self.heartbeat(&agent);
                }
            }
            if millis.is_multiple_of(1000) && !self.mute {
                for (probe, backend) in self.probes.clone() {
                    self.probe(probe, backend);
                }
                for switch in self.switches.keys().cloned().collect::<Vec<_>>() {
                    self.report(&switch);
                }
            }
            if self.core.next_wakeup().is_some_and(|at| at <= self.now) {
                self.feed(Input::Tick);
            }
        }
    }

    pub(super) fn probe(&mut self, probe: ProbeId, backend: SocketAddr) {
        let outcome = if self.dead.contains(&backend) {
            Err("connection refused".to_owned())
        } else {
            Ok(())
        };
        self.feed(Input::Probed { probe, outcome });
    }

    /// A switch that probes says what it has found; the ways of those that are
    /// dead, or in `blocked` with this switch, lead nowhere.
    pub(super) fn report(&mut self, switch: &str) {
        let held = self.switches.get_mut(switch).expect("a switch");
        let Some(session) = held.session.filter(|_| !held.probes.is_empty()) else { return };
        let (dead, blocked) = (&self.dead, &self.blocked);
        let reports = held.probe(|path| {
            let is_dead = dead.iter().any(|backend| backend.ip() == path.via);
            is_dead || blocked.contains(&(switch.to_owned(), path.via))
        });
        self.feed(Input::Switch { session, message: FromSwitch::Probed(reports) });
    }

    pub(super) fn kill(&mut self, binding: &str) {
        self.dead.insert(key(binding).backend);
    }

    pub(super) fn revive(&mut self, binding: &str) {
        self.dead.remove(&key(binding).backend);
    }

    /// What a switch holds for a binding.
    pub(super) fn on(&self, switch: &str, binding: &str) -> Option<Phase> {
        self.held(switch, binding).map(|binding| binding.phase)
    }

    pub(super) fn held(&self, switch: &str, binding: &str) -> Option<Binding> {
        self.switches[switch].state.bindings.get(&key(binding)).copied()
    }

    pub(super) fn count(&self, kind: &str) -> usize {
        self.events.iter().filter(|event| event.kind == kind).count()
    }
}
