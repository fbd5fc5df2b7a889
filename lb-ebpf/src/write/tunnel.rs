//! Modes `ipip` and `gue`: the packet in another one, to the server.
//!
//! The outer source varies by flow, so that receivers spread packets over
//! their queues. TOS is copied, ECN with it (RFC 6040 section 4.1); the outer
//! packet is never fragmented, since its length was checked.

use aya_ebpf::{helpers::generated::bpf_xdp_adjust_head, programs::XdpContext};
use lb_common::{
    abi::{Config, Reason, mode},
    tunnel::{GUE_PORT, overhead},
};

use super::{ethernet::Link, ip, transmit};
use crate::{
    frame::Frame,
    parse::{
        Address, ICMP, ICMPV6, IPV4_HEADER, IPV6_HEADER, Packet, UDP, UDP_HEADER,
        ip::{ETHERTYPE_IPV4, ETHERTYPE_IPV6},
    },
    steer::Forward,
};

const TTL: u8 = 64;
const DONT_FRAGMENT: u16 = 0x4000;
const IPV4_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;

/// The outer packet, without its IP header.
struct Outer {
    protocol: u8,
    /// Bytes of the whole packet.
    len: u16,
    tos: u8,
    flow: u64,
}

/// Puts the packet into another one and sends it to the backend.
#[inline(always)]
pub fn encapsulate(
    ctx: &XdpContext,
    frame: Frame,
    config: &Config,
    packet: &Packet,
    way: &Forward,
) -> Result<u32, Reason> {
    let backend = way.backend;
    let server = Address::from_bytes(backend.addr);
    let (to_v4, gue) = (server.is_v4(), way.service.mode == mode::GUE);
    ip::age(frame, packet)?;
    let link = Link::of(frame, packet.l3)?.to(backend);
    let sum = if gue && !to_v4 { inner_sum(frame, packet)? } else { None };

    let room = overhead(way.service.mode, to_v4);
    // SAFETY: the context is the one this program was given; the frame that
    // it invalidates is not used afterwards.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, -i32::from(room)) } != 0 {
        return Err(Reason::RewriteFailed);
    }
    let frame = Frame::new(ctx);
    let inner = if packet.is_v4 { IPV4_IN_IP } else { IPV6_IN_IP };
    let outer = Outer {
        protocol: if gue { UDP } else { inner },
        len: packet.ip_len + room,
        tos: packet.tos,
        flow: way.flow,
    };
    if to_v4 {
        link.write(frame, ETHERTYPE_IPV4)?;
        ipv4(frame, packet.l3, config, &outer, server)?;
        if gue {
            udp(frame, packet.l3 + IPV4_HEADER, outer.len - IPV4_HEADER as u16, outer.flow, None)?;
        }
    } else {
        link.write(frame, ETHERTYPE_IPV6)?;
        let src = source_v6(config, outer.flow);
        ipv6(frame, packet.l3, &outer, src, server)?;
        if gue {
            let sum = sum.map(|sum| sum + src.sum(false) + server.sum(false));
            udp(frame, packet.l3 + IPV6_HEADER, outer.len - IPV6_HEADER as u16, outer.flow, sum)?;
        }
    }
    Ok(transmit::transmit(ctx, backend.ifindex))
}

#[inline(always)]
fn ipv4(
    frame: Frame,
    l3: usize,
    config: &Config,
    outer: &Outer,
    dst: Address,
) -> Result<(), Reason> {
    let fixed = u32::from_be_bytes(config.tunnel_v4);
    let src = fixed | (outer.flow >> 32) as u32 & u32::from_be_bytes(config.tunnel_v4_flow);
    let src = Address::v4(src.to_be());
    let first = 0x4500 | u16::from(outer.tos);
    let sum = u64::from(first)
        + u64::from(outer.len)
        + u64::from(DONT_FRAGMENT)
        + (u64::from(TTL) << 8 | u64::from(outer.protocol))
        + src.sum(true)
        + dst.sum(true);
    let ip = frame.header::<IPV4_HEADER>(l3)?;
    ip.write::<u16, 0>(first.to_be());
    ip.write::<u16, 2>(outer.len.to_be());
    // What is never fragmented needs no identification (RFC 6864 section 4.1).
    ip.write::<u16, 4>(0);
    ip.write::<u16, 6>(DONT_FRAGMENT.to_be());
    ip.write::<u8, 8>(TTL);
    ip.write::<u8, 9>(outer.protocol);
    ip.write::<u16, 10>(ip::finish(sum));
    ip.write::<u32, 12>(src.v4_raw());
    ip.write::<u32, 16>(dst.v4_raw());
    Ok(())
}

#[inline(always)]
fn source_v6(config: &Config, flow: u64) -> Address {
    let [hi, lo] = Address::from_bytes(config.tunnel_v6).numeric();
    Address([hi.to_be(), (lo & !0xffff_ffff | flow >> 32).to_be()])
}

#[inline(always)]
fn ipv6(frame: Frame, l3: usize, outer: &Outer, src: Address, dst: Address) -> Result<(), Reason> {
    // The flow label spreads packets too (RFC 6438).
    let label = (outer.flow >> 32) as u32 & 0xf_ffff;
    let ip = frame.header::<IPV6_HEADER>(l3)?;
    ip.write::<u32, 0>((0x6000_0000 | u32::from(outer.tos) << 20 | label).to_be());
    ip.write::<u16, 4>((outer.len - IPV6_HEADER as u16).to_be());
    ip.write::<u8, 6>(outer.protocol);
    ip.write::<u8, 7>(TTL);
    ip.write::<[u64; 2], 8>(src.0);
    ip.write::<[u64; 2], 24>(dst.0);
    Ok(())
}

/// The UDP header of GUE. `sum` is of outer addresses and payload; without it
/// the checksum is left out, which IPv4 allows (RFC 768), and IPv6 to tunnels
/// (RFC 6935).
#[inline(always)]
fn udp(frame: Frame, l4: usize, len: u16, flow: u64, sum: Option<u64>) -> Result<(), Reason> {
    // Of the dynamic ports (RFC 6335), as RFC 7510 section 3.2.1 has it.
    let src_port = 0xc000 | (flow >> 48) as u16;
    let sum = match sum {
        None => 0,
        Some(sum) => {
            let header = u64::from(src_port) + u64::from(GUE_PORT) + u64::from(len);
            let pseudo = u64::from(UDP) + u64::from(len);
            match ip::finish(sum + header + pseudo) {
                0 => 0xffff,
                sum => sum,
            }
        }
    };
    let udp = frame.header::<UDP_HEADER>(l4)?;
    udp.write::<u16, 0>(src_port.to_be());
    udp.write::<u16, 2>(GUE_PORT.to_be());
    udp.write::<u16, 4>(len.to_be());
    udp.write::<u16, 6>(sum);
    Ok(())
}

/// The checksum sum of the whole inner packet, from its headers alone.
///
/// Its own checksums say the rest: an IPv4 header sums to zero, and what
/// follows sums to the complement of its pseudo-header. `None` where they do
/// not: UDP without a checksum or with bytes after it, and extension headers.
#[inline(always)]
fn inner_sum(frame: Frame, packet: &Packet) -> Result<Option<u64>, Reason> {
    let follows = (packet.l4 - packet.l3) as u16;
    let length = u64::from(packet.ip_len - follows);
    let protocol = match (packet.quoted, packet.is_v4) {
        (false, _) => packet.protocol,
        (true, true) => ICMP,
        (true, false) => ICMPV6,
    };
    if protocol == UDP {
        let udp = frame.header::<UDP_HEADER>(packet.l4)?;
        // Of what follows the datagram in its packet (RFC 9868) it says nothing.
        let longer = u64::from(u16::from_be(udp.read::<u16, 4>())) != length;
        if longer || udp.read::<u16, 6>() == 0 {
            return Ok(None);
        }
    }
    let (src, dst) = if packet.quoted {
        // The outer ends of the message: of the pseudo-header they cancel out
        // below, or have no part in it.
        (Address([0; 2]), Address([0; 2]))
    } else {
        (packet.src, packet.dst)
    };
    if packet.is_v4 {
        let pseudo = if protocol == ICMP {
            0
        } else {
            src.sum(true) + dst.sum(true) + u64::from(protocol) + length
        };
        return Ok(Some(complement(pseudo)));
    }
    if follows != IPV6_HEADER as u16 {
        return Ok(None);
    }
    // Addresses stand in the header and in the pseudo-header: they cancel out.
    let ip = frame.header::<IPV6_HEADER>(packet.l3)?;
    let header = u64::from(u16::from_be(ip.read::<u16, 0>()))
        + u64::from(u16::from_be(ip.read::<u16, 2>()))
        + u64::from(u16::from_be(ip.read::<u16, 4>()))
        + u64::from(u16::from_be(ip.read::<u16, 6>()));
    Ok(Some(header + complement(u64::from(protocol) + length)))
}

/// What makes `sum` zero.
#[inline(always)]
fn complement(sum: u64) -> u64 {
    u64::from(!lb_common::checksum::fold(sum))
}
