//! A simulated ServerIron, the external switch of the original system.

mod options;
mod state;

pub use options::{Auth, Limits, Login, Options, Ports, User};
pub use state::{
    Bind, Binding, Config, ConnectionId, Health, Life, Predictor, Real, RealPort, Refusal,
    Standing, State, Totals, Virtual, VirtualPort,
};
