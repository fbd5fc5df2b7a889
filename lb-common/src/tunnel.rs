//! What edge and server must know alike of tunnels.

use crate::abi::mode;

/// UDP port that Generic UDP Encapsulation is sent to (IANA, "gue").
pub const GUE_PORT: u16 = 6080;

/// Bytes that a mode puts before a packet on its way to an IPv4 or IPv6 backend.
#[inline(always)]
pub const fn overhead(mode: u8, backend_is_v4: bool) -> u16 {
    let ip = if backend_is_v4 { 20 } else { 40 };
    match mode {
        mode::IPIP => ip,
        mode::GUE => ip + 8,
        _ => 0,
    }
}
