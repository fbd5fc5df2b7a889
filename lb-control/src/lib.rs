//! Sluice's control plane.
//!
//! The way of a change: agent → manager core → delta → edge → generation word.
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`model`] | services, bindings, policies, switch states and their differences: pure data |
//! | [`switch`] | anything that steers connections: one interface, and the dialects of external switches |
//! | [`core`] | the manager's decisions: no clock, no socket |
//! | [`manager`] | the core's surroundings: gRPC, timers, probes, the intent file |
//! | [`edge`] | the XDP edge: program, maps, commits, next hops |
//! | [`agent`] | beside an application server |
//! | [`drop_server`] | a bottomless sink, for switches that cannot refuse connections |
//! | [`decap`] | the servers' end of tunnels: program, maps, addresses |
//! | [`doctor`] | why nothing arrives at an edge or a server |
//! | [`config`] | the TOML file |
//! | [`certs`] | a development authority |
//! | [`privilege`] | what a daemon gives up |
//! | `program` | programs of the operator's: checks, and adapters of switches |
//! | [`cli`] | the command line |
//! | [`metrics`] | what a monitor asks for over HTTP |
//! | [`proto`] | the gRPC contracts and their conversion to the model |
//! | [`xdp`] | XDP programs in the kernel: loading, attaching, pinning |
//! | [`transport`] | how two processes reach each other: addresses, TLS |

pub mod agent;
pub mod certs;
pub mod cli;
pub mod config;
pub mod core;
pub mod decap;
pub mod doctor;
pub mod drop_server;
pub mod edge;
pub mod manager;
pub mod metrics;
pub mod model;
pub mod privilege;
mod program;
pub mod proto;
pub mod switch;
#[cfg(test)]
mod testing;
pub mod transport;
pub mod xdp;
