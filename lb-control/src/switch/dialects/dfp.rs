//! A balancer that takes weights by DFP, such as one of Cisco's: it connects to us
//! as a DFP manager, and is told the weight of each server of IPv4, by address, port
//! and protocol.
//!
//! Weights are all there is. A server that drains, is broken or has gone has weight 0
//! (the last for [`GONE`](crate::dfp::GONE), since DFP has no word for it), and the
//! balancer must know services and servers from its own configuration. It cannot be
//! read: what it holds is what this process has told it, and each connection is told
//! all of it. While no balancer is connected, it goes by its own static weights.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use serde::Deserialize;
use tokio::time::timeout;

use super::{Dialect, options};
use crate::{
    dfp::{Agent, Weights},
    model::{DfpServer, Prefix},
    switch::{Capabilities, Count, Device, Failure, Plan},
};

pub(super) static DIALECT: Dialect = Dialect {
    kind: "dfp",
    about: "a balancer that takes weights by DFP, such as one of Cisco's",
    needs: &[],
    make: |settings| {
        let options: Options = options(settings)?;
        let device = Dfp { options, timeout: settings.timeout, agent: None, told: Plan::default() };
        Ok(Box::new(device))
    },
};

/// `[switch.options]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Where balancers connect, such as `"0.0.0.0:8080"`.
    listen: SocketAddr,
    /// Where they may come from: others are sent away. DFP proves nobody's name.
    /// Default: from anywhere.
    #[serde(default)]
    balancers: Vec<Prefix>,
}

struct Dfp {
    options: Options,
    timeout: Duration,
    agent: Option<Agent>,
    told: Plan,
}

impl Dfp {
    fn nobody(&self) -> Failure {
        Failure::Lost(format!("no balancer is connected to {}", self.options.listen))
    }
}

#[async_trait]
impl Device for Dfp {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            weights: Some(u16::MAX.into()),
            drain: false,
            breaks: false,
            admission: false,
            ipv6: false,
            udp: true,
            counters: false,
        }
    }

    fn description(&self) -> String {
        let balancers = self.agent.as_ref().map_or(0, Agent::managers);
        format!("DFP at {}, balancers connected: {balancers}", self.options.listen)
    }

    async fn read(&mut self) -> Result<Plan, Failure> {
        let agent = match &self.agent {
            Some(agent) => agent,
            None => {
                let Options { listen, balancers } = &self.options;
                let agent = Agent::listen(*listen, balancers.clone()).await.map_err(|error| {
                    Failure::Lost(format!("cannot listen on {listen}, its `listen`: {error}"))
                })?;
                self.agent.insert(agent)
            }
        };
        match timeout(self.timeout, agent.connected()).await {
            Ok(()) => Ok(self.told.clone()),
            Err(_) => Err(self.nobody()),
        }
    }

    async fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        let Some(agent) = &self.agent else { return Err(self.nobody()) };
        let (weights, contradictions) = weights(plan);
        agent.tell(weights);
        if timeout(self.timeout, agent.told()).await.is_err() {
            return Err(Failure::Lost(format!("it was not told within {:?}", self.timeout)));
        }
        if agent.managers() == 0 {
            return Err(self.nobody());
        }
        self.told = plan.clone();
        contradictions.map_or(Ok(()), |why| Err(Failure::Refused(why)))
    }

    async fn poll(&mut self) -> Result<Vec<Count>, Failure> {
        match &self.agent {
            Some(agent) if agent.managers() > 0 => Ok(Vec::new()),
            _ => Err(self.nobody()),
        }
    }
}

/// What to tell of a plan, and what of it DFP cannot say: to it a server is an
/// address, a port and a protocol, whatever service it is in. The larger of several
/// weights is told.
fn weights(plan: &Plan) -> (Weights, Option<String>) {
    let mut weights = Weights::new();
    let mut contradiction = None;
    for (name, service) in &plan.services {
        for (&server, planned) in &service.servers {
            let SocketAddr::V4(address) = server else { continue };
            let weight = u16::try_from(planned.weight).unwrap_or(u16::MAX);
            for &protocol in service.protocol.numbers() {
                let key = DfpServer { port: address.port(), protocol, address: *address.ip() };
                let told = weights.entry(key).or_insert(weight);
                if *told != weight {
                    *told = weight.max(*told);
                    contradiction.get_or_insert_with(|| {
                        format!(
                            "{server} has weight {weight} in service `{name}` and another in \
                             another service: DFP has one weight for a server, and the larger is \
                             told; set `services` of this switch so that it is in one of them"
                        )
                    });
                }
            }
        }
    }
    (weights, contradiction)
}

#[cfg(test)]
mod tests;
