//! The XDP edge.
#![allow(dead_code)]
mod classes;
mod counters;
mod flows;
mod grace;
mod mapping;
mod memory;
mod neighbors;
mod plane;
mod pool;
mod sweep;
mod sys;
mod tables;
