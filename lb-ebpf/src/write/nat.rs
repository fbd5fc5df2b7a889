//! Mode `nat`: address and port rewrite, stateless in both directions. The
//! service and the backend name each other, so no packet needs a table of
//! connections.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{bpf_fib_lookup as FibLookup, xdp_action},
    helpers::generated::bpf_fib_lookup,
    programs::XdpContext,
};
use lb_common::abi::{Reason, Service};

use super::{
    ethernet::{self, Mac},
    ip, quote, transmit,
};
use crate::{
    frame::Frame,
    parse::{Address, IPV4_HEADER, IPV6_HEADER, Packet, TCP_HEADER, UDP, UDP_HEADER},
    steer::Forward,
};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `BPF_FIB_LKUP_RET_*` of include/uapi/linux/bpf.h.
const FIB_SUCCESS: i64 = 0;
const FIB_NOT_FORWARDED: i64 = 4;
const FIB_NO_NEIGHBOUR: i64 = 7;

/// Which end of the packet is replaced.
#[derive(Clone, Copy)]
pub(super) enum End {
    Source,
    Destination,
}

/// Client to backend: destination becomes the backend.
#[inline(always)]
pub fn forward(
    ctx: &XdpContext,
    frame: Frame,
    packet: &Packet,
    way: &Forward,
) -> Result<u32, Reason> {
    let Forward { service, backend, .. } = *way;
    let server = Address::from_bytes(backend.addr);
    if packet.quoted {
        quote::to_backend(frame, packet, server, port(service, packet.dst_port, backend.port))?;
    } else {
        let port = port(service, packet.dst_port, backend.port);
        rewrite(frame, packet, End::Destination, server, port)?;
    }
    ip::age(frame, packet)?;
    ethernet::address(frame, Mac::from(backend.dst_mac), Mac::from(backend.src_mac))?;
    Ok(transmit::transmit(ctx, backend.ifindex))
}

/// The other side's port: a service that takes any port keeps it.
#[inline(always)]
fn port(service: &Service, kept: u16, other: [u8; 2]) -> u16 {
    if service.port == [0; 2] { kept } else { u16::from_ne_bytes(other) }
}

/// Backend to client: source becomes the VIP. The kernel's tables name the
/// next hop, since a client can be anywhere.
#[inline(always)]
pub fn reply(
    ctx: &XdpContext,
    frame: Frame,
    packet: &Packet,
    service: &Service,
) -> Result<(Reason, u32), Reason> {
    let mut route = route_request(ctx, packet, service);
    // SAFETY: the structure is ours, whole, and of the size that is told.
    let found =
        unsafe { bpf_fib_lookup(ctx.as_ptr(), &raw mut route, size_of::<FibLookup>() as i32, 0) };
    match found {
        FIB_SUCCESS | FIB_NO_NEIGHBOUR => {}
        // To the edge itself, which probes its backends: to no client.
        FIB_NOT_FORWARDED => return Err(Reason::NotOurs),
        _ => return Err(Reason::NoRoute),
    }
    let vip = Address::from_bytes(service.vip);
    let port = port(service, packet.src_port, service.port);
    let reason = if packet.quoted {
        quote::to_client(frame, packet, vip, port)?;
        Reason::ForwardIcmpReply
    } else {
        rewrite(frame, packet, End::Source, vip, port)?;
        Reason::ForwardReply
    };
    if found == FIB_NO_NEIGHBOUR {
        return Ok((Reason::ReplyToKernel, xdp_action::XDP_PASS));
    }
    ip::age(frame, packet)?;
    ethernet::address(frame, Mac::from(route.dmac), Mac::from(route.smac))?;
    Ok((reason, transmit::transmit(ctx, route.ifindex)))
}

#[inline(always)]
fn route_request(ctx: &XdpContext, packet: &Packet, service: &Service) -> FibLookup {
    // SAFETY: integers and arrays of them; all zero is valid.
    let mut request: FibLookup = unsafe { core::mem::zeroed() };
    request.l4_protocol = packet.protocol;
    request.ifindex = ctx.ingress_ifindex() as u32;
    request.__bindgen_anon_1.tot_len = packet.ip_len;
    let vip = Address::from_bytes(service.vip);
    if packet.is_v4 {
        request.family = AF_INET;
        request.__bindgen_anon_3.ipv4_src = vip.v4_raw();
        request.__bindgen_anon_4.ipv4_dst = packet.dst.v4_raw();
    } else {
        request.family = AF_INET6;
        request.__bindgen_anon_3.ipv6_src = quarters(vip);
        request.__bindgen_anon_4.ipv6_dst = quarters(packet.dst);
    }
    request
}

/// Replaces one end's address and port, and both checksums (RFC 1624).
#[inline(always)]
fn rewrite(
    frame: Frame,
    packet: &Packet,
    end: End,
    addr: Address,
    port: u16,
) -> Result<(), Reason> {
    let (old_addr, old_port) = match end {
        End::Source => (packet.src, packet.src_port),
        End::Destination => (packet.dst, packet.dst_port),
    };
    let (removed, added) = (old_addr.sum(packet.is_v4), addr.sum(packet.is_v4));
    set_address(frame, packet, end, addr, removed, added)?;
    let removed = removed + u64::from(u16::from_be(old_port));
    let added = added + u64::from(u16::from_be(port));
    if packet.protocol == UDP {
        let udp = frame.header::<UDP_HEADER>(packet.l4)?;
        match end {
            End::Source => udp.write::<u16, 0>(port),
            End::Destination => udp.write::<u16, 2>(port),
        }
        // 0 says that there is none (RFC 768).
        let old = udp.read::<u16, 6>();
        if old != 0 {
            let new = ip::replace(old, removed, added);
            udp.write::<u16, 6>(if new == 0 { 0xffff } else { new });
        }
    } else {
        let tcp = frame.header::<TCP_HEADER>(packet.l4)?;
        match end {
            End::Source => tcp.write::<u16, 0>(port),
            End::Destination => tcp.write::<u16, 2>(port),
        }
        tcp.write::<u16, 16>(ip::replace(tcp.read::<u16, 16>(), removed, added));
    }
    Ok(())
}

/// Replaces an address of the IP header, and the checksum of IPv4.
#[inline(always)]
pub(super) fn set_address(
    frame: Frame,
    packet: &Packet,
    end: End,
    addr: Address,
    removed: u64,
    added: u64,
) -> Result<(), Reason> {
    if packet.is_v4 {
        let header = frame.header::<IPV4_HEADER>(packet.l3)?;
        header.write::<u16, 10>(ip::replace(header.read::<u16, 10>(), removed, added));
        match end {
            End::Source => header.write::<u32, 12>(addr.v4_raw()),
            End::Destination => header.write::<u32, 16>(addr.v4_raw()),
        }
    } else {
        let header = frame.header::<IPV6_HEADER>(packet.l3)?;
        match end {
            End::Source => header.write::<[u64; 2], 8>(addr.0),
            End::Destination => header.write::<[u64; 2], 24>(addr.0),
        }
    }
    Ok(())
}

/// An address as four words in network byte order.
#[inline(always)]
fn quarters(addr: Address) -> [u32; 4] {
    // SAFETY: two plain words are four plain half-words.
    unsafe { core::mem::transmute::<[u64; 2], [u32; 4]>(addr.0) }
}
