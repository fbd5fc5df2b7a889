//! The configuration file: TOML, one file for every role; each role reads the
//! tables it needs. The doc comments of [`Settings`] and what it holds are the
//! reference of the file: what a field does, its unit and its default.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `settings` | the whole file, `[tls]` and `[[class]]` |
//! | `manager` | `[manager]`; of it `authority` has who may do what, `feedback` DFP and agent checks |
//! | `edge` | `[edge]` |
//! | `agent` | `[agent]`; of it `applications` has how applications are heard |
//! | `services` | `[[service]]` |
//! | `steadiness` | what keeps bindings from coming and going too fast |
//! | `switches` | `[[switch]]` |
//! | `declaration` | what `sluice export` writes and `sluice apply` reads |
//! | `parse` | from text to settings; `problem` and `wording` say what is wrong with it |
//! | `validate` | how the parts go together |
//! | `specs` | services and classes as the model has them |

mod agent;
mod applications;
mod authority;
mod declaration;
mod duration;
mod edge;
mod feedback;
mod manager;
mod nearest;
mod parse;
mod problem;
mod services;
mod settings;
mod specs;
mod steadiness;
mod switches;
mod validate;
mod wording;

pub use agent::{AgentBind, AgentCheck, AgentSettings, DecapSettings};
pub use applications::{AgentPoll, FileMode, NotifySettings};
pub use authority::{AllowSettings, LimitSettings, Role};
pub use declaration::{Declaration, DeclaredRemoval, DeclaredWeight};
pub use edge::{EdgeSettings, XdpMode};
pub use feedback::{AgentCheckSettings, DfpSettings, WhenLost};
pub use manager::ManagerSettings;
pub(crate) use nearest::nearest;
pub use parse::{load, parse};
pub use problem::{ConfigError, Problem};
pub use services::{
    Echo, HealthSettings, PolicySettings, ProbeKind, ServiceSettings, StaticBackend,
};
pub use settings::{ClassSettings, Settings, TlsSettings};
pub use steadiness::{FlapDamping, SlowStart};
pub use switches::SwitchSettings;
pub use validate::validate;

#[cfg(test)]
mod tests;
