//! The configuration file: TOML, one file for every role; each role reads the
//! tables it needs. The doc comments here are the reference of the file.

mod duration;
mod parse;
mod settings;
mod validate;

pub use parse::{ConfigError, load, parse};
pub use settings::{
    AgentBind, AgentSettings, AgentCheck, ClassSettings, EdgeSettings, HealthSettings, ManagerSettings,
    PolicySettings, ProbeKind, ServiceSettings, Settings, StaticBackend, TlsSettings, XdpMode,
};
