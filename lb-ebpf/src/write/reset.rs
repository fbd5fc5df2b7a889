//! Answering a segment with RST, in place.
//!
//! The answer is what a closed port would say (RFC 9293 section 3.5.2): a
//! segment with ACK gets `SEQ = SEG.ACK`, which is exactly what its sender
//! expects next, so RFC 5961 accepts it at once; one without gets `SEQ = 0,
//! ACK = SEG.SEQ + SEG.LEN`.

use aya_ebpf::{
    bindings::xdp_action, helpers::generated::bpf_xdp_adjust_tail, programs::XdpContext,
};
use lb_common::abi::Reason;

use super::{ethernet, ip};
use crate::{
    frame::Frame,
    parse::{IPV4_HEADER, IPV6_HEADER, Packet, TCP_HEADER, tcp_flag},
    trace,
};

const TTL: u8 = 64;
const DONT_FRAGMENT: u16 = 0x4000;
const TCP: u8 = 6;
/// Data offset of a TCP header without options, in its place in the word.
const NO_OPTIONS: u16 = 5 << 12;

/// Sequence number, acknowledgement number and flags of the answer.
struct Numbers {
    seq: u32,
    ack: u32,
    flags: u8,
}

/// Turns the frame into its answer and sends it back.
#[inline(always)]
pub fn answer(ctx: &XdpContext, frame: Frame, packet: &Packet) -> Result<u32, Reason> {
    if packet.flags & tcp_flag::RST != 0 {
        return Err(Reason::ResetOfReset);
    }
    let numbers = numbers(frame, packet)?;
    let header = if packet.is_v4 {
        ipv4(frame, packet)?;
        IPV4_HEADER
    } else {
        ipv6(frame, packet)?;
        IPV6_HEADER
    };
    tcp(frame, packet, packet.l3 + header, &numbers)?;
    ethernet::turn_around(frame)?;

    let surplus = frame.size() - (packet.l3 + header + TCP_HEADER);
    // SAFETY: the context is the one this program was given; the frame is not
    // used afterwards.
    if unsafe { bpf_xdp_adjust_tail(ctx.ctx, -(surplus as i32)) } != 0 {
        return Err(Reason::RewriteFailed);
    }
    trace::note(|t| t.egress = t.ingress);
    Ok(xdp_action::XDP_TX)
}

#[inline(always)]
fn numbers(frame: Frame, packet: &Packet) -> Result<Numbers, Reason> {
    let tcp = frame.header::<TCP_HEADER>(packet.l4)?;
    if packet.flags & tcp_flag::ACK != 0 {
        let seq = u32::from_be(tcp.read::<u32, 8>());
        return Ok(Numbers { seq, ack: 0, flags: tcp_flag::RST });
    }
    let mut length = packet.payload;
    length += u32::from(packet.flags & tcp_flag::SYN != 0);
    length += u32::from(packet.flags & tcp_flag::FIN != 0);
    let ack = u32::from_be(tcp.read::<u32, 4>()).wrapping_add(length);
    Ok(Numbers { seq: 0, ack, flags: tcp_flag::RST | tcp_flag::ACK })
}

/// A header without options, ends swapped.
#[inline(always)]
fn ipv4(frame: Frame, packet: &Packet) -> Result<(), Reason> {
    let (src, dst) = (packet.dst.v4_numeric(), packet.src.v4_numeric());
    let length = (IPV4_HEADER + TCP_HEADER) as u16;
    let sum = 0x4500
        + u64::from(length)
        + u64::from(DONT_FRAGMENT)
        + (u64::from(TTL) << 8 | u64::from(TCP))
        + packet.src.sum(true)
        + packet.dst.sum(true);
    let header = frame.header::<IPV4_HEADER>(packet.l3)?;
    header.write::<u16, 0>(0x4500u16.to_be());
    header.write::<u16, 2>(length.to_be());
    header.write::<u16, 4>(0);
    header.write::<u16, 6>(DONT_FRAGMENT.to_be());
    header.write::<u8, 8>(TTL);
    header.write::<u8, 9>(TCP);
    header.write::<u16, 10>(ip::finish(sum));
    header.write::<u32, 12>(src.to_be());
    header.write::<u32, 16>(dst.to_be());
    Ok(())
}

#[inline(always)]
fn ipv6(frame: Frame, packet: &Packet) -> Result<(), Reason> {
    let header = frame.header::<IPV6_HEADER>(packet.l3)?;
    header.write::<u32, 0>(0x6000_0000u32.to_be());
    header.write::<u16, 4>((TCP_HEADER as u16).to_be());
    header.write::<u8, 6>(TCP);
    header.write::<u8, 7>(TTL);
    header.write::<[u64; 2], 8>(packet.dst.0);
    header.write::<[u64; 2], 24>(packet.src.0);
    Ok(())
}

/// A header without options, ports swapped, and its checksum over the
/// pseudo-header (RFC 9293 section 3.1).
#[inline(always)]
fn tcp(frame: Frame, packet: &Packet, l4: usize, numbers: &Numbers) -> Result<(), Reason> {
    let offset_flags = NO_OPTIONS | u16::from(numbers.flags);
    let addresses = packet.src.sum(packet.is_v4) + packet.dst.sum(packet.is_v4);
    let sum = addresses
        + u64::from(TCP)
        + TCP_HEADER as u64
        + u64::from(u16::from_be(packet.src_port))
        + u64::from(u16::from_be(packet.dst_port))
        + u64::from(numbers.seq >> 16)
        + u64::from(numbers.seq & 0xffff)
        + u64::from(numbers.ack >> 16)
        + u64::from(numbers.ack & 0xffff)
        + u64::from(offset_flags);
    let tcp = frame.header::<TCP_HEADER>(l4)?;
    tcp.write::<u16, 0>(packet.dst_port);
    tcp.write::<u16, 2>(packet.src_port);
    tcp.write::<u32, 4>(numbers.seq.to_be());
    tcp.write::<u32, 8>(numbers.ack.to_be());
    tcp.write::<u16, 12>(offset_flags.to_be());
    tcp.write::<u16, 14>(0);
    tcp.write::<u16, 16>(ip::finish(sum));
    tcp.write::<u16, 18>(0);
    Ok(())
}
