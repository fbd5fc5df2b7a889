//! Sluice's packet paths.
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`frame`] | bytes: the only bounds checks and raw packet pointers |
//! | [`parse`] | Ethernet, IP, TCP, UDP, ICMP, QUIC |
//! | [`write`] | one writer for each outcome |
//!
//! With feature `steer`, of edges:
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`path`] | a packet's way |
//! | [`maps`] | the maps |
//! | [`tables`] | one generation's copy of the tables |
//! | [`services`] | whose packet it is |
//! | [`steer`] | the decision: service, admission, slot, backend |
//! | [`admission`], [`flows`] | two of its parts |
//! | [`routes`] | the way back to a client |
//! | [`messages`] | what becomes of ICMP |
//! | [`count`], [`trace`] | counters, and the program's account of one packet |
//!
//! With feature `decap`, of servers: [`decap`], the other end of tunnels. An
//! object has every map of the crate that it is built from, so each program is
//! built with its own feature alone.
#![no_std]

#[cfg(feature = "steer")]
pub mod admission;
#[cfg(feature = "steer")]
pub mod count;
#[cfg(feature = "decap")]
pub mod decap;
#[cfg(feature = "steer")]
pub mod flows;
pub mod frame;
#[cfg(feature = "steer")]
pub mod maps;
#[cfg(feature = "steer")]
pub mod messages;
pub mod parse;
#[cfg(feature = "steer")]
pub mod path;
#[cfg(feature = "steer")]
pub mod routes;
#[cfg(feature = "steer")]
pub mod services;
#[cfg(feature = "steer")]
pub mod steer;
#[cfg(feature = "steer")]
pub mod tables;
#[cfg(feature = "steer")]
pub mod trace;
pub mod write;
