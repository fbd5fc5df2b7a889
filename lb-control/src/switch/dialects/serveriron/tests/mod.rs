//! Plans, steps and the driver, in a language that is never misunderstood.

mod driving;
mod goals;
mod stepping;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddrV4},
};

use async_trait::async_trait;

use super::{
    config::{Activity, Bind, Config, Doing, PortDoing},
    driver::{Driver, Language, Outcome},
    options::Common,
    steps::Step,
};
use crate::{
    model::{Phase, Protocol, Share, Verdict},
    switch::{Failure, Plan, PlannedServer, PlannedService},
};

const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 50);
const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

fn bind(service: u16, server: SocketAddrV4) -> Bind {
    Bind { service: at(VIP, service), server }
}

fn serve(weight: u32) -> PlannedServer {
    PlannedServer { weight, phase: Phase::Serve }
}

const DRAIN: PlannedServer = PlannedServer { weight: 0, phase: Phase::Drain };
const BREAK: PlannedServer = PlannedServer { weight: 0, phase: Phase::Break };

/// A service: its name, its port, and its servers.
type Row<'a> = (&'a str, u16, &'a [(SocketAddrV4, PlannedServer)]);

/// A plan of services at ports of one address.
fn plan(services: &[Row<'_>]) -> Plan {
    let service = |(name, port, servers): &Row<'_>| {
        let servers = servers.iter().map(|(at, server)| ((*at).into(), *server)).collect();
        let service = PlannedService {
            address: VIP.into(),
            port: *port,
            protocol: Protocol::Tcp,
            servers,
            refuse: Share::NONE,
            verdict: Verdict::default(),
        };
        (name.parse().expect("a name"), service)
    };
    Plan { services: services.iter().map(service).collect() }
}

/// A box in memory.
#[derive(Default)]
struct Fake {
    config: Config,
    /// Connections that ports have.
    connections: BTreeMap<SocketAddrV4, u64>,
    /// Real servers that a deletion has not done with.
    lingers: BTreeSet<Ipv4Addr>,
    /// Steps that it refuses.
    refuses: Vec<Step>,
    /// All that were taken, and how often it was asked what it has.
    log: Vec<Step>,
    reads: usize,
    saves: usize,
    lost: bool,
}

#[async_trait]
impl Language for Fake {
    const BREAKS: bool = true;

    fn description(&self) -> String {
        "a box in memory".into()
    }

    fn hang_up(&mut self) {
        self.lost = false;
    }

    async fn config(&mut self) -> Result<Config, Failure> {
        self.reads += 1;
        Ok(self.config.clone())
    }

    async fn activity(&mut self) -> Result<Activity, Failure> {
        let mut activity = Activity::default();
        for (address, real) in &self.config.reals {
            let port = |port: &u16| {
                let connections = self.connections.get(&at(*address, *port)).copied();
                let connections = connections.unwrap_or(0);
                (*port, PortDoing { connections, total: connections + 100, going: false })
            };
            let ports = real.ports.keys().map(port).collect();
            activity.reals.insert(*address, Doing { going: false, ports });
        }
        for address in &self.lingers {
            activity.reals.entry(*address).or_default().going = true;
        }
        Ok(activity)
    }

    async fn run(&mut self, steps: &[Step], config: &mut Config) -> Result<Outcome, Failure> {
        if self.lost {
            return Err(Failure::Lost("it is gone".into()));
        }
        let mut outcome = Outcome::default();
        for step in steps {
            if self.refuses.contains(step) {
                outcome.refusals.push(format!("no {step:?}"));
                continue;
            }
            if let Step::Port(server, true) = step {
                let disabled = self.config.enabled(*server) == Some(false);
                let busy = self.connections.get(server).is_some_and(|count| *count > 0);
                assert!(!(disabled && busy), "the reverse command in a graceful shutdown");
            }
            self.config.take(step);
            config.take(step);
            self.log.push(step.clone());
            outcome.taken.push(step.clone());
        }
        Ok(outcome)
    }

    async fn save(&mut self) -> Result<(), Failure> {
        self.saves += 1;
        Ok(())
    }

    async fn same_start(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

fn driver(fake: Fake) -> Driver<Fake> {
    Driver::new(fake, Common::new(BTreeMap::new(), None).expect("good options"))
}
