//! External switches as the core sees them, over a device made of nothing but its plan.

mod lifting;
mod planning;
mod sessions;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;

use super::{Capabilities, Count, Device, Failure, Plan, Shape};
use crate::model::{
    Binding, BindingKey, Mode, Name, Phase, Policy, ServiceSpec, Share, SwitchState, Weight,
};

/// A device that can do everything, but refuse connections.
const ABLE: Capabilities = Capabilities {
    weights: Some(256),
    drain: true,
    breaks: true,
    admission: false,
    ipv6: true,
    udp: true,
    counters: true,
};

const SINK: &str = "192.0.2.99:9";

fn name(name: &str) -> Name {
    name.parse().unwrap()
}

fn address(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn key(service: &str, backend: &str) -> BindingKey {
    BindingKey { service: name(service), backend: address(backend) }
}

fn shape(capabilities: Capabilities) -> Shape {
    Shape { capabilities, services: None, drop_servers: vec![address(SINK)] }
}

fn service(service: &str, vip: &str) -> ServiceSpec {
    ServiceSpec::tcp(name(service), address(vip), Mode::L2)
}

/// Service `www` with these servers.
fn www(servers: &[(&str, Weight)]) -> SwitchState {
    let mut state = SwitchState::default();
    state.services.insert(name("www"), service("www", "203.0.113.10:80"));
    for &(backend, weight) in servers {
        state.bindings.insert(key("www", backend), Binding::new(weight, Phase::Serve));
    }
    state
}

fn refuse(state: &mut SwitchState, class: &str, percent: f64) {
    let refuse = Share::from_percent(percent).unwrap();
    state.policies.insert((name("www"), name(class)), Policy { refuse, ..Policy::default() });
}

/// What a device holds, and how it behaves.
#[derive(Debug, Default)]
struct Box2002 {
    holds: Plan,
    /// Says this to any change.
    refuses: Option<String>,
    /// The next call fails so.
    fails: Option<Failure>,
    /// The next change is made, and its answer lost.
    mute: bool,
    counts: Vec<Count>,
    applied: usize,
}

/// A handle of a device; the other one is the test's.
#[derive(Clone, Debug, Default)]
struct Fake(Arc<Mutex<Box2002>>);

impl Fake {
    fn inside(&self) -> MutexGuard<'_, Box2002> {
        self.0.lock().unwrap()
    }

    fn fault(&self) -> Result<(), Failure> {
        self.inside().fails.take().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Device for Fake {
    fn capabilities(&self) -> Capabilities {
        ABLE
    }

    fn description(&self) -> String {
        "fake".to_owned()
    }

    async fn read(&mut self) -> Result<Plan, Failure> {
        self.fault()?;
        Ok(self.inside().holds.clone())
    }

    async fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        self.fault()?;
        let mut inside = self.inside();
        if let Some(words) = &inside.refuses {
            return Err(Failure::Refused(words.clone()));
        }
        inside.holds = plan.clone();
        inside.applied += 1;
        if std::mem::take(&mut inside.mute) {
            return Err(Failure::Lost("no answer".to_owned()));
        }
        Ok(())
    }

    async fn poll(&mut self) -> Result<Vec<Count>, Failure> {
        self.fault()?;
        Ok(self.inside().counts.clone())
    }
}
