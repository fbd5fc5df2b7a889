//! Any history of inputs: what must hold always, and what in the end.

use proptest::prelude::*;

use super::*;
use crate::model::{Mode, ServiceSpec, Share};

const BINDINGS: [&str; 4] =
    ["www/192.0.2.1:80", "www/192.0.2.2:80", "api/192.0.2.50:8443", "trusting/192.0.2.1:25"];
const AGENTS: [&str; 2] = ["a", "b"];
const SWITCHES: [&str; 2] = ["edge", "spare"];

/// What may be declared, as services of the file, without `trusting`.
const DECLARED: [&str; 4] = ["", "www", "www web removal", "api backend policy shop"];

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Agent { agent: usize, boot: u64, binds: Vec<usize> },
    Health { agent: usize, healthy: bool, connections: u64 },
    Silence(usize),
    Leave(usize),
    HangUp(usize),
    Slow { agent: usize, slow: bool },
    Says { agent: usize, availability: Availability, weight: Option<Weight>, percent: u32 },
    Server { binding: usize, dead: bool },
    Switch { switch: usize, connected: bool },
    Wipe(usize),
    Answers { switch: usize, held: bool, refuses: bool },
    Add(usize, Weight),
    Remove { binding: usize, force: bool, wait: bool },
    Weight(usize, Weight),
    Drop(bool, u32),
    Declare(usize),
    Disk(bool),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let binding = 0..BINDINGS.len();
    let agent = 0..AGENTS.len();
    let switch = 0..SWITCHES.len();
    prop_oneof![
        6 => (1_u64..40_000).prop_map(Step::Pass),
        4 => (agent.clone(), 1_u64..3, proptest::collection::vec(binding.clone(), 0..4))
            .prop_map(|(agent, boot, binds)| Step::Agent { agent, boot, binds }),
        3 => (agent.clone(), any::<bool>(), 0_u64..2)
            .prop_map(|(agent, healthy, connections)| Step::Health { agent, healthy, connections }),
        1 => agent.clone().prop_map(Step::Silence),
        1 => agent.clone().prop_map(Step::Leave),
        1 => agent.clone().prop_map(Step::HangUp),
        1 => (agent.clone(), any::<bool>()).prop_map(|(agent, slow)| Step::Slow { agent, slow }),
        3 => (agent.clone(), availability(), proptest::option::of(0_u16..200), 0_u32..200)
            .prop_map(|(agent, availability, weight, percent)| Step::Says {
                agent, availability, weight, percent,
            }),
        2 => (binding.clone(), any::<bool>()).prop_map(|(binding, dead)| Step::Server { binding, dead }),
        2 => (switch.clone(), any::<bool>())
            .prop_map(|(switch, connected)| Step::Switch { switch, connected }),
        1 => switch.clone().prop_map(Step::Wipe),
        1 => (switch, any::<bool>(), any::<bool>())
            .prop_map(|(switch, held, refuses)| Step::Answers { switch, held, refuses }),
        2 => (binding.clone(), 0_u16..200).prop_map(|(binding, weight)| Step::Add(binding, weight)),
        2 => (binding.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(binding, force, wait)| Step::Remove { binding, force, wait }),
        1 => (binding, 0_u16..200).prop_map(|(binding, weight)| Step::Weight(binding, weight)),
        1 => (any::<bool>(), 0_u32..100).prop_map(|(all, percent)| Step::Drop(all, percent)),
        2 => (0..DECLARED.len()).prop_map(Step::Declare),
        1 => any::<bool>().prop_map(Step::Disk),
        1 => Just(Step::Restart),
    ]
}

fn availability() -> impl Strategy<Value = Availability> {
    let cause = || "why".to_owned();
    prop_oneof![
        2 => Just(Availability::Ready),
        1 => Just(Availability::Drain { cause: cause() }),
        1 => Just(Availability::Leave { cause: cause() }),
        1 => Just(Availability::Failed { cause: cause() }),
    ]
}

/// A declaration that has what the words say.
fn declaration(words: &str) -> Declared {
    let has = |word| words.split(' ').any(|w| w == word);
    let plan = |of: &str, backends: &[(&str, Weight)], refuse: Option<f64>| {
        let of = match of {
            "shop" => ServicePlan {
                spec: ServiceSpec::tcp(
                    name("shop"),
                    "203.0.113.40:80".parse::<std::net::SocketAddr>().unwrap(),
                    Mode::L2,
                ),
                health: config::HealthSettings::default(),
                slow_start: config::SlowStart::default(),
                backends: BTreeMap::new(),
                policies: BTreeMap::new(),
            },
            _ => settings(CONFIG).services[&name(of)].clone(),
        };
        let refuse = refuse.map(|percent| {
            (
                name("bots"),
                Policy { refuse: Share::from_percent(percent).unwrap(), ..Policy::default() },
            )
        });
        let backends =
            backends.iter().map(|(backend, weight)| (backend.parse().unwrap(), (*weight, None)));
        (
            of.spec.name.clone(),
            ServicePlan {
                backends: backends.collect(),
                policies: refuse.into_iter().collect(),
                ..of
            },
        )
    };
    let mut declared = Declared::default();
    if has("www") {
        let web: &[_] = if has("web") { &[("192.0.2.1:80", 40)] } else { &[] };
        declared.services.extend([plan("www", web, Some(5.0))]);
    }
    if has("api") {
        let backend: &[_] = if has("backend") { &[("192.0.2.50:8443", 20)] } else { &[] };
        declared.services.extend([plan("api", backend, has("policy").then_some(25.0))]);
    }
    if has("shop") {
        declared.services.extend([plan("shop", &[("192.0.2.60:80", 1)], None)]);
    }
    if has("removal") {
        declared.removals.insert(key("www/192.0.2.2:80"), Withdrawal::default());
        declared.weights.insert(key("www/192.0.2.1:80"), 60);
    }
    declared
}

impl World {
    /// Applies a declaration: all of it, or nothing.
    fn declare(&mut self, words: &str) {
        let before = (self.core.intent.clone(), self.core.desired.clone());
        let request = self.apply(declaration(words), false, true);
        let by_then = self.core.clone();
        if matches!(self.replies.get(&request), Some(Err(_))) {
            assert_eq!(before, (self.core.intent.clone(), self.core.desired.clone()));
            return;
        }
        let again = self.apply(declaration(words), true, true);
        assert_eq!(self.reply(again).alterations, [], "{words}: {:#?}", by_then.declared());
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(millis) => self.pass(Duration::from_millis(millis)),
            Step::Agent { agent, boot, binds } => {
                let binds: Vec<_> = binds.into_iter().map(|bind| BINDINGS[bind]).collect();
                self.agent(AGENTS[agent], boot, &binds);
            }
            Step::Health { agent, healthy, connections } => {
                if let Some(agent) = self.agents.get_mut(AGENTS[agent]) {
                    agent.health = if healthy { Ok(()) } else { Err("bad".to_owned()) };
                    agent.connections = connections;
                }
            }
            Step::Silence(agent) => {
                if let Some(agent) = self.agents.get_mut(AGENTS[agent]) {
                    agent.silent = true;
                }
            }
            Step::Leave(agent) if self.agents.contains_key(AGENTS[agent]) => {
                self.leave(AGENTS[agent])
            }
            Step::HangUp(agent) if self.agents.contains_key(AGENTS[agent]) => {
                self.hang_up(AGENTS[agent]);
            }
            Step::Leave(_) | Step::HangUp(_) => {}
            Step::Slow { agent, slow } => {
                if let Some(agent) = self.agents.get_mut(AGENTS[agent]) {
                    agent.slow = slow;
                }
            }
            Step::Says { agent, availability, weight, percent } => {
                let agent = AGENTS[agent];
                if self.agents.get(agent).is_some_and(|agent| !agent.silent) {
                    let application = Application { availability, weight, percent };
                    self.set_agent(agent, |agent| agent.application = application);
                }
            }
            Step::Server { binding, dead: true } => self.kill(BINDINGS[binding]),
            Step::Server { binding, dead: false } => self.revive(BINDINGS[binding]),
            Step::Switch { switch, connected } => {
                let name = SWITCHES[switch];
                let now = self.switches.get(name).is_some_and(|switch| switch.session.is_some());
                match (now, connected) {
                    (false, true) => {
                        // Every other one probes.
                        self.switches.entry(name.to_owned()).or_default().able = switch % 2 == 1;
                        self.connect(name);
                    }
                    (true, false) => self.disconnect(name),
                    _ => {}
                }
            }
            Step::Wipe(switch) => {
                let wiped = self.switches.get_mut(SWITCHES[switch]);
                if let Some(switch) = wiped.filter(|switch| switch.session.is_none()) {
                    *switch = FakeSwitch::default();
                }
            }
            Step::Answers { switch, held, refuses } => {
                let name = SWITCHES[switch];
                let Some(switch) = self.switches.get_mut(name) else { return };
                switch.refuses = refuses.then(|| "no".to_owned());
                switch.held = held;
                if !held {
                    self.release(name);
                }
            }
            Step::Add(binding, weight) => drop(self.add(BINDINGS[binding], weight)),
            Step::Remove { binding, force, wait } => {
                let key = key(BINDINGS[binding]);
                self.command(Command::Remove { key, force, deadline: None, wait });
            }
            Step::Weight(binding, weight) => drop(self.weight(BINDINGS[binding], weight)),
            Step::Drop(all, percent) => {
                let class = if all { None } else { Some("bots") };
                self.drop_share("www", class, f64::from(percent));
            }
            Step::Declare(which) => self.declare(DECLARED[which]),
            Step::Disk(works) => self.disk_error = (!works).then(|| "full".to_owned()),
            Step::Restart => self.restart(),
        }
    }

    /// What holds after every input.
    fn check(&self) {
        let core = &self.core;
        for (key, record) in &core.bindings {
            let held = core.desired.bindings.get(key);
            assert_eq!(held.map(|held| held.phase), record.state.phase(), "{key}: {record:?}");
            assert!(
                core.known.bindings.contains_key(key),
                "{key} is not in the table of known ones"
            );
            let serves = held.is_some_and(|held| held.phase == Phase::Serve);
            if core.verdict(key) == health::Verdict::Healthy {
                let waits = core.is_being_closed(key) || core.held_back(key).is_some();
                assert!(serves || waits, "{key} is vouched for and healthy: {record:?}");
            }
            assert!(
                !(serves && core.closing.contains_key(key)),
                "{key}: new connections may be closed"
            );
            let claim = record.agent.as_ref().and_then(|name| core.agents[name].binds.get(key));
            if let Some(claim) = claim.filter(|_| serves) {
                assert_eq!(
                    claim.application.availability,
                    Availability::Ready,
                    "{key}: {record:?}"
                );
            }
            if record.state == bindings::State::Active {
                assert!(core.vouched(key), "{key} serves and nobody vouches for it: {record:?}");
            }
            let probed = !core.probe_views(key, &record.probes).is_empty();
            assert_eq!(probed, core.is_probed(key) && core.vouched(key), "{key}: {record:?}");
        }
        for key in core.desired.bindings.keys() {
            assert!(core.bindings.contains_key(key), "{key} is desired and unknown");
        }
        let running = core.bindings.iter().map(|(key, r)| core.probe_views(key, &r.probes).len());
        assert_eq!(core.probes.len(), running.sum::<usize>());
        let theirs = self.switches.values().filter(|switch| switch.session.is_some());
        let mut asked: Vec<_> = theirs.flat_map(|switch| switch.probes.keys()).collect();
        asked.extend(self.probes.keys());
        asked.sort();
        assert_eq!(core.probes.keys().collect::<Vec<_>>(), asked);
        if self.disk_error.is_none() && core.saving.error.is_none() {
            assert_eq!(self.disk, core.intent, "the intent is on disk");
        }
        for (name, switch) in &self.switches {
            let quiet = switch.session.is_some() && switch.unanswered.is_empty();
            if quiet
                && switch.refuses.is_none()
                && core.switches[&name.parse().unwrap()].refused.is_none()
            {
                assert_eq!(switch.state, core.desired, "switch {name} has answered everything");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_history(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        let mut asked = Vec::new();
        for step in steps {
            let restarts = matches!(step, Step::Restart);
            let last = world.last;
            let is_command = matches!(
                step,
                Step::Add(..) | Step::Remove { .. } | Step::Weight(..) | Step::Drop(..)
                    | Step::Declare(..)
            );
            world.step(step);
            world.check();
            if restarts {
                asked.clear();
            } else if is_command {
                asked.push(RequestId(last + 1));
            }
        }
        // Trouble ends: everyone answers, and time goes by.
        world.disk_error = None;
        for switch in SWITCHES {
            if let Some(switch) = world.switches.get_mut(switch) {
                switch.refuses = None;
            }
            if world.switches.contains_key(switch) {
                world.release(switch);
            }
            if world.switches.get(switch).is_none_or(|switch| switch.session.is_none()) {
                world.connect(switch);
            }
        }
        world.pass(Duration::from_secs(300));
        world.check();
        for switch in SWITCHES {
            prop_assert_eq!(&world.switches[switch].state, world.core.desired());
        }
        prop_assert_eq!(&world.disk, world.core.intent());
        for request in asked {
            prop_assert!(world.replies.contains_key(&request), "{request:?} was never answered");
        }
    }
}
