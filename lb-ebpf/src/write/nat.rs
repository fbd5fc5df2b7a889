//! Mode `nat`: address and port rewrite, stateless in both directions. The
//! service and the backend name each other, so no packet needs a table of
//! connections.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{bpf_fib_lookup as FibLookup, xdp_action},
    helpers::generated::bpf_fib_lookup,
    programs::XdpContext,
};
use lb_common::{
    abi::{Backend, Reason, Service},
    checksum,
};

use super::ethernet::{self, Mac};
use crate::{
    frame::Frame,
    parse::{Address, IPV4_HEADER, IPV6_HEADER, Segment, TCP_HEADER},
};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `BPF_FIB_LKUP_RET_*` of include/uapi/linux/bpf.h.
const FIB_SUCCESS: i64 = 0;
const FIB_NOT_FORWARDED: i64 = 4;
const FIB_NO_NEIGHBOUR: i64 = 7;

/// Which end of the segment is replaced.
#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

/// Client to backend: destination becomes the backend.
#[inline(always)]
pub fn forward(
    ctx: &XdpContext,
    frame: Frame,
    segment: &Segment,
    backend: &Backend,
) -> Result<u32, Reason> {
    rewrite(
        frame,
        segment,
        End::Destination,
        words(backend.addr),
        u16::from_ne_bytes(backend.port),
    )?;
    age(frame, segment)?;
    ethernet::address(frame, Mac::from(backend.dst_mac), Mac::from(backend.src_mac))?;
    Ok(ethernet::transmit(ctx, backend.ifindex))
}

/// Backend to client: source becomes the VIP. The kernel's tables name the
/// next hop, since a client can be anywhere.
#[inline(always)]
pub fn reply(
    ctx: &XdpContext,
    frame: Frame,
    segment: &Segment,
    service: &Service,
) -> Result<(Reason, u32), Reason> {
    let mut route = route_request(ctx, segment, service);
    // SAFETY: the structure is ours, whole, and of the size that is told.
    let found =
        unsafe { bpf_fib_lookup(ctx.as_ptr(), &raw mut route, size_of::<FibLookup>() as i32, 0) };
    match found {
        FIB_SUCCESS | FIB_NO_NEIGHBOUR => {}
        // To the edge itself, which probes its backends: to no client.
        FIB_NOT_FORWARDED => return Err(Reason::NotOurs),
        _ => return Err(Reason::NoRoute),
    }
    rewrite(frame, segment, End::Source, words(service.vip), u16::from_ne_bytes(service.port))?;
    if found == FIB_NO_NEIGHBOUR {
        return Ok((Reason::ReplyToKernel, xdp_action::XDP_PASS));
    }
    age(frame, segment)?;
    ethernet::address(frame, Mac::from(route.dmac), Mac::from(route.smac))?;
    Ok((Reason::ForwardReply, ethernet::transmit(ctx, route.ifindex)))
}

#[inline(always)]
fn route_request(ctx: &XdpContext, segment: &Segment, service: &Service) -> FibLookup {
    // SAFETY: integers and arrays of them; all zero is valid.
    let mut request: FibLookup = unsafe { core::mem::zeroed() };
    request.l4_protocol = 6;
    request.ifindex = ctx.ingress_ifindex() as u32;
    request.__bindgen_anon_1.tot_len = segment.ip_len;
    let vip = words(service.vip);
    if segment.is_v4 {
        request.family = AF_INET;
        request.__bindgen_anon_3.ipv4_src = v4(vip);
        request.__bindgen_anon_4.ipv4_dst = segment.dst.v4_numeric().to_be();
    } else {
        request.family = AF_INET6;
        request.__bindgen_anon_3.ipv6_src = quarters(vip);
        request.__bindgen_anon_4.ipv6_dst = quarters(segment.dst);
    }
    request
}

/// Replaces one end's address and port, and both checksums (RFC 1624).
#[inline(always)]
fn rewrite(
    frame: Frame,
    segment: &Segment,
    end: End,
    addr: Address,
    port: u16,
) -> Result<(), Reason> {
    let (old_addr, old_port) = match end {
        End::Source => (segment.src, segment.src_port),
        End::Destination => (segment.dst, segment.dst_port),
    };
    let (removed, added);
    if segment.is_v4 {
        (removed, added) = (sum32(v4(old_addr)), sum32(v4(addr)));
        let ip = frame.header::<IPV4_HEADER>(segment.l3)?;
        ip.write::<u16, 10>(replace(ip.read::<u16, 10>(), removed, added));
        match end {
            End::Source => ip.write::<u32, 12>(v4(addr)),
            End::Destination => ip.write::<u32, 16>(v4(addr)),
        }
    } else {
        (removed, added) = (sum128(old_addr), sum128(addr));
        let ip = frame.header::<IPV6_HEADER>(segment.l3)?;
        match end {
            End::Source => ip.write::<[u64; 2], 8>(addr.0),
            End::Destination => ip.write::<[u64; 2], 24>(addr.0),
        }
    }
    let tcp = frame.header::<TCP_HEADER>(segment.l4)?;
    match end {
        End::Source => tcp.write::<u16, 0>(port),
        End::Destination => tcp.write::<u16, 2>(port),
    }
    let removed = removed + u64::from(u16::from_be(old_port));
    let added = added + u64::from(u16::from_be(port));
    tcp.write::<u16, 16>(replace(tcp.read::<u16, 16>(), removed, added));
    Ok(())
}

/// One hop further (RFC 1812 section 5.3.1); the caller has checked the TTL.
#[inline(always)]
fn age(frame: Frame, segment: &Segment) -> Result<(), Reason> {
    let ttl = segment.ttl.wrapping_sub(1);
    if segment.is_v4 {
        let ip = frame.header::<IPV4_HEADER>(segment.l3)?;
        ip.write::<u8, 8>(ttl);
        // The TTL is the high byte of its checksum word.
        let (removed, added) = (u64::from(segment.ttl) << 8, u64::from(ttl) << 8);
        ip.write::<u16, 10>(replace(ip.read::<u16, 10>(), removed, added));
    } else {
        frame.header::<IPV6_HEADER>(segment.l3)?.write::<u8, 7>(ttl);
    }
    Ok(())
}

/// [`checksum::replace`] on a checksum as it lies in the packet.
#[inline(always)]
fn replace(old: u16, removed: u64, added: u64) -> u16 {
    u16::from_ne_bytes(checksum::replace(old.to_ne_bytes(), removed, added))
}

#[inline(always)]
fn words(addr: [u8; 16]) -> Address {
    // SAFETY: sixteen plain bytes are two plain words.
    Address(unsafe { core::mem::transmute::<[u8; 16], [u64; 2]>(addr) })
}

/// The IPv4 address in network byte order.
#[inline(always)]
fn v4(addr: Address) -> u32 {
    addr.v4_numeric().to_be()
}

/// An address as four words in network byte order.
#[inline(always)]
fn quarters(addr: Address) -> [u32; 4] {
    // SAFETY: two plain words are four plain half-words.
    unsafe { core::mem::transmute::<[u64; 2], [u32; 4]>(addr.0) }
}

/// Sum of the two 16-bit words of an address in network byte order.
#[inline(always)]
fn sum32(raw: u32) -> u64 {
    let n = u32::from_be(raw);
    u64::from(n >> 16) + u64::from(n & 0xffff)
}

/// Sum of the eight 16-bit words of an address.
#[inline(always)]
fn sum128(addr: Address) -> u64 {
    let [hi, lo] = addr.numeric();
    let halves = |n: u64| (n >> 48) + (n >> 32 & 0xffff) + (n >> 16 & 0xffff) + (n & 0xffff);
    halves(hi) + halves(lo)
}
