//! An adapter out of a device.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{Adapter, Count, Device, Failure, Held, Live, Plan, Report, Shape, lift};
use crate::model::{BackendCount, Counters, Delta, ServiceSpec, Stamp, SwitchState};

/// A device as the core sees it: a switch that holds all of the state.
pub struct Planned {
    device: Box<dyn Device>,
    shape: Shape,
    pause: Duration,
    /// Between two looks whether it is as planned.
    verify: Duration,
    verified: Instant,
    /// What it holds, in the core's words.
    state: SwitchState,
    stamp: Stamp,
    generation: u64,
    /// It holds something that is not in the plan and that the core cannot see.
    untidy: bool,
    /// What a delta makes, and its stamp, until it is known whether it was done: its
    /// answer may be lost.
    under_way: Option<(SwitchState, Stamp)>,
    /// The last delta was refused: what it holds is between two plans.
    torn: bool,
}

impl Planned {
    /// `services` are those that the device may hold, as far as they are known: what
    /// is found there is taken for theirs.
    pub fn new(
        device: Box<dyn Device>,
        shape: Shape,
        (pause, verify): (Duration, Duration),
        services: impl IntoIterator<Item = ServiceSpec>,
    ) -> Self {
        let services = services.into_iter().map(|spec| (spec.name.clone(), spec)).collect();
        Self {
            device,
            shape,
            pause,
            verify,
            verified: Instant::now(),
            state: SwitchState { services, ..SwitchState::default() },
            stamp: Stamp::default(),
            generation: 0,
            untidy: false,
            under_way: None,
            torn: false,
        }
    }

    fn plan(&self) -> Plan {
        Plan::of(&self.state, &self.shape).0
    }

    async fn held(&mut self) -> Result<Plan, Failure> {
        let held = self.device.read().await?;
        Ok(lift::named_as(held, &self.plan()))
    }
}

/// Services without servers are alike on a device that has none of them.
fn same(held: &Plan, planned: &Plan) -> bool {
    let filled = |plan: &Plan| {
        let mut plan = plan.clone();
        plan.services.retain(|_, service| !service.servers.is_empty());
        plan
    };
    filled(held) == filled(planned)
}

#[async_trait]
impl Adapter for Planned {
    async fn read(&mut self) -> Result<Held, Failure> {
        let held = self.held().await?;
        self.verified = Instant::now();
        self.torn = false;
        if let Some((target, stamp)) = self.under_way.take()
            && same(&held, &Plan::of(&target, &self.shape).0)
        {
            (self.state, self.stamp) = (target, stamp);
            self.generation += 1;
        }
        self.state = lift::lift(&held, &self.state, &self.shape);
        self.untidy = !same(&held, &self.plan());
        if held.services.values().all(|service| service.servers.is_empty()) {
            self.stamp = Stamp::default();
        }
        Ok(Held {
            state: self.state.clone(),
            stamp: self.stamp,
            generation: self.generation,
            description: format!("{} ({})", self.device.description(), self.shape.capabilities),
            probes: false,
        })
    }

    async fn apply(&mut self, delta: &Delta) -> Result<Live, Failure> {
        let mut target = self.state.clone();
        for change in delta.changes.iter() {
            target.apply(change).map_err(|error| Failure::Refused(error.to_string()))?;
        }
        let (plan, lacks) = Plan::of(&target, &self.shape);
        self.torn = true;
        self.under_way = Some((target.clone(), delta.stamp));
        let applied = self.device.apply(&plan).await;
        if !matches!(applied, Err(Failure::Lost(_))) {
            self.under_way = None;
        }
        applied?;
        self.torn = false;
        self.untidy = false;
        self.verified = Instant::now();
        self.state = target;
        self.stamp = delta.stamp;
        self.generation += 1;
        Ok(Live { generation: self.generation, lacks })
    }

    async fn poll(&mut self) -> Result<Report, Failure> {
        let counts = self.device.poll().await?;
        if self.untidy {
            self.device.apply(&self.plan()).await?;
            self.untidy = false;
        }
        if !self.torn && self.verified.elapsed() >= self.verify {
            self.verified = Instant::now();
            let held = self.held().await?;
            if !same(&held, &self.plan()) {
                return Ok(Report { drifted: true, ..Report::default() });
            }
        }
        let counted = self.shape.capabilities.counters;
        Ok(Report { counters: counted.then(|| self.counters(&counts)), drifted: false })
    }

    fn pause(&self) -> Duration {
        self.pause
    }
}

impl Planned {
    /// An external switch remembers each of its connections; packets it does not
    /// count in a way that all dialects have.
    fn counters(&self, counts: &[Count]) -> Counters {
        let of = |count: &Count| BackendCount {
            key: count.key.clone(),
            packets: 0,
            bytes: 0,
            reply_packets: 0,
            reply_bytes: 0,
            new_connections: count.total,
            remembered_flows: count.connections,
            unreachable: None,
        };
        let known = |count: &&Count| self.state.bindings.contains_key(&count.key);
        Counters {
            backends: counts.iter().filter(known).map(of).collect(),
            generation: self.generation,
            remembered_flows: counts.iter().map(|count| count.connections).sum(),
            ..Counters::default()
        }
    }
}
