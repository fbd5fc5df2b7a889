//! Packet tables: the real program under `BPF_PROG_TEST_RUN`.
//!
//! They need root and a BPF compiler; `cargo xtask test` sees to both.

mod admission;
mod answers;
mod budget;
mod catalogue;
mod datagrams;
mod decap;
mod fragments;
mod icmp;
mod l2;
mod malformed;
mod model;
mod moving;
mod nat;
mod passed;
mod reset;
mod services;
mod tunnels;
mod unserved;

/// A client, and the VIP it asks for.
const CLIENT: &str = "198.51.100.7:40000";
const VIP: &str = "203.0.113.10:80";
/// The same over IPv6.
const CLIENT6: &str = "[2001:db8:c::7]:40000";
const VIP6: &str = "[2001:db8::10]:80";
