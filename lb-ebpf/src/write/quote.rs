//! Mode `nat` and ICMP errors: what is quoted is rewritten too, so that its
//! sender knows it again (RFC 5508 section 4.2).
//!
//! The quoted IPv4 header and its checksum change by opposite amounts, so that
//! of the message's checksum only the port is left to mend; IPv6 has no such
//! checksum, and the pseudo-header besides.

use lb_common::abi::Reason;

use super::{
    ip,
    nat::{End, set_address},
};
use crate::{
    frame::Frame,
    parse::{Address, IPV4_HEADER, IPV6_HEADER, Packet, icmp::ICMP_HEADER},
};

/// An error that a client's side sent to the VIP: it was the backend's packet.
#[inline(always)]
pub fn to_backend(frame: Frame, packet: &Packet, server: Address, port: u16) -> Result<(), Reason> {
    let (removed, added) = (packet.dst.sum(packet.is_v4), server.sum(packet.is_v4));
    set_address(frame, packet, End::Destination, server, removed, added)?;
    let ports = frame.header::<4>(packet.quote)?;
    ports.write::<u16, 0>(port);
    let change = Change { old: packet.dst, new: server, old_port: packet.dst_port, port };
    mend(frame, packet, End::Source, &change, 2)
}

/// An error about a client's packet that the backend, or a router before it,
/// sent: the client knows the VIP. A router keeps its own address.
#[inline(always)]
pub fn to_client(frame: Frame, packet: &Packet, vip: Address, port: u16) -> Result<(), Reason> {
    let (removed, added) = (packet.src.sum(packet.is_v4), vip.sum(packet.is_v4));
    let by_backend = sender(frame, packet)? == packet.src;
    if by_backend {
        set_address(frame, packet, End::Source, vip, removed, added)?;
    }
    let ports = frame.header::<4>(packet.quote)?;
    ports.write::<u16, 2>(port);
    let change = Change { old: packet.src, new: vip, old_port: packet.src_port, port };
    mend(frame, packet, End::Destination, &change, if by_backend { 2 } else { 1 })
}

/// Who sent the message.
#[inline(always)]
fn sender(frame: Frame, packet: &Packet) -> Result<Address, Reason> {
    Ok(if packet.is_v4 {
        Address::v4(frame.header::<IPV4_HEADER>(packet.l3)?.read::<u32, 12>())
    } else {
        Address(frame.header::<IPV6_HEADER>(packet.l3)?.read::<[u64; 2], 8>())
    })
}

/// What one end of the quoted packet becomes.
struct Change {
    old: Address,
    new: Address,
    /// In network byte order, like `port`.
    old_port: u16,
    port: u16,
}

/// Replaces the address in the quoted header, and mends the message's
/// checksum, in which an IPv6 address is counted `times`.
#[inline(always)]
fn mend(
    frame: Frame,
    packet: &Packet,
    end: End,
    change: &Change,
    times: u64,
) -> Result<(), Reason> {
    let inner = Packet { l3: packet.l4 + ICMP_HEADER, ..*packet };
    let (old, new) = (change.old.sum(packet.is_v4), change.new.sum(packet.is_v4));
    set_address(frame, &inner, end, change.new, old, new)?;
    let mut removed = u64::from(u16::from_be(change.old_port));
    let mut added = u64::from(u16::from_be(change.port));
    if !packet.is_v4 {
        removed += times * old;
        added += times * new;
    }
    let icmp = frame.header::<ICMP_HEADER>(packet.l4)?;
    icmp.write::<u16, 2>(ip::replace(icmp.read::<u16, 2>(), removed, added));
    Ok(())
}
