//! Remembered flows.

/// A TCP or UDP flow as the client's packets name it; 40 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    pub src: [u8; 16],
    pub dst: [u8; 16],
    pub src_port: [u8; 2],
    pub dst_port: [u8; 2],
    /// IP protocol number.
    pub protocol: u8,
    pub reserved: [u8; 3],
}

/// State of a remembered flow.
pub mod flow_state {
    /// Carrying data, as far as the client's packets tell.
    pub const OPEN: u16 = 0;
    /// A FIN or RST was seen; a SYN begins it anew.
    pub const CLOSING: u16 = 1;
    /// Open, and still among the SYNs: the table of open flows was full.
    pub const WAITING: u16 = 2;
}

/// What is remembered of a flow; 12 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowEntry {
    /// Binding id.
    pub backend: u16,
    /// One of [`flow_state`].
    pub state: u16,
    /// Seconds of the coarse monotonic clock at the last packet.
    pub last_seen: u32,
    /// Sequence number of the last SYN; 0 for UDP.
    pub begun: u32,
}

/// Sequence numbers after that of its SYN in which the rest of a handshake
/// lies: its ACK, or what an initial window holds (RFC 6928 says 10 segments;
/// some send a hundred) should the ACK be lost.
pub const HANDSHAKE_WINDOW: u32 = 1 << 18;
