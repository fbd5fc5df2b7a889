//! What the whole control plane speaks of. Pure data: no clock, no socket, no
//! kernel. Names are those of the proto files, which are the contract outside.

mod agent;
mod application;
mod binding;
mod class;
mod counters;
#[cfg(test)]
mod fuzzed;
mod name;
mod origin;
mod pattern;
mod server_id;
mod service;
mod shown;
mod state;
mod switch;
mod vip;

pub use agent::{
    AgentBinding, AgentHello, BackendReport, CLOSE_WITHIN, FromAgent, Heartbeat, ServerEnd, ToAgent,
};
pub use application::{Application, Availability};
pub use binding::{Binding, BindingKey, Phase, Weight};
pub use class::{ClassSpec, DEFAULT_CLASS, Policy, Prefix, PrefixError, Scope, Share, Verdict};
pub use counters::{BackendCount, ClassCount, Counters, ReasonCount, ServiceCount, nearly_full};
pub use name::{Name, NameError};
pub use origin::{Identity, Origin};
pub use pattern::{Pattern, PatternError};
pub use server_id::{ServerId, ServerIdError};
pub use service::{Affinity, Mode, Protocol, ServiceSpec, Udp};
pub(crate) use shown::shown;
pub use state::{Change, StateError, SwitchState};
pub use switch::{Delta, Drift, FromSwitch, Hello, Stamp, ToSwitch};
pub use vip::{Vip, VipError};
