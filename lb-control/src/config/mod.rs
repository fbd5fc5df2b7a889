//! The configuration file: TOML, one file for every role; each role reads the
//! tables it needs. The doc comments of [`Settings`] and what it holds are the
//! reference of the file.

mod applications;
mod authority;
mod declaration;
mod duration;
mod feedback;
mod nearest;
mod parse;
mod problem;
mod settings;
mod specs;
mod steadiness;
mod switches;
mod validate;
mod wording;

pub use applications::{AgentPoll, FileMode, NotifySettings};
pub use authority::{AllowSettings, LimitSettings, Role};
pub use declaration::{Declaration, DeclaredRemoval, DeclaredWeight};
pub use feedback::{AgentCheckSettings, DfpSettings, WhenLost};
pub(crate) use nearest::nearest;
pub use parse::{load, parse};
pub use problem::{ConfigError, Problem};
pub use settings::{
    AgentBind, AgentCheck, AgentSettings, ClassSettings, DecapSettings, Echo, EdgeSettings,
    HealthSettings, ManagerSettings, PolicySettings, ProbeKind, ServiceSettings, Settings,
    StaticBackend, TlsSettings, XdpMode,
};
pub use steadiness::{FlapDamping, SlowStart};
pub use switches::SwitchSettings;
pub use validate::validate;

#[cfg(test)]
mod tests;
