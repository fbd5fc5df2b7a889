//! Per-generation settings and the run-time words.

/// Different prefix lengths that services can have.
pub const MAX_PREFIX_LENGTHS: usize = 16;

/// Bits of [`Config::features`]: what some service of the generation needs, so
/// that packets of a site without it do not look.
pub mod features {
    /// Some service takes any port.
    pub const ANY_PORT: u32 = 1 << 0;
    /// Some service is of mode `nat`.
    pub const NAT: u32 = 1 << 1;
}

/// Settings that a packet reads; one for each generation; 592 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Secret of the flow hash, the same on every edge of a site.
    pub flow_key: [u64; 2],
    /// [`features`].
    pub features: u32,
    /// Live entries of `prefix_lengths`.
    pub prefixes: u32,
    /// Live entries of `CLASS_RANGES`.
    pub class_ranges: u32,
    /// Configured classes; 0 means that every client is of the default class.
    pub classes: u32,
    /// Live entries of `ROUTES`; 0: the kernel is asked for every way to a client.
    pub routes: u32,
    /// ICMP answers that a CPU may send in a second.
    pub answers: u32,
    /// Source of tunnelled packets to IPv4 backends.
    pub tunnel_v4: [u8; 4],
    /// Bits of that source which the flow decides, big-endian.
    pub tunnel_v4_flow: [u8; 4],
    /// Source of tunnelled packets to IPv6 backends; the flow decides its last
    /// 32 bits.
    pub tunnel_v6: [u8; 16],
    /// Lengths of the prefixes that services have, of their IPv4-mapped form,
    /// longest first.
    pub prefix_lengths: [u8; MAX_PREFIX_LENGTHS],
    /// For each DSCP, the classes that take it (bit `i`: class `i`).
    pub class_dscp: [u64; 64],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            flow_key: [0; 2],
            features: 0,
            prefixes: 0,
            class_ranges: 0,
            classes: 0,
            routes: 0,
            answers: DEFAULT_ANSWERS,
            tunnel_v4: DEFAULT_TUNNEL_V4,
            tunnel_v4_flow: DEFAULT_TUNNEL_V4_FLOW,
            tunnel_v6: DEFAULT_TUNNEL_V6,
            prefix_lengths: [0; MAX_PREFIX_LENGTHS],
            class_dscp: [u64::MAX; 64],
        }
    }
}

/// Default of [`Config::answers`].
pub const DEFAULT_ANSWERS: u32 = 1000;
/// Default of [`Config::tunnel_v4`]: 198.18.0.0/15, which no host of the
/// Internet has (RFC 2544).
pub const DEFAULT_TUNNEL_V4: [u8; 4] = [198, 18, 0, 0];
/// Default of [`Config::tunnel_v4_flow`].
pub const DEFAULT_TUNNEL_V4_FLOW: [u8; 4] = [0, 1, 255, 255];
/// Default of [`Config::tunnel_v6`]: in 100::/64, the discard prefix (RFC 6666).
pub const DEFAULT_TUNNEL_V6: [u8; 16] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

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
    /// Not 0 while packets are watched: the share of flows, of 2^32, that is
    /// told of.
    pub const WATCH: u32 = 5;
    /// Id + 1 of the only service whose packets are told of; 0: every packet.
    pub const WATCH_SERVICE: u32 = 6;
    /// Entries of the map.
    pub const COUNT: u32 = 8;
}
