#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextHop {
    /// The next hop's Ethernet address.
    pub dst_mac: [u8; 6],
    /// The egress interface's own.
    pub src_mac: [u8; 6],
    /// Egress interface.
    pub ifindex: u32,
}
