//! The double-buffered tables that a packet reads to be steered.

/// What a [`LookupSlot`] stands for.
pub mod role {
    /// Destination of packets from clients: the service's VIP and port.
    pub const VIP: u8 = 1;
    /// Source of packets from servers in mode `nat`: backend address and port.
    pub const REAL: u8 = 2;
    /// A VIP with port 0 and protocol 0: packets to one of our addresses that
    /// carry no port we can read (fragments, cut TCP headers).
    pub const ADDRESS: u8 = 3;
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
    /// Binding id for [`role::REAL`], else 0.
    pub backend: u32,
    pub reserved: u32,
}

/// How a service's packets reach its backends.
pub mod mode {
    /// MAC rewrite; the server owns the VIP and answers the client directly.
    pub const L2: u8 = 1;
    /// Address and port rewrite in both directions; the edge is the servers' gateway.
    pub const NAT: u8 = 2;
}

/// Bits of [`Service::flags`].
pub mod service_flags {
    /// Some ring slot has current != settled, or some flow is remembered.
    pub const MOVING: u8 = 1 << 0;
    /// Some policy of this service refuses something.
    pub const POLICED: u8 = 1 << 1;
}

/// One service; 32 bytes, indexed by service id. `mode` 0 marks a free id.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// First ring slot in the pool; even.
    pub ring_offset: u32,
    /// Ring slots; 0 when nothing was ever bound.
    pub ring_len: u32,
    pub vip: [u8; 16],
    pub port: [u8; 2],
    /// IP protocol number.
    pub protocol: u8,
    /// One of [`mode`].
    pub mode: u8,
    /// [`service_flags`].
    pub flags: u8,
    /// Slots of its ring as configured, little-endian (control side only).
    pub ring_size: [u8; 3],
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
    /// Service id this binding belongs to (control side only).
    pub service: u32,
    /// Configured weight (control side only).
    pub weight: u32,
    pub reserved: [u8; 20],
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
