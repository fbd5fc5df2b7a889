//! Random frames: of a few flows, so that they meet again, and mutated.

use lb_common::abi::mode;

use super::{
    Random,
    worlds::{PORTS, VIPS, VIPS6, server_name},
};
use crate::packet::{Packet, Service, World, icmp, other, ping, tcp, udp};

const CLIENTS: [&str; 3] = ["198.51.100.7:40000", "198.51.100.7:40001", "192.0.2.9:1"];
const CLIENTS6: [&str; 3] = ["[2001:db8:c::7]:40000", "[2001:db8:c::7]:40001", "[2001:db8:c::8]:1"];
/// Destinations that only prefixes hold, or nothing.
const OTHERS: [&str; 3] = ["203.0.113.200", "203.0.200.1", "9.9.9.9"];
const OTHERS6: [&str; 3] = ["[2001:db8::200]", "[2001:db8:ffff::1]", "[2001:db9::1]"];

/// Frames so far: some come again.
#[derive(Default)]
pub(super) struct Frames(Vec<Vec<u8>>);

impl Frames {
    pub(super) fn next(&mut self, random: &mut Random, world: &World) -> Vec<u8> {
        if !self.0.is_empty() && random.one_in(8) {
            return random.of(&self.0);
        }
        let mut frame = packet(random, world).bytes();
        if random.one_in(4) {
            mutate(random, &mut frame);
        }
        if self.0.len() < 64 {
            self.0.push(frame.clone());
        }
        frame
    }
}

/// Ends of a flow: client and service.
fn ends(random: &mut Random) -> (String, String, bool) {
    let v6 = random.one_in(2);
    let client = random.of(if v6 { &CLIENTS6 } else { &CLIENTS });
    let near = if v6 { &VIPS6[..] } else { &VIPS[..] };
    let far = if v6 { &OTHERS6[..] } else { &OTHERS[..] };
    let ip = if random.one_in(5) { random.of(far) } else { random.of(near) };
    let port = if random.one_in(6) { 8080 } else { random.of(&PORTS) };
    (client.to_owned(), format!("{ip}:{port}"), v6)
}

/// Ends of a reply, if a server of the world's may send one.
fn reply_ends(random: &mut Random, world: &World) -> Option<(String, String, bool)> {
    let sends = |service: &&Service| service.mode == mode::NAT && !service.servers().is_empty();
    let nat: Vec<_> = world.services.iter().filter(sends).collect();
    if nat.is_empty() {
        return None;
    }
    let service = random.of(&nat);
    let mut from = random.of(service.servers()).address();
    if random.one_in(8) {
        from.set_port(random.of(&PORTS));
    }
    let v6 = from.is_ipv6();
    let client = if random.one_in(8) {
        let far = if v6 { &OTHERS6[..] } else { &OTHERS[..] };
        format!("{}:99", random.of(far))
    } else {
        random.of(if v6 { &CLIENTS6 } else { &CLIENTS }).to_owned()
    };
    Some((from.to_string(), client, v6))
}

pub(super) fn packet(random: &mut Random, world: &World) -> Packet {
    let reply = if random.one_in(4) { reply_ends(random, world) } else { None };
    if let Some((server, client, v6)) = reply {
        let packet = match random.below(8) {
            0..=4 => segment(random, &server, &client),
            5 | 6 => datagram(random, &server, &client),
            _ => error_about_client(random, &server, &client, v6),
        };
        return dressed(random, packet, v6);
    }
    let (client, to, v6) = ends(random);
    let packet = match random.below(16) {
        0..=6 => segment(random, &client, &to),
        7..=10 => datagram(random, &client, &to),
        11 | 12 => error(random, &client, &to, v6),
        13 => ping(&client, &to).payload(&vec![7; random.below(40)]),
        14 => icmp(&client, &to, random.below(256) as u8, 0, 0).payload(&[1; 48]),
        _ => other(&client, &to, random.below(256) as u8).payload(&[2; 30]),
    };
    dressed(random, packet, v6)
}

fn segment(random: &mut Random, client: &str, to: &str) -> Packet {
    // Few enough that segments follow SYNs, at the edges of what may.
    let flow = tcp(client, to).seq(random.of(&[0, 1, 262_144, 262_145, u32::MAX]));
    let number = random.next() as u32;
    match random.below(11) {
        0..=3 => flow.syn().tcp_options(&[2, 4, 5, 180]),
        4 => flow.fin().ack(number),
        5 => flow.rst(),
        6 => flow.syn().ack(number),
        7 => flow,
        8 => flow.syn().fin(),
        _ => flow.ack(number).payload(&vec![0x5a; payload(random)]),
    }
}

fn payload(random: &mut Random) -> usize {
    [0, 1, 5, 100, 600, 1400][random.below(6)]
}

fn datagram(random: &mut Random, client: &str, to: &str) -> Packet {
    let mut bytes = vec![0; payload(random)];
    for byte in bytes.iter_mut().take(24) {
        *byte = random.next() as u8;
    }
    if bytes.len() >= 100 {
        // Something like QUIC, whose connection id may name a server.
        let first: u8 = random.of(&[0x05, 0xe5]);
        let name = [&[first][..], &server_name(1 + random.below(20) as u8)].concat();
        if random.one_in(2) {
            let version: [u8; 4] = random.of(&[[0, 0, 0, 1], [0x6b, 0x33, 0x43, 0xcf], [0; 4]]);
            bytes[0] = 0xc0 | (random.below(4) as u8) << 4;
            bytes[1..5].copy_from_slice(&version);
            bytes[5] = random.of(&[0, 2, 3, 8, 9]);
            bytes[6..15].copy_from_slice(&name);
        } else {
            bytes[0] = 0x40;
            bytes[1..10].copy_from_slice(&name);
        }
    }
    let packet = udp(client, to).payload(&bytes);
    if random.one_in(4) { packet.without_checksum() } else { packet }
}

fn error(random: &mut Random, client: &str, to: &str, v6: bool) -> Packet {
    let sent = if random.one_in(2) {
        tcp(to, client).ack(1).payload(b"quoted")
    } else {
        udp(to, client).payload(b"quoted")
    };
    let sent = if !v6 && random.one_in(4) { sent.ip_options(&[1; 12]) } else { sent };
    let by = if v6 { "[2001:db8:ff::9]:0" } else { "192.0.2.99:0" };
    let kind = if v6 { random.of(&[1, 2, 3, 4]) } else { random.of(&[3, 11, 12]) };
    let code = random.below(4) as u8;
    if random.one_in(3) {
        // All of it, of any length.
        let sent = sent.payload(&vec![0x33; random.below(500)]);
        return icmp(by, to, kind, code, 0).payload(&sent.ip_bytes());
    }
    sent.error_by(by, kind, code)
}

/// From a server, or a router behind the edge, about what its client sent.
fn error_about_client(random: &mut Random, server: &str, client: &str, v6: bool) -> Packet {
    let sent = if random.one_in(2) { tcp(client, server).ack(1) } else { udp(client, server) };
    let router = if v6 { "[fd00::ffff]:0" } else { "10.9.9.9:0" };
    let by = if random.one_in(2) { router } else { server };
    sent.payload(b"quoted").error_by(by, if v6 { 1 } else { 3 }, random.below(4) as u8)
}

fn dressed(random: &mut Random, mut packet: Packet, v6: bool) -> Packet {
    if random.one_in(8) {
        packet = packet.vlan(5);
    }
    if random.one_in(16) {
        packet = packet.service_vlan(6).vlan(7);
    }
    if random.one_in(8) {
        packet = packet.ttl(random.of(&[0, 1, 2, 255]));
    }
    if random.one_in(8) {
        packet = packet.dscp(random.below(64) as u8).ecn(random.below(4) as u8);
    }
    if random.one_in(16) {
        packet = packet.fragment(random.of(&[0, 64]), random.one_in(2));
    }
    if v6 && random.one_in(8) {
        for _ in 0..random.below(6) {
            let len = random.of(&[0, 0, 1, 12]);
            let mut bytes = vec![0; 8 * (usize::from(len) + 1)];
            bytes[1] = len;
            packet = packet.extension(random.of(&[0, 43, 60]), &bytes);
        }
    }
    if !v6 && random.one_in(8) {
        packet = packet.ip_options(&vec![1; 4 * random.below(11)]);
    }
    if random.one_in(8) { packet.pad(random.below(12)) } else { packet }
}

/// Wrong bits, lengths and ends.
pub(super) fn mutate(random: &mut Random, frame: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        // Headers are where it matters.
        let at = random.below(frame.len().min(100));
        frame[at] = match random.below(3) {
            0 => random.next() as u8,
            1 => frame[at] ^ 1 << random.below(8),
            _ => random.of(&[0, 1, 0x40, 0x80, 0xff]),
        };
    }
    match random.below(6) {
        0 => frame.truncate(14 + random.below(frame.len() - 13)),
        1 => frame.extend(vec![0xee; random.below(20)]),
        _ => {}
    }
}
