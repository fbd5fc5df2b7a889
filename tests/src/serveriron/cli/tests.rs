//! Through real sockets, by a client that knows only what a terminal shows.

mod client;
mod dialogue;
mod faults;
mod grammar;
// Needs OpenSSH's client.
#[cfg(feature = "lab")]
mod open_ssh;
mod ssh;
