//! Scenarios: real connections through the real program.
//!
//! Each test builds a lab of its own. They need root and the programs that
//! `cargo xtask test` sets up; without feature `lab` this target does not exist.

mod admission;
mod alone;
mod applications;
mod authority;
mod binding;
mod breaking;
mod checksums;
mod consistency;
mod datagrams;
mod declaring;
mod doctor;
mod drain;
mod drift;
mod edges;
mod errors;
mod forwarding;
mod frozen;
mod haproxy;
mod lab_itself;
mod monitoring;
mod next_hops;
mod not_ours;
mod odd_sessions;
mod outlive;
mod reports;
mod roles;
mod trace;
mod untouched;
mod upgrade;
mod weights;
