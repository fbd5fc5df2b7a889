//! External L4 switches.

use std::{net::SocketAddr, time::Duration};

use serde::Deserialize;

use super::duration;
use crate::model::Name;

/// `[[switch]]`: an external L4 switch that the manager mirrors its bindings to.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchSettings {
    /// Name among switches.
    pub name: Name,
    /// What it is: one of the dialects, such as `"haproxy"`.
    pub kind: String,
    /// Services that it gets. Default: all that it has words for.
    #[serde(default)]
    pub services: Vec<Name>,
    /// How often it is asked for its counters, and whether it has begun anew.
    /// Default 1 s.
    #[serde(default = "poll", with = "duration")]
    pub poll: Duration,
    /// How often all that it holds is compared with what it should. Default 10 s.
    #[serde(default = "verify", with = "duration")]
    pub verify: Duration,
    /// How long it may take for one operation. Default 5 s.
    #[serde(default = "timeout", with = "duration")]
    pub timeout: Duration,
    /// Bottomless sinks (`sluice drop-server`), one for each IP family: where the
    /// switch cannot refuse connections itself, the refused share is sent there.
    /// Default none.
    #[serde(default)]
    pub drop_servers: Vec<SocketAddr>,
    /// What its dialect asks for: where it is, and how to log in.
    #[serde(default)]
    pub options: toml::Table,
}

fn poll() -> Duration {
    Duration::from_secs(1)
}
fn verify() -> Duration {
    Duration::from_secs(10)
}
fn timeout() -> Duration {
    Duration::from_secs(5)
}
