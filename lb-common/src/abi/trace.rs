//! What the program says of a packet, and why.

/// Who named the backend of a packet.
pub mod owner {
    /// Nobody: the packet came to no backend.
    pub const NONE: u8 = 0;
    /// The ring slot's current backend: a connection began.
    pub const CURRENT: u8 = 1;
    /// The ring slot's settled backend.
    pub const SETTLED: u8 = 2;
    /// A remembered flow.
    pub const REMEMBERED: u8 = 3;
    /// A flow remembered by its SYN or Initial alone.
    pub const BEGUN: u8 = 4;
    /// A tracked UDP flow.
    pub const TRACKED: u8 = 5;
    /// The server id in a QUIC connection id.
    pub const SERVER_ID: u8 = 6;
    /// The backend itself: a reply of mode `nat`.
    pub const REPLY: u8 = 7;
}

/// One packet's way through the program; 120 bytes.
///
/// Fields that the packet did not come to are 0, `u32::MAX` for ids.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Of `bpf_ktime_get_ns`.
    pub time_ns: u64,
    pub generation: u64,
    /// The flow, as its client's packets name it (of an ICMP error, the one quoted).
    pub src: [u8; 16],
    pub dst: [u8; 16],
    pub src_port: [u8; 2],
    pub dst_port: [u8; 2],
    /// IP protocol number of the flow.
    pub protocol: u8,
    /// TCP flags; 0 for anything else.
    pub tcp_flags: u8,
    /// One of [`owner`].
    pub owner: u8,
    /// 1 when the service is moving.
    pub moving: u8,
    /// Flow hash.
    pub hash: u64,
    /// Service id.
    pub service: u32,
    /// Class index, of a packet that asked for admission.
    pub class: u32,
    /// What admission compared, `0..2^32`: refused when below `threshold`.
    pub admission: u32,
    /// Ring slot within the service's ring.
    pub slot: u32,
    /// The policy's threshold; 0: nothing is refused.
    pub threshold: u64,
    /// The slot's binding ids.
    pub current: u16,
    pub settled: u16,
    /// Binding id.
    pub backend: u32,
    /// [`Reason`](super::Reason).
    pub reason: u32,
    /// Interface that it came in by.
    pub ingress: u32,
    /// Interface that it goes out by; 0: none.
    pub egress: u32,
    /// Bytes of the frame that came in.
    pub bytes: u16,
    /// Ethernet address of the next hop.
    pub dst_mac: [u8; 6],
    /// 1 when the slot is touched.
    pub touched: u8,
    pub reserved: [u8; 3],
}
