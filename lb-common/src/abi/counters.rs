//! Per-CPU counters; a reader sums over CPUs.

/// Counters of one service; 56 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceCounters {
    /// New connections let in.
    pub new_connections: u64,
    /// New connections refused by a policy with RST.
    pub refused_reset: u64,
    /// New connections refused by a policy with silence.
    pub refused_silent: u64,
    /// Packets answered by RST because no backend owns them.
    pub no_backend: u64,
    /// Packets of connections to a broken backend, answered by RST.
    pub broken: u64,
    /// Connections remembered because a change put them at risk.
    pub remembered: u64,
    /// New connections sent to their settled backend because no more could be remembered.
    pub not_remembered: u64,
}

/// Counters of one binding; 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendCounters {
    /// Packets from clients.
    pub packets: u64,
    /// Bytes of those, from the Ethernet header on.
    pub bytes: u64,
    /// Packets to clients (mode `nat`).
    pub reply_packets: u64,
    /// Bytes of those.
    pub reply_bytes: u64,
    /// New connections.
    pub new_connections: u64,
    /// Packets of untracked connections on slots that a change moved away:
    /// while this grows, the slot cannot be settled.
    pub untracked: u64,
}

/// Counters of one class; 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassCounters {
    /// New connections let in.
    pub admitted: u64,
    /// New connections refused.
    pub refused: u64,
}
