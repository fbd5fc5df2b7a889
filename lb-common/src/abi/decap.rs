//! The contract between the decapsulating XDP program of a server and its agent.

/// Names the agent's pin directory, as [`ABI_VERSION`](super::ABI_VERSION) does
/// the edge's.
pub const ABI_VERSION: u32 = 1;

/// Map names. Addresses are in IPv4-mapped form, big-endian.
pub mod maps {
    /// `LpmTrie<[u8; 16], u8>`: where tunnelled packets may come from.
    pub const SOURCES: &str = "SOURCES";
    /// `HashMap<[u8; 16], u8>`: where they are sent to: the server's own addresses.
    pub const SERVERS: &str = "SERVERS";
    /// `LpmTrie<[u8; 16], u8>`: what they may hold packets to.
    pub const VIPS: &str = "VIPS";
    /// `PerCpuArray<u64>`, by [`Reason`](super::Reason).
    pub const COUNTERS: &str = "COUNTERS";
}

/// Entries that each of the maps of addresses has room for.
pub const MAX_ADDRESSES: u32 = 4096;

/// What became of a packet that a server got.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No tunnelled packet to this server: passed as it came.
    NotTunnelled = 0,
    /// Taken out of its tunnel, and passed.
    Decapsulated = 1,
    /// Dropped: from none of the allowed sources.
    Source = 2,
    /// Dropped: what is inside is to none of the VIPs.
    Destination = 3,
    /// Dropped: what is inside is cut short, or no IP packet.
    Malformed = 4,
    /// Dropped: a router has marked congestion, and what is inside cannot tell
    /// its sender (RFC 6040 section 4.2).
    Congestion = 5,
}

impl Reason {
    /// Every reason, in the order of its counter.
    pub const ALL: [Self; 6] = [
        Self::NotTunnelled,
        Self::Decapsulated,
        Self::Source,
        Self::Destination,
        Self::Malformed,
        Self::Congestion,
    ];

    /// The name that logs use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotTunnelled => "not_tunnelled",
            Self::Decapsulated => "decapsulated",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Malformed => "malformed",
            Self::Congestion => "congestion",
        }
    }
}
