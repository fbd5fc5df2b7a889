//! A simulated ServerIron, the external switch of the original system: its
//! command line over telnet and SSH, and its SNMP agent, over one state.
//!
//! ```no_run
//! use lab::serveriron::{Binding, Options, Simulator};
//!
//! # fn main() -> anyhow::Result<()> {
//! let iron = Simulator::start(Options::default().instant())?;
//! // … a driver logs in at `iron.cli_address()` and binds a server …
//! let clients = iron.change(|state| state.open("www", 80, 10));
//! // … it removes the server gracefully …
//! assert_eq!(iron.state().broken(&clients), 0);
//! assert!(iron.state().violations.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! It carries no packets: clients are numbers that are opened, counted and
//! closed. It runs on threads of its own, and ends when it is dropped.

mod cli;
mod device;
mod faults;
mod options;
mod simulator;
mod snmp;
mod state;

pub use faults::{Faults, Hostile, Lost};
pub use options::{Auth, Limits, Login, Options, Ports, User};
pub use simulator::Simulator;
pub use state::{
    Bind, Binding, Config, ConnectionId, Health, Life, Predictor, Real, RealPort, Refusal,
    Standing, State, Totals, Virtual, VirtualPort,
};
