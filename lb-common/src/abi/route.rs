//! The way back to clients, for replies of `nat` backends.

/// What packets to an address range do; 24 bytes. A range ends where the next
/// one starts; the first starts at 0 (addresses in IPv4-mapped form).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// High half of the first address, as a native integer.
    pub start_hi: u64,
    /// Low half of the first address.
    pub start_lo: u64,
    /// Index of the [`NextHop`].
    pub next_hop: u32,
    pub reserved: u32,
}

/// Kinds of [`NextHop`].
pub mod next_hop {
    /// No route: such packets go nowhere.
    pub const NONE: u8 = 0;
    /// An address of the edge itself: such packets are the kernel's.
    pub const LOCAL: u8 = 1;
    /// A gateway, whose Ethernet address is in the row.
    pub const GATEWAY: u8 = 2;
    /// On the link: the Ethernet address is the client's own, in `NEIGHBORS`.
    pub const ON_LINK: u8 = 3;
    /// Left to the kernel: a gateway whose Ethernet address is not known yet,
    /// or a kind of route that packets cannot follow.
    pub const KERNEL: u8 = 4;
}

/// A next hop; 24 bytes.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// Egress interface.
    pub ifindex: u32,
    /// Longest IP packet that the way takes; 0 is not known.
    pub mtu: u16,
    /// One of [`next_hop`].
    pub kind: u8,
    pub reserved: u8,
    /// Of the gateway.
    pub dst_mac: [u8; 6],
    /// The egress interface's own Ethernet address.
    pub src_mac: [u8; 6],
    pub reserved2: [u8; 4],
}

/// A client on a link; 20 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NeighborKey {
    pub addr: [u8; 16],
    pub ifindex: u32,
}
