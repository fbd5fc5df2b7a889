//! `sluice notify`

use serde::Serialize;

/// An event that the agent has taken.
#[derive(Debug, Serialize)]
pub struct NotifyView {
    /// The event as it was sent, such as `failed @www the disk is full`.
    pub event: String,
    /// How many bindings it is of, for people.
    pub message: String,
}
