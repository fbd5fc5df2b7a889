//! Scenarios: real connections through the real program.
//!
//! Each test builds a lab of its own. They need root and the programs that
//! `cargo xtask test` sets up; without feature `lab` this target does not exist.

mod lab_itself;
