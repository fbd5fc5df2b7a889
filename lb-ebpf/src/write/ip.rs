//! Changes of an IP header that every way on has in common.

use lb_common::{abi::Reason, checksum};

use crate::{
    frame::Frame,
    parse::{IPV4_HEADER, IPV6_HEADER, Packet},
};

/// One hop further (RFC 1812 section 5.3.1); the caller has checked the TTL.
#[inline(always)]
pub fn age(frame: Frame, packet: &Packet) -> Result<(), Reason> {
    let ttl = packet.ttl.wrapping_sub(1);
    if packet.is_v4 {
        let ip = frame.header::<IPV4_HEADER>(packet.l3)?;
        ip.write::<u8, 8>(ttl);
        // The TTL is the high byte of its checksum word.
        let (removed, added) = (u64::from(packet.ttl) << 8, u64::from(ttl) << 8);
        ip.write::<u16, 10>(replace(ip.read::<u16, 10>(), removed, added));
    } else {
        frame.header::<IPV6_HEADER>(packet.l3)?.write::<u8, 7>(ttl);
    }
    Ok(())
}

/// [`checksum::replace`] on a checksum as it lies in the packet.
#[inline(always)]
pub fn replace(old: u16, removed: u64, added: u64) -> u16 {
    u16::from_ne_bytes(checksum::replace(old.to_ne_bytes(), removed, added))
}

/// [`checksum::finish`] as it lies in the packet.
#[inline(always)]
pub fn finish(sum: u64) -> u16 {
    u16::from_ne_bytes(checksum::finish(sum))
}
