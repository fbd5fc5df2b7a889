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
//!
//! It is written from a page of facts about the real box, and from nothing else.
//! Where the page is silent, this is its own choice, and no driver should lean on
//! it:
//! - the words after `Error - ` of everything but a wrong password;
//! - the layout of `show server …`, and of `show running-config` around the blocks;
//! - `least-conn` as the method of a new box, weights from 0 to 65,000 where 0 gets
//!   no client, and `http` as the only port with a name;
//! - `show`, `write` and `clear` in every mode past `enable`, and `server …` in
//!   every configuration mode;
//! - what is deleted while it is bound takes its bindings along, waits with them
//!   for its connections, and is not saved by `write memory`;
//! - a line break after an asynchronous message;
//! - a reverse command during a shutdown is lost without a word, and noted in
//!   [`State::violations`];
//! - columns of a bind that is valid cannot be set again, an SNMP set takes as long
//!   as the commands would, and a trap's variables are a name and a port.

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
