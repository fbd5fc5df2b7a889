//! The ServerIron dialects against the simulated box: what the conformance suite, which
//! is for every switch, does not ask of them.

mod languages;
mod faults;
mod secrets;
mod stories;
