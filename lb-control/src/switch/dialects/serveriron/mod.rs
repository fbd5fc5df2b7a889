//! Foundry and Brocade ServerIron, in two languages that say the same.
//!
//! A plan becomes a [`goal`](goal::Goal) in the box's terms, and the difference to its
//! configuration becomes [`steps`](steps::steps), in the order in which they harm nobody.
//! The [`driver`](driver::Driver) takes them in a [`Language`](driver::Language): [`cli`] or
//! [`snmp`].
//!
//! Real servers of ours are named `sluice-ADDRESS`; the box has one for each address,
//! with one weight. Virtual servers are found by address, and made, with method `weighted`,
//! where there are none: those that the site defines keep their own method. At weight 0 a
//! server gets no new connections. To take out a
//! server, its ports are disabled, and it is unbound and deleted once it has no
//! connections. Until then the box must not be given the reverse command, so that a
//! server that is to serve again waits for that too; this is a refusal, and mends itself.

mod cli;
mod config;
mod driver;
mod goal;
mod options;
mod snmp;
mod steps;

use super::Dialect;

/// By its command line.
pub(super) static CLI: &Dialect = &cli::DIALECT;
/// By SNMP.
pub(super) static SNMP: &Dialect = &snmp::DIALECT;

#[cfg(test)]
mod tests;
