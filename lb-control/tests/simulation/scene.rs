//! The cast: what the manager is configured with, and who is there.

use std::{path::Path, sync::LazyLock, time::Duration};

use lb_control::{
    config::{self, ProbeKind},
    core::CoreSettings,
    model::{BindingKey, Name, ProbePath},
};

const CONFIG: &str = r#"
[manager]
learning = "3s"
missed_heartbeats = 4
down_grace = "4s"
drain_deadline = "5s"
break_linger = "3s"
freeze_percent = 50.0
freeze_window = "2s"

[manager.flap_damping]
losses = 0

[[class]]
name = "bots"
sources = ["198.51.100.0/24"]

[[service]]
name = "www"
address = "203.0.113.10:80"
mode = "l2"
health = { interval = "1s", fall = 2 }

[[service]]
name = "api"
address = "203.0.113.20:443"
mode = "nat"
health = { interval = "1s", rise = 2, fall = 2 }
backend = [{ address = "192.0.2.50:8443", weight = 10 }]
policy = [{ class = "bots", refuse_percent = 25.0 }]

[[service]]
name = "mail"
address = "203.0.113.30:25"
mode = "nat"
health = { probe = "none" }
"#;

/// Agents by name and what they bind. The fifth is a second process with the
/// first one's name; the sixth wants what is the second one's.
const AGENTS: [(&str, &[&str]); 6] = [
    ("s1", &["www/192.0.2.1:80", "mail/192.0.2.1:25"]),
    ("s2", &["www/192.0.2.2:80", "mail/192.0.2.2:25"]),
    ("s3", &["www/192.0.2.3:80", "api/192.0.2.3:8443"]),
    ("s4", &["www/192.0.2.4:80", "www/192.0.2.14:80"]),
    ("s1", &["www/192.0.2.1:80", "mail/192.0.2.1:25"]),
    ("s5", &["www/192.0.2.2:80"]),
];

/// Those of the agents that are there from the start and at the end.
pub const RESIDENTS: usize = 4;
pub const EDGES: [&str; 3] = ["east", "west", "north"];
/// Between two heartbeats.
pub const BEAT: Duration = Duration::from_millis(500);
/// After this silence an agent is lost.
pub const TIMEOUT: Duration = Duration::from_millis(4 * 500);
/// How long an operator waits for an answer at the most.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// So much of a service, if it is lost within the window, freezes it.
pub const FREEZE_PERCENT: f64 = 50.0;
pub const FREEZE_WINDOW: Duration = Duration::from_secs(2);

/// What the simulated manager is configured with.
pub fn settings() -> &'static CoreSettings {
    static SETTINGS: LazyLock<CoreSettings> = LazyLock::new(|| {
        let settings = config::parse(CONFIG, Path::new("simulation.toml")).expect("a valid file");
        CoreSettings::try_from(&settings).expect("valid settings")
    });
    &SETTINGS
}

/// Each agent's name and binds.
pub fn agents() -> &'static [(Name, Vec<BindingKey>)] {
    static AGENTS_READ: LazyLock<Vec<(Name, Vec<BindingKey>)>> = LazyLock::new(|| {
        let read = |(agent, binds): &(&str, &[&str])| {
            (name(agent), binds.iter().map(|bind| key(bind)).collect())
        };
        AGENTS.iter().map(read).collect()
    });
    &AGENTS_READ
}

/// Every binding that anybody may speak of.
pub fn keys() -> &'static [BindingKey] {
    static KEYS: LazyLock<Vec<BindingKey>> = LazyLock::new(|| {
        let mut keys: Vec<_> = agents().iter().flat_map(|(_, binds)| binds.clone()).collect();
        keys.extend([key("api/192.0.2.50:8443"), key("api/192.0.2.51:8443")]);
        keys.sort();
        keys.dedup();
        keys
    });
    &KEYS
}

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// `www/192.0.2.1:80`
fn key(text: &str) -> BindingKey {
    let (service, backend) = text.split_once('/').expect("service/backend");
    BindingKey { service: name(service), backend: backend.parse().expect("an address") }
}

/// Whether the configuration file has it.
pub fn in_file(key: &BindingKey) -> bool {
    settings().services[&key.service].backends.contains_key(&key.backend)
}

/// Whether agents of different names ask for it.
pub fn is_contested(key: &BindingKey) -> bool {
    let mut names = agents().iter().filter(|(_, binds)| binds.contains(key)).map(|(name, _)| name);
    let first = names.next();
    names.any(|name| Some(name) != first)
}

/// Whether the manager's probes are to verify it.
pub fn is_probed(key: &BindingKey) -> bool {
    settings().services[&key.service].health.kind() != ProbeKind::None
}

/// Whether edges are to verify it, where one can.
pub fn is_probed_by_path(key: &BindingKey) -> bool {
    settings().services[&key.service].health.kind() == ProbeKind::Path
}

/// The way of clients' packets to it.
pub fn path(key: &BindingKey) -> ProbePath {
    let spec = &settings().services[&key.service].spec;
    ProbePath::of(spec, key.backend, None).expect("a service that takes TCP")
}

/// Whether closing one binding's connections on its server closes the other's:
/// without translation both are connections of the service's address there.
pub fn end_together(agent: usize, one: &BindingKey, other: &BindingKey) -> bool {
    let shared = settings().services[&one.service].spec.mode.keeps_address()
        && one.service == other.service
        && agents()[agent].1.contains(other);
    one == other || shared
}
