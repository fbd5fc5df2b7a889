//! A ServerIron as a device, whatever language it is spoken to.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
};

use async_trait::async_trait;

use super::{
    config::{Activity, Config},
    goal::{Goal, Want},
    options::Common,
    steps::{Memory, Step, Todo, steps},
};
use crate::{
    model::{BindingKey, Name, Phase, Protocol, Share, Verdict},
    switch::{Capabilities, Count, Device, Failure, Plan, PlannedServer, PlannedService},
};

/// Rounds of looking and writing in one call: disable, then unbind and delete, then
/// the virtual server; one more sees that nothing is left.
const ROUNDS: usize = 4;

/// A language that a ServerIron understands, over one connection.
#[async_trait]
pub(super) trait Language: Send {
    /// What it has to say.
    const BREAKS: bool;

    /// For people.
    fn description(&self) -> String;

    /// Ends the connection, where there is one.
    fn hang_up(&mut self);

    /// All of the configuration, connecting first where need be.
    async fn config(&mut self) -> Result<Config, Failure>;

    /// What real servers are doing.
    async fn activity(&mut self) -> Result<Activity, Failure>;

    /// Takes steps, each that can be taken, and tells `config` of them.
    async fn run(&mut self, steps: &[Step], config: &mut Config) -> Result<Outcome, Failure>;

    /// Keeps the configuration through a reboot, where that is asked for.
    async fn save(&mut self) -> Result<(), Failure>;

    /// Whether it is still the same start of the box.
    async fn same_start(&mut self) -> Result<(), Failure>;
}

/// What became of steps.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub taken: Vec<Step>,
    /// In the box's own words.
    pub refusals: Vec<String>,
}

/// The device.
pub(super) struct Driver<L> {
    language: L,
    options: Common,
    /// A call is under way; or one was given up.
    torn: bool,
    /// As read, and with what was written since; None: to be read.
    held: Option<Config>,
    /// As last asked for, over this connection.
    plan: Option<Plan>,
    /// Something of the plan waits for connections to end.
    waits: bool,
    memory: Memory,
    /// What services are called at the manager.
    names: BTreeMap<SocketAddrV4, Name>,
}

impl<L: Language> Driver<L> {
    pub fn new(language: L, options: Common) -> Self {
        Self {
            language,
            options,
            torn: false,
            held: None,
            plan: None,
            waits: false,
            memory: Memory::default(),
            names: BTreeMap::new(),
        }
    }

    #[cfg(test)]
    pub fn language(&mut self) -> &mut L {
        &mut self.language
    }

    /// Forgets what was known of a connection that has ended.
    fn hang_up(&mut self) {
        self.language.hang_up();
        self.held = None;
        self.plan = None;
        self.waits = false;
        self.memory.broken.clear();
        self.memory.deleted.clear();
    }

    /// Marks a call as over; a lost connection is ended.
    fn over<T>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.torn = false;
        if matches!(result, Err(Failure::Lost(_) | Failure::Rebooted(_))) {
            self.hang_up();
        }
        result
    }

    /// Makes the box have the goal as far as it can be had now. Returns what stands
    /// against it.
    async fn reach(&mut self, goal: &Goal) -> Result<Vec<String>, Failure> {
        let breaks =
            |address: &Ipv4Addr| goal.ports_of(*address).any(|(_, want)| want == Want::Break);
        self.memory.broken.retain(breaks);
        let mut refusals = Vec::new();
        let mut changed = false;
        for _ in 0..ROUNDS {
            let mut held = match self.held.take() {
                Some(held) => held,
                None => self.language.config().await?,
            };
            let mut todo = self.todo(goal, &held, None);
            if todo.look {
                let activity = self.language.activity().await?;
                self.memory.deleted.retain(|address| activity.reals.contains_key(address));
                todo = self.todo(goal, &held, Some(&activity));
            }
            self.waits = todo.waits;
            refusals = todo.refusals;
            if todo.steps.is_empty() {
                self.held = Some(held);
                break;
            }
            let outcome = self.language.run(&todo.steps, &mut held).await?;
            changed |= !outcome.taken.is_empty();
            self.remember(&outcome.taken);
            if !outcome.refusals.is_empty() {
                // What it has now is read, not guessed, before more is written.
                refusals.splice(0..0, outcome.refusals);
                if outcome.taken.is_empty() {
                    break;
                }
                continue;
            }
            self.held = Some(held);
        }
        if changed {
            self.language.save().await?;
        }
        Ok(refusals)
    }

    fn todo(&self, goal: &Goal, held: &Config, activity: Option<&Activity>) -> Todo {
        steps(goal, held, activity, &self.memory, &self.options.virtual_servers)
    }

    fn remember(&mut self, taken: &[Step]) {
        for step in taken {
            match step {
                Step::AddVirtual(address, _) => {
                    self.memory.made.insert(SocketAddrV4::new(*address, 0));
                }
                Step::AddVirtualPort(service) => {
                    self.memory.made.insert(*service);
                }
                Step::RemoveVirtual(address) => {
                    self.memory.made.retain(|service| service.ip() != address);
                }
                Step::RemoveVirtualPort(service) => {
                    self.memory.made.remove(service);
                }
                Step::Break(address) => {
                    self.memory.broken.insert(*address);
                }
                Step::RemoveReal(address) => {
                    self.memory.deleted.insert(*address);
                }
                _ => {}
            }
        }
    }

    /// What it has of ours, in the manager's words. A server that is on its way out is
    /// not told of: it is gone for the plan.
    fn lift(&self, held: &Config) -> Plan {
        let mut plan = Plan::default();
        for bind in held.our_binds() {
            let Some(name) = self.service_name(bind.service, held) else { continue };
            let asked = self.plan.as_ref().and_then(|plan| plan.services.get(&name));
            let asked = asked.and_then(|service| service.servers.get(&bind.server.into()));
            let weight = held.reals.get(bind.server.ip()).map_or(0, |real| real.weight);
            let server = match (held.enabled(bind.server), asked) {
                (Some(true), _) => PlannedServer { weight, phase: Phase::Serve },
                (_, None) if self.plan.is_some() => continue,
                (_, Some(asked)) if asked.phase != Phase::Serve => *asked,
                (_, _) => PlannedServer { weight: 0, phase: Phase::Drain },
            };
            let service = plan.services.entry(name).or_insert_with(|| PlannedService {
                address: IpAddr::V4(*bind.service.ip()),
                port: bind.service.port(),
                protocol: Protocol::Tcp,
                servers: BTreeMap::new(),
                refuse: Share::NONE,
                verdict: Verdict::default(),
            });
            service.servers.insert(bind.server.into(), server);
        }
        plan
    }

    /// What the manager calls a service: as it did before, as the options say, or as
    /// the virtual server is named, where that says which of its ports is meant.
    fn service_name(&self, service: SocketAddrV4, held: &Config) -> Option<Name> {
        if let Some(name) = self.names.get(&service) {
            return Some(name.clone());
        }
        let virtual_name = held.virtual_name(*service.ip()).unwrap_or_default();
        let mapped = self.options.virtual_servers.iter().filter(|(_, name)| *name == virtual_name);
        let mapped: Vec<_> = mapped.map(|(service, _)| service.as_str()).collect();
        let named = match *mapped.as_slice() {
            [] => virtual_name,
            [one] => one,
            _ => "",
        };
        let alone = |server: &super::config::Virtual| server.ports.len() <= 1;
        let alone = held.virtuals.get(service.ip()).is_some_and(alone);
        let named = if alone { named.parse().ok() } else { None };
        named.or_else(|| format!("{}-{}", service.ip(), service.port()).parse().ok())
    }

    fn counts(&self, held: &Config, activity: &Activity) -> Vec<Count> {
        // A port in two services is counted once.
        let mut counted = std::collections::BTreeSet::new();
        let mut counts = Vec::new();
        for bind in held.our_binds().filter(|bind| counted.insert(bind.server)) {
            let doing = activity.of(bind.server);
            let Some(service) = self.service_name(bind.service, held) else { continue };
            let key = BindingKey { service, backend: SocketAddr::V4(bind.server) };
            counts.push(Count { key, connections: doing.connections, total: doing.total });
        }
        counts
    }

    async fn look(&mut self) -> Result<Vec<Count>, Failure> {
        self.language.same_start().await?;
        let activity = self.language.activity().await?;
        if let Some(held) = &self.held {
            let gone = held.ours().next().is_some()
                && held.ours().all(|(address, _)| !activity.reals.contains_key(&address));
            if gone {
                return Err(Failure::Rebooted("none of our real servers is there".into()));
            }
        }
        if self.waits
            && let Some(plan) = &self.plan
        {
            let refusals = self.reach(&Goal::of(&plan.clone())).await?;
            // What waits is no news: whoever asked for it was told. What the box says is.
            if self.held.is_none()
                && let Some(refusal) = refusals.into_iter().next()
            {
                return Err(Failure::Refused(refusal));
            }
        }
        Ok(self.held.as_ref().map(|held| self.counts(held, &activity)).unwrap_or_default())
    }
}

#[async_trait]
impl<L: Language> Device for Driver<L> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            weights: Some(self.options.max_weight),
            drain: true,
            breaks: L::BREAKS,
            admission: false,
            ipv6: false,
            udp: false,
            counters: true,
        }
    }

    fn description(&self) -> String {
        self.language.description()
    }

    async fn read(&mut self) -> Result<Plan, Failure> {
        if std::mem::replace(&mut self.torn, true) {
            self.hang_up();
        }
        let read = self.language.config().await;
        let held = self.over(read)?;
        let plan = self.lift(&held);
        self.held = Some(held);
        Ok(plan)
    }

    async fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        let goal = Goal::of(plan);
        self.names.extend(goal.services.iter().map(|(at, name)| (*at, name.clone())));
        self.plan = Some(plan.clone());
        self.torn = true;
        let reached = self.reach(&goal).await;
        let refusals = self.over(reached)?;
        match refusals.into_iter().next() {
            Some(refusal) => Err(Failure::Refused(refusal)),
            None => Ok(()),
        }
    }

    async fn poll(&mut self) -> Result<Vec<Count>, Failure> {
        self.torn = true;
        let looked = self.look().await;
        self.over(looked)
    }
}
