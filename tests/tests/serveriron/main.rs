//! The ServerIron dialects against the simulated box: what the conformance suite, which
//! is for every switch, does not ask of them.

mod faults;
mod languages;
mod secrets;
mod stories;
