//! The double-buffered tables that a packet reads to be steered.

/// What a [`LookupSlot`] stands for.
pub mod role {
    /// Destination of packets from clients: VIP, port (0: any) and protocol.
    pub const VIP: u8 = 1;
    /// Source of packets from servers in mode `nat`: backend address, port
    /// (0: any) and protocol.
    pub const REAL: u8 = 2;
    /// A VIP with port 0 and protocol 0: packets to one of our addresses that
    /// name no port of ours (ICMP, fragments, cut headers).
    pub const ADDRESS: u8 = 3;
    /// A server id in QUIC connection ids: the id's bytes, zero padded, in
    /// place of the address; the service's id in place of the port (big-endian);
    /// the id's length in place of the protocol.
    pub const SERVER_ID: u8 = 4;
    /// With the prefix length (0 to 127, of the IPv4-mapped form) in the other
    /// seven bits: as [`VIP`] for a prefix, and with port 0 and protocol 0 as
    /// [`ADDRESS`]. The address has only the prefix's bits.
    pub const PREFIX: u8 = 0x80;
}

/// Bits of [`LookupSlot::flags`].
pub mod lookup_flags {
    /// At an [`ADDRESS`](super::role::ADDRESS): echo requests are answered.
    pub const ECHO: u32 = 1 << 0;
}

/// Key of the lookup table; 20 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LookupKey {
    pub addr: [u8; 16],
    pub port: [u8; 2],
    /// IP protocol number.
    pub protocol: u8,
    /// One of [`role`].
    pub role: u8,
}

/// One slot of the lookup table; 32 bytes.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookupSlot {
    pub key: LookupKey,
    /// Service id + 1; 0 marks an empty slot.
    pub service_plus_one: u32,
    /// Binding id for [`role::REAL`] and [`role::SERVER_ID`], else 0.
    pub backend: u32,
    /// [`lookup_flags`].
    pub flags: u32,
}

/// How a service's packets reach its backends.
pub mod mode {
    /// MAC rewrite; the server owns the VIP and answers the client directly.
    pub const L2: u8 = 1;
    /// Address and port rewrite in both directions; the edge is the servers' gateway.
    pub const NAT: u8 = 2;
    /// The packet in an IP packet to the server (RFC 2003, RFC 2473), which
    /// answers the client directly.
    pub const IPIP: u8 = 3;
    /// The packet in UDP: Generic UDP Encapsulation, variant 1
    /// (draft-ietf-intarea-gue-09 section 4).
    pub const GUE: u8 = 4;
}

/// Bits of [`Service::flags`].
pub mod service_flags {
    /// Some ring slot has current != settled, or some flow is remembered.
    pub const MOVING: u16 = 1 << 0;
    /// Some policy of this service refuses something.
    pub const POLICED: u16 = 1 << 1;
    /// The ring slot is chosen by the client's address alone.
    pub const BY_CLIENT: u16 = 1 << 2;
    /// UDP: every flow is remembered, at rest too.
    pub const TRACKED: u16 = 1 << 3;
    /// UDP carries QUIC (RFC 9000): an Initial begins a connection.
    pub const QUIC: u16 = 1 << 4;
    /// Echo requests to its address are answered (control side; packets read
    /// [`lookup_flags::ECHO`]).
    pub const ECHO: u16 = 1 << 5;
    /// An edge without a manager probes its backends by the way that packets take
    /// (control side only).
    pub const PROBE_PATH: u16 = 1 << 6;
}

/// [`Service::protocol`] of a service that takes TCP and UDP.
pub const TCP_AND_UDP: u8 = 0;

/// One service; 64 bytes, indexed by service id. `mode` 0 marks a free id.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// First ring slot in the pool; even.
    pub ring_offset: u32,
    /// Ring slots; 0 when nothing was ever bound.
    pub ring_len: u32,
    pub vip: [u8; 16],
    /// 0: any port, which is then kept on the way to the backend.
    pub port: [u8; 2],
    /// IP protocol number, or [`TCP_AND_UDP`].
    pub protocol: u8,
    /// One of [`mode`].
    pub mode: u8,
    /// [`service_flags`].
    pub flags: u16,
    /// Bits of the VIP that count, of its IPv4-mapped form; 128 is one address.
    pub prefix_len: u8,
    /// Bytes of the server id in QUIC connection ids, `1..=8`; 0: none.
    pub server_id_len: u8,
    /// Seconds of silence after which a tracked UDP flow is over.
    pub udp_idle: u32,
    /// Slots of its ring as configured (control side only).
    pub ring_size: u32,
    pub reserved: [u8; 24],
}

/// What a backend does with packets.
pub mod backend_state {
    /// The id is free.
    pub const FREE: u8 = 0;
    /// Takes new connections.
    pub const SERVING: u8 = 1;
    /// Keeps its connections, takes no new ones.
    pub const DRAINING: u8 = 2;
    /// Its connections are reset at the client's next packet.
    pub const BROKEN: u8 = 3;
}

/// One binding; 64 bytes, indexed by binding id.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    pub addr: [u8; 16],
    /// Port that mode `nat` rewrites to; of a service with any port it is the
    /// port of health checks only.
    pub port: [u8; 2],
    /// One of [`backend_state`].
    pub state: u8,
    /// 1 when `dst_mac`, `src_mac` and `ifindex` are known, else 0.
    pub reachable: u8,
    /// The next hop's Ethernet address.
    pub dst_mac: [u8; 6],
    /// The egress interface's own Ethernet address.
    pub src_mac: [u8; 6],
    /// Egress interface.
    pub ifindex: u32,
    /// Service id this binding belongs to; flows of others do not go there.
    pub service: u32,
    /// Configured weight; with 0 it takes no new connections.
    pub weight: u32,
    /// Longest IP packet that reaches the backend; 0 is not known.
    pub mtu: u16,
    /// Bytes of `server_id`; 0: none (control side only).
    pub server_id_len: u8,
    /// What names it in QUIC connection ids (control side only).
    pub server_id: [u8; 8],
    pub reserved: [u8; 9],
}

/// How a policy refuses and by what it decides.
pub mod policy {
    /// Let everything in.
    pub const ADMIT: u8 = 0;
    /// Refuse by RST.
    pub const RESET: u8 = 1;
    /// Refuse by silence.
    pub const SILENT: u8 = 2;
    /// Decide for each flow apart.
    pub const BY_FLOW: u8 = 0;
    /// Decide for each client address: all its connections or none.
    pub const BY_CLIENT: u8 = 1;
}

/// Admission of one class at one service; 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Refused when the 32-bit decision hash is below this; `1 << 32` refuses all.
    pub threshold: u64,
    /// [`policy::ADMIT`], [`policy::RESET`] or [`policy::SILENT`].
    pub verdict: u8,
    /// [`policy::BY_FLOW`] or [`policy::BY_CLIENT`].
    pub scope: u8,
    pub reserved: [u8; 6],
}

/// Start of a range of client addresses and the classes whose sources hold
/// it; 24 bytes. A range ends where the next one starts; the first starts at 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassRange {
    /// High half of the first address, as a native integer.
    pub start_hi: u64,
    /// Low half of the first address.
    pub start_lo: u64,
    /// Bit `i`: class `i` has this source. Classes without sources have every bit set.
    pub classes: u64,
}

/// A name of up to 63 bytes, zero padded; 64 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(pub [u8; 64]);

impl Default for Name {
    fn default() -> Self {
        Self([0; 64])
    }
}
