//! The way back to clients, for replies of `nat` backends.

/// Where packets to a range of addresses go; 24 bytes. A range ends where the
/// next one starts; the first starts at 0 (addresses in IPv4-mapped form).
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
    /// The kernel is asked: about a gateway whose Ethernet address is not known
    /// yet, and what cannot be said in these tables.
    pub const KERNEL: u8 = 0;
    /// There is no way.
    pub const NONE: u8 = 1;
    /// Addresses of the edge itself: the kernel gets such packets.
    pub const LOCAL: u8 = 2;
    /// A gateway, whose Ethernet address is in the row.
    pub const GATEWAY: u8 = 3;
    /// On the link: each has an Ethernet address of its own, in `NEIGHBORS`.
    pub const ON_LINK: u8 = 4;
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

/// A host on a link; 20 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NeighborKey {
    pub addr: [u8; 16],
    pub ifindex: u32,
}

/// Its Ethernet address; 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Neighbor {
    pub mac: [u8; 6],
    pub reserved: [u8; 2],
}
