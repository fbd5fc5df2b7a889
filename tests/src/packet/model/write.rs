//! The frame as it leaves.

use std::net::{IpAddr, SocketAddr};

use lb_common::abi::{Reason, mode};

use super::{
    Packet,
    parse::be16,
    steer::{Way, is_nat},
};
use crate::packet::{EDGE_MAC, World, checksum};

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// The checksum after `old` bytes became `new` (RFC 1624 equation 3).
fn mended(sum: &[u8], old: &[u8], new: &[u8]) -> [u8; 2] {
    let folded = |bytes: &[u8]| !u16::from_be_bytes(checksum(bytes));
    let add = |a: u16, b: u16| {
        let (sum, carry) = a.overflowing_add(b);
        sum + u16::from(carry)
    };
    let before = !u16::from_be_bytes([sum[0], sum[1]]);
    (!add(add(before, !folded(old)), folded(new))).to_be_bytes()
}

/// Replaces bytes, and mends the checksums at these places.
pub(super) fn replace(frame: &mut [u8], at: usize, new: &[u8], sums: &[usize]) {
    let old = frame[at..at + new.len()].to_vec();
    frame[at..at + new.len()].copy_from_slice(new);
    for &sum in sums {
        let value = mended(&frame[sum..sum + 2], &old, new);
        frame[sum..sum + 2].copy_from_slice(&value);
    }
}

fn age(frame: &mut [u8], packet: &Packet) {
    let l3 = packet.l3;
    if packet.src.is_ipv4() {
        let word = [frame[l3 + 8] - 1, frame[l3 + 9]];
        replace(frame, l3 + 8, &word, &[l3 + 10]);
    } else {
        frame[l3 + 7] -= 1;
    }
}

/// Bytes that go before the packet.
pub(super) fn overhead(way: &Way) -> usize {
    let ip = if way.server.address.is_ipv4() { 20 } else { 40 };
    match way.mode {
        mode::IPIP => ip,
        mode::GUE => ip + 8,
        _ => 0,
    }
}

pub(super) fn forward(world: &World, frame: &mut Vec<u8>, packet: &Packet, way: &Way) {
    age(frame, packet);
    if is_nat(way) {
        let to = way.server.address;
        let port = if way.any_port { packet.dst_port } else { to.port() };
        readdress(frame, packet, &Change { source: false, ip: to.ip(), port });
    }
    let macs = [way.server.mac(), EDGE_MAC].concat();
    frame[..12].copy_from_slice(&macs);
    if overhead(way) != 0 {
        encapsulate(world, frame, packet, way);
    }
}

/// What one end of a packet becomes, in mode `nat`.
struct Change {
    /// Its source, else its destination.
    source: bool,
    ip: IpAddr,
    port: u16,
}

fn readdress(frame: &mut [u8], packet: &Packet, change: &Change) {
    let &Change { source, ip, port } = change;
    let v4 = packet.src.is_ipv4();
    let (l3, l4) = (packet.l3, packet.l4);
    let (was, old_port) =
        if source { (packet.src, packet.src_port) } else { (packet.dst, packet.dst_port) };
    let (was, to) = (octets(was), octets(ip));
    // Where an IP header has its source, or its destination, and its checksum.
    let place = |header: usize, source: bool| match (v4, source) {
        (true, true) => (header + 12, vec![header + 10]),
        (true, false) => (header + 16, vec![header + 10]),
        (false, true) => (header + 8, vec![]),
        (false, false) => (header + 24, vec![]),
    };
    let (at, ip_sum) = place(l3, source);
    let Some(quote) = packet.quote else {
        let sum = l4 + if packet.protocol == 6 { 16 } else { 6 };
        let none = packet.protocol == 17 && frame[sum..sum + 2] == [0, 0];
        // One sum of all that changes, as one equation.
        let old = [&was[..], &old_port.to_be_bytes()].concat();
        let new = [&to[..], &port.to_be_bytes()].concat();
        if !none {
            let mut value = mended(&frame[sum..sum + 2], &old, &new);
            if packet.protocol == 17 && value == [0, 0] {
                value = [0xff, 0xff];
            }
            frame[sum..sum + 2].copy_from_slice(&value);
        }
        replace(frame, at, &to, &ip_sum);
        let at = l4 + if source { 0 } else { 2 };
        frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
        return;
    };
    // A router between keeps its own address.
    let times = if frame[at..at + was.len()] == was { 2 } else { 1 };
    if times == 2 {
        replace(frame, at, &to, &ip_sum);
    }
    // What is quoted went the other way.
    let (inner, inner_sum) = place(l4 + 8, !source);
    replace(frame, inner, &to, &inner_sum);
    // Of an IPv4 header, address and checksum change by opposite amounts.
    let (mut old, mut new) = (old_port.to_be_bytes().to_vec(), port.to_be_bytes().to_vec());
    if !v4 {
        for _ in 0..times {
            old.extend(&was);
            new.extend(&to);
        }
    }
    let value = mended(&frame[l4 + 2..l4 + 4], &old, &new);
    frame[l4 + 2..l4 + 4].copy_from_slice(&value);
    let at = quote + if source { 2 } else { 0 };
    frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
}

/// A reply with the VIP in the place of its backend; with an Ethernet address
/// of its next hop, on its way.
pub(super) fn reply(
    frame: &mut [u8],
    packet: &Packet,
    vip: SocketAddr,
    macs: Option<[[u8; 6]; 2]>,
) {
    let port = if vip.port() == 0 { packet.src_port } else { vip.port() };
    readdress(frame, packet, &Change { source: true, ip: vip.ip(), port });
    if let Some(macs) = macs {
        age(frame, packet);
        frame[..12].copy_from_slice(&macs.concat());
    }
}

fn encapsulate(world: &World, frame: &mut Vec<u8>, packet: &Packet, way: &Way) {
    let inner = frame[packet.l3..packet.l3 + packet.ip_len].to_vec();
    let (src, port, label) = world.tunnel_end(way.flow, &way.server);
    let (src, dst) = (octets(src), octets(way.server.address.ip()));
    let gue = way.mode == mode::GUE;
    let protocol = match (gue, packet.src.is_ipv4()) {
        (true, _) => 17,
        (false, true) => 4,
        (false, false) => 41,
    };
    let mut payload = Vec::new();
    if gue {
        payload.extend(port.to_be_bytes());
        payload.extend(6080u16.to_be_bytes());
        payload.extend((inner.len() as u16 + 8).to_be_bytes());
        payload.extend([0, 0]);
    }
    payload.extend(&inner);
    let length = payload.len() as u16;
    let mut outer = Vec::new();
    let ethertype: [u8; 2] = if src.len() == 4 { [0x08, 0x00] } else { [0x86, 0xdd] };
    if src.len() == 4 {
        outer.extend([0x45, packet.tos]);
        outer.extend((20 + length).to_be_bytes());
        outer.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        outer.extend([&src[..], &dst].concat());
        let sum = checksum(&outer);
        outer[10..12].copy_from_slice(&sum);
    } else {
        outer.extend((6 << 28 | u32::from(packet.tos) << 20 | label).to_be_bytes());
        outer.extend(length.to_be_bytes());
        outer.extend([protocol, 64]);
        outer.extend([&src[..], &dst].concat());
        if gue && has_sum(&inner, packet) {
            let pseudo = [&src[..], &dst, &u32::from(length).to_be_bytes(), &[0, 0, 0, 17]];
            // What is wrong inside stays wrong outside.
            let believed = [&payload[..8], &corrected(&inner, packet)].concat();
            let value = match checksum(&[&pseudo.concat()[..], &believed].concat()) {
                [0, 0] => [0xff, 0xff],
                sum => sum,
            };
            payload[6..8].copy_from_slice(&value);
        }
    }
    outer.extend(payload);
    let rest = frame.split_off(packet.l3 + packet.ip_len);
    frame.truncate(packet.l3 - 2);
    frame.extend(ethertype);
    frame.extend(outer);
    frame.extend(rest);
}

/// Whether the inner packet's own checksums say what it sums to.
fn has_sum(inner: &[u8], packet: &Packet) -> bool {
    let at = packet.l4 - packet.l3;
    let udp = packet.quote.is_none() && packet.protocol == 17;
    let bare = udp && be16(inner, at + 6) == 0;
    // The datagram's checksum says nothing of what follows it.
    let longer = udp && be16(inner, at + 4) != inner.len() - at;
    !bare && !longer && (packet.src.is_ipv4() || at == 40)
}

/// The inner packet as it would be with right checksums.
fn corrected(inner: &[u8], packet: &Packet) -> Vec<u8> {
    let mut inner = inner.to_vec();
    let at = packet.l4 - packet.l3;
    let v4 = packet.src.is_ipv4();
    let (protocol, sum) = match (packet.quote.is_some(), packet.protocol) {
        (true, _) => (if v4 { 1 } else { 58 }, at + 2),
        (false, 6) => (6, at + 16),
        (false, _) => (17, at + 6),
    };
    inner[sum..sum + 2].fill(0);
    let ends = if v4 { &inner[12..20] } else { &inner[8..40] };
    let length = (inner.len() - at) as u32;
    let pseudo = [ends, &length.to_be_bytes(), &[0, 0, 0, protocol]].concat();
    let summed =
        if protocol == 1 { inner[at..].to_vec() } else { [&pseudo, &inner[at..]].concat() };
    let value = checksum(&summed);
    inner[sum..sum + 2].copy_from_slice(&value);
    if v4 {
        inner[10..12].fill(0);
        let value = checksum(&inner[..at]);
        inner[10..12].copy_from_slice(&value);
    }
    inner
}

/// An RST as a closed port sends it (RFC 9293 section 3.5.2).
pub(super) fn reset(frame: &mut Vec<u8>, packet: &Packet) -> Result<(), Reason> {
    if packet.flags & 0x04 != 0 {
        return Err(Reason::ResetOfReset);
    }
    let l4 = packet.l4;
    let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
    let (seq, ack, flags) = if packet.flags & 0x10 != 0 {
        (word(l4 + 8), 0, 0x04)
    } else {
        let flag = |bit: u8| u32::from(packet.flags & bit != 0);
        let length = packet.payload as u32 + flag(0x02) + flag(0x01);
        (0, word(l4 + 4).wrapping_add(length), 0x14)
    };
    let mut tcp = [packet.dst_port.to_be_bytes(), packet.src_port.to_be_bytes()].concat();
    tcp.extend(seq.to_be_bytes());
    tcp.extend(ack.to_be_bytes());
    tcp.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
    let sum = checksum(&[pseudo(packet, tcp.len(), 6), tcp.clone()].concat());
    tcp[16..18].copy_from_slice(&sum);
    answer(frame, packet, 6, &tcp, 0x40);
    Ok(())
}

/// Of an answer: its ends are the packet's, turned round.
fn pseudo(packet: &Packet, length: usize, protocol: u8) -> Vec<u8> {
    let length = (length as u32).to_be_bytes();
    [&octets(packet.dst)[..], &octets(packet.src), &length, &[0, 0, 0, protocol]].concat()
}

/// Puts an answer's headers in the frame's place.
fn answer(frame: &mut Vec<u8>, packet: &Packet, protocol: u8, payload: &[u8], flags: u8) {
    frame.truncate(packet.l3);
    let (dst, src) = (frame[..6].to_vec(), frame[6..12].to_vec());
    frame[..12].copy_from_slice(&[src, dst].concat());
    let ends = [octets(packet.dst), octets(packet.src)].concat();
    if packet.src.is_ipv4() {
        let mut header = vec![0x45, 0];
        header.extend((20 + payload.len() as u16).to_be_bytes());
        header.extend([0, 0, flags, 0, 64, protocol, 0, 0]);
        header.extend(ends);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum);
        frame.extend(header);
    } else {
        frame.extend([0x60, 0, 0, 0]);
        frame.extend((payload.len() as u16).to_be_bytes());
        frame.extend([protocol, 64]);
        frame.extend(ends);
    }
    frame.extend(payload);
}

/// An ICMP error that quotes as much as it may.
pub(super) fn error(
    frame: &mut Vec<u8>,
    packet: &Packet,
    kind: u8,
    code: u8,
    rest: u32,
) -> Result<(), Reason> {
    if packet.quote.is_some() {
        return Err(Reason::Unanswerable);
    }
    let v4 = packet.src.is_ipv4();
    let most = if v4 { 576 - 28 } else { 1280 - 48 };
    let quoted = packet.ip_len.min(most);
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest.to_be_bytes());
    message.extend(&frame[packet.l3..packet.l3 + quoted]);
    let protocol = if v4 { 1 } else { 58 };
    let mut summed = if v4 { Vec::new() } else { pseudo(packet, message.len(), protocol) };
    summed.extend(&message);
    let sum = checksum(&summed);
    message[2..4].copy_from_slice(&sum);
    answer(frame, packet, protocol, &message, 0);
    Ok(())
}

/// The answer to an echo request, in place.
pub(super) fn echo(frame: &mut [u8], network: &Packet) {
    let (l3, l4) = (network.l3, network.l4);
    let reply = if network.src.is_ipv4() { 0 } else { 129 };
    let word = [reply, frame[l4 + 1]];
    replace(frame, l4, &word, &[l4 + 2]);
    let ends = [octets(network.dst), octets(network.src)].concat();
    if network.src.is_ipv4() {
        let word = [64, frame[l3 + 9]];
        replace(frame, l3 + 8, &word, &[l3 + 10]);
        frame[l3 + 12..l3 + 20].copy_from_slice(&ends);
    } else {
        frame[l3 + 7] = 64;
        frame[l3 + 8..l3 + 40].copy_from_slice(&ends);
    }
    let (dst, src) = (frame[..6].to_vec(), frame[6..12].to_vec());
    frame[..12].copy_from_slice(&[src, dst].concat());
}
