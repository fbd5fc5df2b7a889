//! Counters as a switch reports them: totals since they began.

use serde::Serialize;

use super::{BindingKey, Name};

/// One switch's counters, or a sum over switches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    pub services: Vec<ServiceCount>,
    pub backends: Vec<BackendCount>,
    pub classes: Vec<ClassCount>,
    pub reasons: Vec<ReasonCount>,
    pub generation: u64,
    /// Flows remembered now.
    pub remembered_flows: u64,
    /// The most that can be remembered.
    pub remembered_capacity: u64,
}

/// Whether so many remembered flows are nearly all that a switch has room for.
/// Once they are (`was`), they are until there is clearly more room.
pub fn nearly_full(remembered: u64, capacity: u64, was: bool) -> bool {
    let percent = if was { 90 } else { 95 };
    remembered.saturating_mul(100) > capacity.saturating_mul(percent)
}

/// See [`lb_common::abi::ServiceCounters`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceCount {
    pub service: Name,
    pub new_connections: u64,
    pub refused_reset: u64,
    pub refused_silent: u64,
    pub no_backend: u64,
    pub broken: u64,
    pub remembered: u64,
    pub not_remembered: u64,
    /// Connections that a change has put at risk are being tracked.
    pub moving: bool,
}

/// See [`lb_common::abi::BackendCounters`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendCount {
    #[serde(flatten)]
    pub key: BindingKey,
    pub packets: u64,
    pub bytes: u64,
    pub reply_packets: u64,
    pub reply_bytes: u64,
    pub new_connections: u64,
    /// Remembered flows that are not closing.
    pub remembered_flows: u64,
    /// Why packets cannot be sent to it.
    pub unreachable: Option<String>,
}

/// See [`lb_common::abi::ClassCounters`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    pub class: Name,
    pub admitted: u64,
    pub refused: u64,
}

/// Packets that left for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReasonCount {
    /// [`lb_common::abi::Reason::name`].
    pub reason: String,
    /// `forward`, `reset`, `drop` or `pass`.
    pub fate: String,
    pub packets: u64,
}
