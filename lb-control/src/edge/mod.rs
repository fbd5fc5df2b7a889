//! The XDP edge.

pub mod remote;
