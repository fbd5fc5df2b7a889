//! Next hops: which interface and Ethernet address a backend is reached by.
//!
//! The kernel's own tables decide. Whatever changes in them, the answer for
//! every backend is computed anew and compared with what packets use: a missed
//! notification costs seconds, not correctness.

mod look;
mod watch;

pub(super) use self::{
    look::{Answer, look},
    watch::watch,
};

/// Where packets to a backend go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextHop {
    /// The next hop's Ethernet address.
    pub dst_mac: [u8; 6],
    /// The egress interface's own.
    pub src_mac: [u8; 6],
    /// Egress interface.
    pub ifindex: u32,
    /// Longest IP packet that the way takes; 0 is not known.
    pub mtu: u16,
}
