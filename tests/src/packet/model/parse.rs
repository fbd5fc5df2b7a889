//! Bytes to what they say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::abi::Reason;

use super::Packet;

/// What a frame is.
pub(super) enum Parsed {
    Pass(Reason),
    /// To this address, but without readable ports.
    Portless(IpAddr, Reason),
    Packet(Packet),
    /// An ICMP message; ports, flags and payload mean nothing.
    Icmp(Packet),
}

/// What an ICMP message is about.
pub(super) enum Quote {
    Cut,
    Other,
    Echo,
    /// A flow, in a packet with the flow's addresses.
    Error(Packet),
}

pub(super) fn be16(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])
}

pub(super) fn v4(bytes: &[u8], at: usize) -> IpAddr {
    let octets: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
    Ipv4Addr::from(octets).into()
}

pub(super) fn v6(bytes: &[u8], at: usize) -> IpAddr {
    let octets: [u8; 16] = bytes[at..at + 16].try_into().expect("sixteen bytes");
    Ipv6Addr::from(octets).into()
}

pub(super) fn parse(frame: &[u8]) -> Parsed {
    match network(frame) {
        Ok(packet) => transport(frame, packet),
        Err(parsed) => parsed,
    }
}

/// Ethernet and IP; ports, flags and payload mean nothing.
pub(super) fn network(frame: &[u8]) -> Result<Packet, Parsed> {
    let malformed = Parsed::Pass(Reason::MalformedIp);
    let mut l3 = 14;
    while l3 < 22 && [0x8100, 0x88a8].contains(&be16(frame, l3 - 2)) {
        l3 += 4;
        if frame.len() < l3 {
            return Err(malformed);
        }
    }
    let ip = &frame[l3..];
    let packet = match be16(frame, l3 - 2) {
        0x0800 => ipv4(ip)?,
        0x86dd => ipv6(ip)?,
        _ => return Err(Parsed::Pass(Reason::OtherProtocol)),
    };
    Ok(Packet { l3, l4: packet.l4 + l3, ..packet })
}

fn ipv4(ip: &[u8]) -> Result<Packet, Parsed> {
    let malformed = || Parsed::Pass(Reason::MalformedIp);
    if ip.len() < 20 || ip[0] >> 4 != 4 {
        return Err(malformed());
    }
    let (header, length) = (usize::from(ip[0] & 15) * 4, be16(ip, 2));
    if header < 20 || length < header || length > ip.len() {
        return Err(malformed());
    }
    if be16(ip, 6) & 0x3fff != 0 {
        return Err(Parsed::Portless(v4(ip, 16), Reason::Fragment));
    }
    Ok(packet([v4(ip, 12), v4(ip, 16)], header, ip[9], ip[1], ip[8], length))
}

fn ipv6(ip: &[u8]) -> Result<Packet, Parsed> {
    let malformed = || Parsed::Pass(Reason::MalformedIp);
    if ip.len() < 40 || ip[0] >> 4 != 6 {
        return Err(malformed());
    }
    let length = 40 + be16(ip, 4);
    if length > ip.len() {
        return Err(malformed());
    }
    let (src, dst) = (v6(ip, 8), v6(ip, 24));
    let tos = ip[0] << 4 | ip[1] >> 4;
    let (next, at) = if [6, 17].contains(&ip[6]) { (ip[6], 40) } else { extensions(ip, dst)? };
    if at > length {
        return Err(malformed());
    }
    Ok(packet([src, dst], at, next, tos, ip[7], length))
}

/// What comes after extension headers, and where: at most four of them, and
/// 256 bytes.
fn extensions(ip: &[u8], dst: IpAddr) -> Result<(u8, usize), Parsed> {
    let (mut next, mut at) = (ip[6], 40);
    for _ in 0..5 {
        if ![0, 43, 44, 60].contains(&next) {
            return Ok((next, at));
        }
        if ip.len() < at + 8 {
            return Err(Parsed::Pass(Reason::MalformedIp));
        }
        let header = &ip[at..];
        if next == 44 && be16(header, 2) & 0xfff9 != 0 {
            return Err(Parsed::Portless(dst, Reason::Fragment));
        }
        if next == 43 && header[3] != 0 {
            return Err(Parsed::Pass(Reason::OtherProtocol));
        }
        at += if next == 44 { 8 } else { (usize::from(header[1]) + 1) * 8 };
        if at > 40 + 256 {
            break;
        }
        next = header[0];
    }
    Err(Parsed::Portless(dst, Reason::ExtensionHeaders))
}

fn transport(frame: &[u8], mut packet: Packet) -> Parsed {
    let dst = packet.dst;
    // An address may be cut off by the frame's end, but not by the packet's.
    let bytes = &frame[packet.l4.min(frame.len())..];
    let length = packet.ip_len - (packet.l4 - packet.l3);
    match (packet.protocol, packet.dst.is_ipv4()) {
        (6, _) => {
            let malformed = Parsed::Portless(dst, Reason::MalformedTcp);
            if bytes.len() < 20 || length < 20 {
                return malformed;
            }
            let header = usize::from(bytes[12] >> 4) * 4;
            if header < 20 || header > length {
                return malformed;
            }
            packet.flags = bytes[13];
            packet.seq = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            packet.payload = length - header;
        }
        (17, _) => {
            let whole = |bytes: &[u8]| (8..=length).contains(&be16(bytes, 4));
            if bytes.len() < 8 || !whole(bytes) {
                return Parsed::Portless(dst, Reason::MalformedUdp);
            }
        }
        (1, true) | (58, false) => return Parsed::Icmp(packet),
        _ => return Parsed::Pass(Reason::OtherProtocol),
    }
    packet.src_port = be16(bytes, 0) as u16;
    packet.dst_port = be16(bytes, 2) as u16;
    Parsed::Packet(packet)
}

/// What an ICMP message is about; its packet is the flow's, turned round.
pub(super) fn message(frame: &[u8], network: &Packet) -> Quote {
    let icmp = &frame[network.l4.min(frame.len())..];
    if icmp.len() < 8 || network.ip_len - (network.l4 - network.l3) < 8 {
        return Quote::Cut;
    }
    let v4_outside = network.dst.is_ipv4();
    match (icmp[0], v4_outside) {
        (8, true) | (128, false) => return Quote::Echo,
        (3 | 11 | 12, true) | (1..=4, false) => {}
        _ => return Quote::Other,
    }
    let inner = &icmp[8..];
    let (header, protocol, first, src, dst) = if v4_outside {
        if inner.len() < 20 || inner[0] >> 4 != 4 || inner[0] & 15 < 5 {
            return Quote::Cut;
        }
        let first = be16(inner, 6) & 0x1fff == 0;
        (usize::from(inner[0] & 15) * 4, inner[9], first, v4(inner, 12), v4(inner, 16))
    } else {
        if inner.len() < 40 || inner[0] >> 4 != 6 {
            return Quote::Cut;
        }
        (40, inner[6], true, v6(inner, 8), v6(inner, 24))
    };
    if !first || ![6, 17].contains(&protocol) {
        return Quote::Other;
    }
    let at = network.l4 + 8 + header;
    if frame.len() < at + 8 || at + 8 - network.l3 > network.ip_len {
        return Quote::Cut;
    }
    Quote::Error(Packet {
        src: dst,
        dst: src,
        src_port: be16(frame, at + 2) as u16,
        dst_port: be16(frame, at) as u16,
        protocol,
        quote: Some(at),
        ..network.clone()
    })
}

fn packet(
    [src, dst]: [IpAddr; 2],
    header: usize,
    protocol: u8,
    tos: u8,
    ttl: u8,
    ip_len: usize,
) -> Packet {
    Packet {
        l3: 0,
        l4: header,
        src,
        dst,
        src_port: 0,
        dst_port: 0,
        protocol,
        flags: 0,
        seq: 0,
        tos,
        ttl,
        ip_len,
        payload: 0,
        quote: None,
    }
}
