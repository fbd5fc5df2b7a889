//! Packet tables: frames in, the real XDP program under `BPF_PROG_TEST_RUN`,
//! verdict, reason and frame out.
//!
//! ```no_run
//! use lab::packet::*;
//! use lb_common::abi::Reason;
//!
//! let www = Service::l2("203.0.113.10:80").slot(&server(1), &server(1));
//! let world = World::new().service(www);
//! let syn = tcp("198.51.100.7:40000", "203.0.113.10:80").syn();
//! check([
//!     case("a SYN goes to the slot's server", &world, &syn)
//!         .transmits(Reason::ForwardNew, &syn.clone().sent_to(&server(1))),
//! ]);
//! ```

mod case;
mod decap;
mod frame;
pub mod fuzz;
pub mod model;
mod program;
mod route;
mod tshark;
mod verifier;
mod world;

pub use case::{Case, case, check, play};
pub use decap::{Allowed, Decapsulator};
pub use frame::{
    EDGE_MAC, Packet, ROUTER_MAC, answer, checksum, icmp, icmp_answer, other, ping, tcp, udp,
};
pub use program::{Action, Exit, Program, Remembered};
pub use route::{GATEWAY_MAC, UPLINK_MAC, forwarding, routed};
pub use tshark::wrong_checksums;
pub use verifier::{Walk, walk_edge, walk_server};
pub(crate) use world::INGRESS;
pub use world::{Hop, Refusal, Server, Service, World, nobody, server, server_of_many, server6};
