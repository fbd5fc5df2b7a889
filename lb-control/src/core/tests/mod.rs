//! Scenarios: a core, and a small world of agents, switches, backends and a
//! disk around it that do what the real ones would.

mod agent_check;
mod applications;
mod authority;
mod closing;
mod declaring;
mod draining;
mod drifting;
mod external;
mod feedback;
mod freezing;
mod inheriting;
mod leaving;
mod odd_sessions;
mod operating;
mod peers;
mod probing;
mod random;
mod restarting;
mod server_ids;
mod steadiness;
mod switching;
mod vouching;
mod why;
mod world;

use std::{collections::BTreeMap, path::Path, time::Duration};

use self::{peers::FakeSwitch, world::World};
use super::*;
use crate::{
    config,
    model::{
        AgentHello, Application, Availability, BackendReport, Binding, FromAgent, FromSwitch,
        Heartbeat, Hello, Phase, Policy, Stamp, ToAgent, Weight,
    },
};

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
slow_start = { duration = "20s", from_percent = 0 }
"#;

/// What most scenarios are about.
const WEB: &str = "www/192.0.2.1:80";
const OTHER: &str = "www/192.0.2.2:80";

fn settings(config: &str) -> CoreSettings {
    let settings = config::parse(config, Path::new("test.toml")).expect("a valid file");
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

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
