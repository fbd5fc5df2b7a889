//! Mode `nat`: address and port rewrite, stateless in both directions. The
//! service and the backend name each other, so no packet needs a table of
//! connections.

use aya_ebpf::{bindings::xdp_action, programs::XdpContext};
use lb_common::abi::{Reason, Service};

use super::{
    ethernet::{self, Mac},
    ip, quote, transmit,
};
use crate::{
    frame::Frame,
    parse::{Address, IPV4_HEADER, IPV6_HEADER, Packet, TCP_HEADER, UDP, UDP_HEADER},
    routes::Way,
    steer::Forward,
    trace,
};

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

/// Backend to client: source becomes the VIP.
#[inline(always)]
pub fn reply(
    ctx: &XdpContext,
    frame: Frame,
    packet: &Packet,
    service: &Service,
    way: &Way,
) -> Result<(Reason, u32), Reason> {
    let vip = Address::from_bytes(service.vip);
    let port = port(service, packet.src_port, service.port);
    let reason = if packet.quoted {
        quote::to_client(frame, packet, vip, port)?;
        Reason::ForwardIcmpReply
    } else {
        rewrite(frame, packet, End::Source, vip, port)?;
        Reason::ForwardReply
    };
    let Some([dst, src]) = way.macs else {
        return Ok((Reason::ReplyToKernel, xdp_action::XDP_PASS));
    };
    trace::note(|t| t.dst_mac = dst);
    ip::age(frame, packet)?;
    ethernet::address(frame, dst.into(), src.into())?;
    Ok((reason, transmit::transmit(ctx, way.ifindex)))
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
