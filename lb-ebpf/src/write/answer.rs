//! ICMP answers: echo replies and errors.
//!
//! Errors quote as much of the packet as they may (RFC 1812 section 4.3.2.3,
//! RFC 4443 section 2.4), come from the address that the packet was sent to,
//! and are limited in rate (RFC 1812 section 4.3.2.8).

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_action,
    helpers::generated::{
        bpf_csum_diff, bpf_ktime_get_coarse_ns, bpf_xdp_adjust_head, bpf_xdp_adjust_tail,
        bpf_xdp_load_bytes,
    },
    programs::XdpContext,
};
use lb_common::abi::{Config, Reason};

use super::{
    ethernet::{self, Link},
    ip,
};
use crate::{
    frame::Frame,
    maps::{ANSWERS, QUOTE, QUOTE_WORDS},
    parse::{
        ICMP, ICMPV6, IPV4_HEADER, IPV6_HEADER, Network, Packet,
        icmp::ICMP_HEADER,
        ip::{ETHERTYPE_IPV4, ETHERTYPE_IPV6},
    },
    trace,
};

const TTL: u8 = 64;
/// The most of a packet that an error quotes: 576 bytes in all, or 1,280.
const QUOTE_V4: u32 = 576 - (IPV4_HEADER + ICMP_HEADER) as u32;
const QUOTE_V6: u32 = 1280 - (IPV6_HEADER + ICMP_HEADER) as u32;
/// The scratch in steps of what one call of `bpf_csum_diff` takes.
const SUM_STEPS: [u32; 3] = [512, 512, QUOTE_WORDS as u32 * 4 - 1024];
/// A whole answer, in the unit that tokens are counted in.
const ONE: u64 = 1 << 20;

/// An ICMP error.
#[derive(Clone, Copy)]
pub enum Error {
    TimeExceeded,
    PortUnreachable,
    /// With the length of IP packet that would do.
    TooBig(u16),
}

impl Error {
    /// Type, code and the last two bytes of the header.
    #[inline(always)]
    fn header(self, is_v4: bool) -> (u8, u8, u16) {
        match (self, is_v4) {
            (Self::TimeExceeded, true) => (11, 0, 0),
            (Self::TimeExceeded, false) => (3, 0, 0),
            (Self::PortUnreachable, true) => (3, 3, 0),
            (Self::PortUnreachable, false) => (1, 4, 0),
            (Self::TooBig(mtu), true) => (3, 4, mtu),
            (Self::TooBig(mtu), false) => (2, 0, mtu),
        }
    }
}

/// Answers a packet with an error.
#[inline(always)]
pub fn error(
    ctx: &XdpContext,
    frame: Frame,
    config: &Config,
    packet: &Packet,
    error: Error,
) -> Result<u32, Reason> {
    if packet.quoted {
        return Err(Reason::Unanswerable);
    }
    if !may_answer(config) {
        return Err(Reason::AnswerLimited);
    }
    let most = if packet.is_v4 { QUOTE_V4 } else { QUOTE_V6 };
    let quoted = u32::from(packet.ip_len).min(most).max(IPV4_HEADER as u32);
    let (kind, code, rest) = error.header(packet.is_v4);
    let head = u32::from(kind) << 24 | u32::from(code) << 16;
    let mut sum = u64::from(kind) << 8 | u64::from(code);
    sum += u64::from(rest) + quote_sum(ctx, packet.l3, quoted)?;
    let link = Link::of(frame, packet.l3)?.turned();

    let room = if packet.is_v4 { IPV4_HEADER } else { IPV6_HEADER } + ICMP_HEADER;
    let surplus = frame.size() as i32 - (packet.l3 as i32 + quoted as i32);
    // SAFETY: the context is the one this program was given; the frame that
    // these calls invalidate is not used afterwards.
    let moved = unsafe {
        bpf_xdp_adjust_tail(ctx.ctx, -surplus) == 0
            && bpf_xdp_adjust_head(ctx.ctx, -(room as i32)) == 0
    };
    if !moved {
        return Err(Reason::RewriteFailed);
    }
    let frame = Frame::new(ctx);
    let len = quoted as u16 + ICMP_HEADER as u16;
    let l4 = packet.l3 + room - ICMP_HEADER;
    if packet.is_v4 {
        link.write(frame, ETHERTYPE_IPV4)?;
        ipv4(frame, packet, len)?;
    } else {
        link.write(frame, ETHERTYPE_IPV6)?;
        ipv6(frame, packet, len)?;
        sum += packet.src.sum(false) + packet.dst.sum(false);
        sum += u64::from(ICMPV6) + u64::from(len);
    }
    let icmp = frame.header::<ICMP_HEADER>(l4)?;
    icmp.write::<u32, 0>(head.to_be());
    icmp.write::<u16, 2>(ip::finish(sum));
    icmp.write::<u32, 4>(u32::from(rest).to_be());
    trace::note(|t| t.egress = t.ingress);
    Ok(xdp_action::XDP_TX)
}

#[inline(always)]
fn ipv4(frame: Frame, packet: &Packet, len: u16) -> Result<(), Reason> {
    let len = len + IPV4_HEADER as u16;
    let sum = 0x4500
        + u64::from(len)
        + (u64::from(TTL) << 8 | u64::from(ICMP))
        + packet.src.sum(true)
        + packet.dst.sum(true);
    let header = frame.header::<IPV4_HEADER>(packet.l3)?;
    header.write::<u16, 0>(0x4500u16.to_be());
    header.write::<u16, 2>(len.to_be());
    header.write::<u32, 4>(0);
    header.write::<u8, 8>(TTL);
    header.write::<u8, 9>(ICMP);
    header.write::<u16, 10>(ip::finish(sum));
    header.write::<u32, 12>(packet.dst.v4_raw());
    header.write::<u32, 16>(packet.src.v4_raw());
    Ok(())
}

#[inline(always)]
fn ipv6(frame: Frame, packet: &Packet, len: u16) -> Result<(), Reason> {
    let header = frame.header::<IPV6_HEADER>(packet.l3)?;
    header.write::<u32, 0>(0x6000_0000u32.to_be());
    header.write::<u16, 4>(len.to_be());
    header.write::<u8, 6>(ICMPV6);
    header.write::<u8, 7>(TTL);
    header.write::<[u64; 2], 8>(packet.dst.0);
    header.write::<[u64; 2], 24>(packet.src.0);
    Ok(())
}

/// The checksum sum of the first `len` bytes from `start` on.
#[inline(always)]
fn quote_sum(ctx: &XdpContext, start: usize, len: u32) -> Result<u64, Reason> {
    let quote = QUOTE.get_ptr_mut(0).ok_or(Reason::RewriteFailed)?;
    // The kernel sums whole words: what the last one has beyond `len` is zero.
    let last = (len / 4).min(QUOTE_V6 / 4);
    // SAFETY: this CPU's copy, which nothing else writes meanwhile; `last` is
    // within it, and so are the `len` bytes.
    let loaded = unsafe {
        (*quote)[last as usize] = 0;
        bpf_xdp_load_bytes(ctx.as_ptr().cast(), start as u32, quote.cast(), len)
    };
    if loaded != 0 {
        return Err(Reason::RewriteFailed);
    }
    let mut left = (len + 3) & !3;
    let mut from = 0;
    let mut sum = 0u64;
    for room in SUM_STEPS {
        let step = left.min(room);
        // SAFETY: `from + step` is within the scratch, whose length is checked.
        let part = unsafe {
            let at = quote.cast::<u8>().add(from).cast::<u32>();
            bpf_csum_diff(core::ptr::null_mut(), 0, at, step, 0)
        };
        if part < 0 {
            return Err(Reason::RewriteFailed);
        }
        // In the packet's byte order, folded to 32 bits.
        let part = part as u64;
        sum += u64::from((part as u16).to_be()) + u64::from(((part >> 16) as u16).to_be());
        left -= step;
        from += room as usize;
    }
    Ok(sum)
}

/// Takes one answer from this CPU's share, which grows with time.
#[inline(always)]
fn may_answer(config: &Config) -> bool {
    if trace::is_asked() {
        return true;
    }
    let (Some(left), Some(since)) = (ANSWERS.get_ptr_mut(0), ANSWERS.get_ptr_mut(1)) else {
        return false;
    };
    // SAFETY: the helper takes nothing and reads a clock.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let rate = u64::from(config.answers);
    // SAFETY: this CPU's copies, which nothing else writes meanwhile.
    unsafe {
        // A second's answers at most; microseconds, so that nothing overflows.
        let elapsed = (now.wrapping_sub(*since) / 1000).min(1_000_000);
        let tokens = (*left + elapsed * rate * ONE / 1_000_000).min(rate * ONE);
        *since = now;
        let enough = tokens >= ONE;
        *left = if enough { tokens - ONE } else { tokens };
        enough
    }
}

/// Answers an echo request, in place (RFC 792, RFC 4443 section 4.2).
#[inline(always)]
pub fn echo(frame: Frame, network: &Network) -> Result<u32, Reason> {
    let icmp = frame.header::<ICMP_HEADER>(network.l4)?;
    let (request, reply) = if network.is_v4 { (8, 0) } else { (128u8, 129u8) };
    icmp.write::<u8, 0>(reply);
    let (removed, added) = (u64::from(request) << 8, u64::from(reply) << 8);
    icmp.write::<u16, 2>(ip::replace(icmp.read::<u16, 2>(), removed, added));
    if network.is_v4 {
        let header = frame.header::<IPV4_HEADER>(network.l3)?;
        header.write::<u32, 12>(network.dst.v4_raw());
        header.write::<u32, 16>(network.src.v4_raw());
        header.write::<u8, 8>(TTL);
        let (removed, added) = (u64::from(network.ttl) << 8, u64::from(TTL) << 8);
        header.write::<u16, 10>(ip::replace(header.read::<u16, 10>(), removed, added));
    } else {
        let header = frame.header::<IPV6_HEADER>(network.l3)?;
        header.write::<[u64; 2], 8>(network.dst.0);
        header.write::<[u64; 2], 24>(network.src.0);
        header.write::<u8, 7>(TTL);
    }
    ethernet::turn_around(frame)?;
    trace::note(|t| t.egress = t.ingress);
    Ok(xdp_action::XDP_TX)
}
