//! Scenarios: a core, and a small world of agents, switches, backends and a
//! disk around it that do what the real ones would.

mod leaving;
mod operating;
mod random;
mod restarting;
mod switching;
mod vouching;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use super::*;
use crate::{
    config,
    model::{
        AgentBinding, AgentHello, BackendReport, Binding, Delta, FromAgent, FromSwitch, Heartbeat,
        Hello, Phase, Policy, Share, Stamp, ToAgent, ToSwitch, Weight,
    },
};

/// One beat of the world: agents heartbeat each 250 ms, probes each second.
const STEP: Duration = Duration::from_millis(50);

const CONFIG: &str = r#"
[manager]
learning = "5s"
missed_heartbeats = 4
down_grace = "30s"
drain_deadline = "60s"
break_linger = "20s"

[[class]]
name = "bots"
sources = ["198.51.100.0/24"]

[[service]]
name = "www"
address = "203.0.113.10:80"
mode = "l2"

[[service]]
name = "api"
address = "203.0.113.20:443"
mode = "nat"
health = { rise = 2, fall = 3 }
backend = [{ address = "192.0.2.50:8443", weight = 10 }]
policy = [{ class = "bots", refuse_percent = 25.0 }]

[[service]]
name = "trusting"
address = "203.0.113.30:25"
mode = "nat"
health = { probe = "none" }
"#;

fn settings() -> CoreSettings {
    let settings = config::parse(CONFIG, Path::new("test.toml")).expect("a valid file");
    CoreSettings::try_from(&settings).expect("valid settings")
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// `www/192.0.2.1:80`
fn key(text: &str) -> BindingKey {
    let (service, backend) = text.split_once('/').expect("service/backend");
    BindingKey { service: name(service), backend: backend.parse().expect("an address") }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An agent, as the world plays it.
#[derive(Clone, Debug)]
struct FakeAgent {
    name: Name,
    boot: u64,
    binds: Vec<BindingKey>,
    session: SessionId,
    sequence: u64,
    health: Result<(), String>,
    connections: u64,
    /// It no longer heartbeats.
    silent: bool,
}

/// A switch, as the world plays it.
#[derive(Clone, Debug, Default)]
struct FakeSwitch {
    session: Option<SessionId>,
    state: SwitchState,
    stamp: Stamp,
    /// Why it refuses every delta.
    refuses: Option<String>,
    /// It leaves deltas unanswered.
    held: bool,
    unanswered: Vec<Delta>,
    /// Every delta that came, answered or not.
    deltas: Vec<Delta>,
}

struct World {
    core: Core,
    now: Duration,
    last: u64,
    agents: BTreeMap<String, FakeAgent>,
    switches: BTreeMap<String, FakeSwitch>,
    probes: BTreeMap<ProbeId, SocketAddr>,
    /// Backends whose probes fail.
    dead: BTreeSet<SocketAddr>,
    /// Nothing answers the manager's probes: neither well nor badly.
    mute: bool,
    disk: Intent,
    disk_error: Option<String>,
    replies: BTreeMap<RequestId, Result<Done, Refusal>>,
    events: Vec<Event>,
    told: Vec<(SessionId, ToAgent)>,
    closed: Vec<(SessionId, String)>,
}

impl World {
    /// A manager that has just started, with one switch connected.
    fn new() -> Self {
        let mut world = Self::start(Intent { term: 1, ..Intent::default() });
        world.connect("edge");
        world
    }

    /// The same, when the learning period is over.
    fn learned() -> Self {
        let mut world = Self::new();
        world.pass(seconds(6));
        world.events.clear();
        world
    }

    fn start(intent: Intent) -> Self {
        let mut world = Self {
            core: Core::new(settings(), intent.clone()).expect("a valid configuration"),
            now: Duration::ZERO,
            last: 0,
            agents: BTreeMap::new(),
            switches: BTreeMap::new(),
            probes: BTreeMap::new(),
            dead: BTreeSet::new(),
            mute: false,
            disk: intent,
            disk_error: None,
            replies: BTreeMap::new(),
            events: Vec::new(),
            told: Vec::new(),
            closed: Vec::new(),
        };
        world.feed(Input::Tick);
        world
    }

    /// The manager dies and a new one starts; switches, agents and disk stay,
    /// but nobody is connected yet.
    fn restart(&mut self) {
        let intent = Intent { term: self.disk.term + 1, ..self.disk.clone() };
        let mut next = Self::start(intent);
        next.switches = std::mem::take(&mut self.switches);
        next.agents = std::mem::take(&mut self.agents);
        next.dead = std::mem::take(&mut self.dead);
        next.last = self.last + 1000;
        for switch in next.switches.values_mut() {
            switch.session = None;
        }
        for agent in next.agents.values_mut() {
            agent.silent = true;
        }
        *self = next;
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.core.handle(input, self.now) {
                inputs.extend(self.act(output));
            }
        }
    }

    fn act(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::ToAgent { session, message } => self.told.push((session, message)),
            Output::ToSwitch { session, message: ToSwitch::Apply(delta) } => {
                return self.deliver(session, delta);
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
                let outcome = self.disk_error.clone().map_or(Ok(()), Err);
                if outcome.is_ok() {
                    self.disk = *intent;
                }
                return Some(Input::Saved { number, outcome });
            }
        }
        None
    }

    fn deliver(&mut self, session: SessionId, delta: Delta) -> Option<Input> {
        let switch = self.switches.values_mut().find(|s| s.session == Some(session))?;
        switch.deltas.push(delta.clone());
        switch.unanswered.push(delta);
        assert_eq!(switch.unanswered.len(), 1, "one delta is outstanding at a time");
        if switch.held { None } else { Some(switch.answer(session)) }
    }

    /// A held switch answers what it has.
    fn release(&mut self, switch: &str) {
        let switch = self.switches.get_mut(switch).expect("a switch");
        switch.held = false;
        if let (Some(session), false) = (switch.session, switch.unanswered.is_empty()) {
            let input = switch.answer(session);
            self.feed(input);
        }
    }

    /// A switch connects with what it holds.
    fn connect(&mut self, switch: &str) {
        let session = SessionId(self.number());
        let held = self.switches.entry(switch.to_owned()).or_default();
        held.session = Some(session);
        held.unanswered.clear();
        let hello = Hello {
            name: name(switch),
            stamp: held.stamp,
            generation: held.stamp.sequence,
            state: held.state.clone(),
            description: "fake".to_owned(),
        };
        self.feed(Input::Switch { session, message: FromSwitch::Hello(hello) });
    }

    fn disconnect(&mut self, switch: &str) {
        let session = self.switches.get_mut(switch).and_then(|switch| switch.session.take());
        self.feed(Input::Closed { session: session.expect("a connected switch") });
    }

    /// An agent connects, and heartbeats from now on.
    fn agent(&mut self, agent: &str, boot: u64, binds: &[&str]) -> SessionId {
        let session = SessionId(self.number());
        let binds: Vec<_> = binds.iter().map(|bind| key(bind)).collect();
        let before = self.agents.get(agent).filter(|before| before.boot == boot);
        let sequence = before.map_or(0, |before| before.sequence);
        self.agents.insert(
            agent.to_owned(),
            FakeAgent {
                name: name(agent),
                boot,
                binds: binds.clone(),
                session,
                sequence,
                health: Ok(()),
                connections: 3,
                silent: false,
            },
        );
        let hello = AgentHello {
            name: name(agent),
            boot,
            binds: binds.into_iter().map(|key| AgentBinding { key, weight: 100 }).collect(),
            interval: Duration::from_millis(250),
        };
        self.feed(Input::Agent { session, message: FromAgent::Hello(hello) });
        session
    }

    fn heartbeat(&mut self, agent: &str) {
        let Some(agent) = self.agents.get_mut(agent) else { return };
        agent.sequence += 1;
        let report = |key: &BindingKey| BackendReport {
            key: key.clone(),
            health: agent.health.clone(),
            connections: agent.connections,
            load: 0.5,
        };
        let reports = agent.binds.iter().map(report).collect();
        let message = FromAgent::Heartbeat(Heartbeat { sequence: agent.sequence, reports });
        let session = agent.session;
        self.feed(Input::Agent { session, message });
    }

    fn set_agent(&mut self, agent: &str, change: impl FnOnce(&mut FakeAgent)) {
        change(self.agents.get_mut(agent).expect("an agent"));
        self.heartbeat(agent);
    }

    fn leave(&mut self, agent: &str) {
        let session = self.agents[agent].session;
        let message = FromAgent::Leave { cause: "told to stop".to_owned() };
        self.feed(Input::Agent { session, message });
    }

    /// An agent's connection ends.
    fn hang_up(&mut self, agent: &str) {
        let session = self.agents.remove(agent).expect("an agent").session;
        self.feed(Input::Closed { session });
    }

    fn command(&mut self, command: Command) -> RequestId {
        let request = RequestId(self.number());
        self.feed(Input::Operator { request, command });
        request
    }

    fn add(&mut self, binding: &str, weight: Weight) -> RequestId {
        self.command(Command::Add { key: key(binding), weight })
    }

    fn remove(&mut self, binding: &str) -> RequestId {
        self.command(Command::Remove {
            key: key(binding),
            force: false,
            deadline: None,
            wait: false,
        })
    }

    fn force(&mut self, binding: &str) -> RequestId {
        self.command(Command::Remove {
            key: key(binding),
            force: true,
            deadline: None,
            wait: false,
        })
    }

    fn weight(&mut self, binding: &str, weight: Weight) -> RequestId {
        self.command(Command::SetWeight { key: key(binding), weight })
    }

    fn drop_share(&mut self, service: &str, class: Option<&str>, percent: f64) -> RequestId {
        let policy = Policy { refuse: Share::from_percent(percent).unwrap(), ..Policy::default() };
        self.command(Command::Drop { service: name(service), class: class.map(name), policy })
    }

    /// Time goes on.
    fn pass(&mut self, duration: Duration) {
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
            }
            if self.core.next_wakeup().is_some_and(|at| at <= self.now) {
                self.feed(Input::Tick);
            }
        }
    }

    fn probe(&mut self, probe: ProbeId, backend: SocketAddr) {
        let outcome = if self.dead.contains(&backend) {
            Err("connection refused".to_owned())
        } else {
            Ok(())
        };
        self.feed(Input::Probed { probe, outcome });
    }

    fn kill(&mut self, binding: &str) {
        self.dead.insert(key(binding).backend);
    }

    fn revive(&mut self, binding: &str) {
        self.dead.remove(&key(binding).backend);
    }

    /// What a switch holds for a binding.
    fn on(&self, switch: &str, binding: &str) -> Option<Phase> {
        self.held(switch, binding).map(|binding| binding.phase)
    }

    fn held(&self, switch: &str, binding: &str) -> Option<Binding> {
        self.switches[switch].state.bindings.get(&key(binding)).copied()
    }

    /// State as the operator sees it; `gone` when it is not shown.
    fn state(&self, binding: &str) -> &'static str {
        let key = key(binding);
        let views = self.core.backends(Some(&key.service), self.now);
        views.iter().find(|view| view.backend == key.backend).map_or("gone", |view| view.state)
    }

    fn view(&self, binding: &str) -> BackendView {
        let key = key(binding);
        let views = self.core.backends(Some(&key.service), self.now);
        views.into_iter().find(|view| view.backend == key.backend).expect("a known binding")
    }

    fn count(&self, kind: &str) -> usize {
        self.events.iter().filter(|event| event.kind == kind).count()
    }

    /// The answer to a request, which must have been given.
    fn reply(&self, request: RequestId) -> &Done {
        match self.replies.get(&request) {
            Some(Ok(done)) => done,
            other => panic!("no good answer: {other:?}"),
        }
    }

    fn refusal(&self, request: RequestId) -> &Refusal {
        match self.replies.get(&request) {
            Some(Err(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }
}

impl FakeSwitch {
    fn answer(&mut self, session: SessionId) -> Input {
        let delta = self.unanswered.pop().expect("a delta to answer");
        let stamp = delta.stamp;
        let message = match &self.refuses {
            Some(reason) => FromSwitch::Refused { stamp, reason: reason.clone() },
            None => {
                assert!(stamp > self.stamp, "{stamp:?} is not newer than {:?}", self.stamp);
                for change in &delta.changes {
                    self.state.apply(change).expect("a delta fits the switch");
                }
                self.stamp = stamp;
                let generation = stamp.sequence;
                FromSwitch::Applied { stamp, generation, live_after: Duration::from_micros(10) }
            }
        };
        Input::Switch { session, message }
    }
}
