//! Per-generation settings and the run-time words.

/// Settings that a packet reads; one for each generation; 560 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Secret of the flow hash, the same on every edge of a site.
    pub flow_key: [u64; 2],
    /// Live entries of `CLASS_RANGES`.
    pub class_ranges: u32,
    /// Configured classes; 0 means that every client is of the default class.
    pub classes: u32,
    pub reserved: [u64; 3],
    /// For each DSCP, the classes that take it (bit `i`: class `i`).
    pub class_dscp: [u64; 64],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            flow_key: [0; 2],
            class_ranges: 0,
            classes: 0,
            reserved: [0; 3],
            class_dscp: [u64::MAX; 64],
        }
    }
}

/// Indices into the map of run-time words.
pub mod words {
    /// The committed generation: its parity names the copy that packets read.
    pub const GENERATION: u32 = 0;
    /// Turns slowly; part of every admission decision.
    pub const EPOCH: u32 = 1;
    /// Not 0 while the table of remembered flows has no room.
    pub const FLOWS_FULL: u32 = 2;
    /// Term of the last delta applied (control side only).
    pub const TERM: u32 = 3;
    /// Sequence number of the last delta applied (control side only).
    pub const SEQUENCE: u32 = 4;
    /// Entries of the map.
    pub const COUNT: u32 = 8;
}
