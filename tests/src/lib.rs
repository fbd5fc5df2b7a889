//! The lab: network namespaces joined by veth, real web servers, real clients,
//! and real `sluice` processes, in a few lines of a scenario.
//!
//! ```no_run
//! use lab::{Lab, l2};
//!
//! # fn main() -> anyhow::Result<()> {
//! let lab = Lab::build().servers(3).service(l2("www")).start()?;
//! let answers = lab.get_many("www", 300)?;
//! answers.all_answered()?;
//! answers.spread.follows(&[("server-1", 1), ("server-2", 1), ("server-3", 1)])?;
//! # Ok(())
//! # }
//! ```
//!
//! Needs root and the programs that `cargo xtask setup` installs. Every lab
//! has names and a bpffs of its own, so that labs can run side by side; when it
//! is dropped, after a signal, or at the latest when the next lab starts, all
//! of it goes away.

#[cfg(feature = "lab")]
pub mod bench;
mod builder;
mod certs;
mod client;
mod clocks;
mod command;
pub mod consistency;
mod counters;
mod crowd;
mod edges;
mod flood;
mod haproxy;
#[cfg(feature = "lab")]
mod heartbeats;
mod host;
mod kernel;
mod lab;
mod netns;
mod network;
mod nginx;
#[cfg(feature = "lab")]
pub mod packet;
mod pass;
mod plan;
mod process;
#[cfg(feature = "lab")]
mod puppet;
mod registry;
mod relay;
#[cfg(feature = "serveriron")]
pub mod serveriron;
mod service;
mod settings;
mod sluice;
mod spread;
mod wait;
mod web;
mod wire;

pub use builder::Builder;
pub use certs::IDENTITIES;
pub use client::{Attempt, Client, ask_name};
pub use command::Outcome;
pub use crowd::{Asking, Broken, Crowd, Report};
pub use flood::{Flood, Sent, Storm};
pub use haproxy::{Haproxy, Proxy, ProxyServer};
#[cfg(feature = "lab")]
pub use heartbeats::{HeartbeatFlood, Mad};
pub use host::Host;
pub use kernel::Steering;
pub use lab::Lab;
pub use netns::Netns;
pub use process::Process;
#[cfg(feature = "lab")]
pub use puppet::Puppet;
pub use registry::{Standing, Whose, list, take_down};
pub use relay::{Device, Fault, Relay};
pub use service::{Service, gue, ipip, l2, nat};
pub use sluice::{Backend, binary, use_binary};
pub use spread::Spread;
pub use wait::eventually;
pub use web::{Answers, Download, Load, get_many, wrk};
pub use wire::{ACK, SYN, Segment, Wire};
