//! What QUIC shows of itself (RFC 8999, RFC 9000 section 17).

use super::{Packet, UDP_HEADER};
use crate::frame::Frame;

const LONG: u8 = 0x80;
const TYPE: u8 = 0x30;
const VERSION_2: u32 = 0x6b33_43cf;
/// First byte and version, then the length of the destination connection id.
const LONG_HEADER: usize = 6;
/// The codepoint that says "no server id" (draft-ietf-quic-load-balancers-21
/// section 3.1): the three high bits of a connection id's first byte.
const UNROUTABLE: u8 = 0xe0;
/// Longest server id.
const MAX_ID: usize = 8;

/// Whether a connection begins with this packet: an Initial.
#[inline(always)]
pub fn is_initial(frame: Frame, packet: &Packet) -> bool {
    let Ok(header) = frame.header::<LONG_HEADER>(packet.l4 + UDP_HEADER) else { return false };
    let first = header.read::<u8, 0>();
    let version = u32::from_be(header.read::<u32, 1>());
    // Version 2 counts its packet types from another number (RFC 9369
    // section 3.2). Version 0 is negotiation, which servers send.
    let initial = if version == VERSION_2 { 0x10 } else { 0x00 };
    first & LONG != 0 && version != 0 && first & TYPE == initial
}

/// The server id in the destination connection id: `len` bytes (`1..=8`) from
/// its second byte on, in memory order, zero padded.
#[inline(always)]
pub fn server_id(frame: Frame, packet: &Packet, len: u8) -> Option<u64> {
    let start = packet.l4 + UDP_HEADER;
    let first = frame.header::<1>(start).ok()?.read::<u8, 0>();
    let id = if first & LONG != 0 {
        let header = frame.header::<LONG_HEADER>(start).ok()?;
        if header.read::<u8, 5>() <= len {
            return None;
        }
        frame.header::<{ 1 + MAX_ID }>(start + LONG_HEADER).ok()?
    } else {
        frame.header::<{ 1 + MAX_ID }>(start + 1).ok()?
    };
    if id.read::<u8, 0>() & UNROUTABLE == UNROUTABLE {
        return None;
    }
    let unused = 64 - 8 * u32::from(len).clamp(1, 8);
    Some(id.read::<u64, 1>() & (u64::MAX << unused).to_be())
}
