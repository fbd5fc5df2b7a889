//! The XDP edge.
#![allow(dead_code)]
mod classes;
mod grace;
mod mapping;
mod memory;
mod neighbors;
mod plane;
mod pool;
mod sys;
mod tables;
