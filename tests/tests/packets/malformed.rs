//! Cut and crooked frames: counted, never steered wrongly, never aborted.

use std::collections::HashMap;

use lab::packet::{Action, Packet, Program, Service, World, case, check, server, server6, tcp};
use lb_common::abi::{
    Fate,
    Reason::{self, ExtensionHeaders, ForwardNew, MalformedIp, MalformedTcp, NotOurs},
};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

/// Frames that are mutated.
const ROUNDS: u32 = 100_000;

fn world() -> World {
    World::new()
        .service(Service::l2(VIP).slot(&server(1), &server(1)))
        .service(Service::nat(VIP6).slot(&server6(2), &server6(2)))
}

#[test]
fn frames_cut_at_every_byte() {
    let world = world();
    for (name, packet) in [
        ("IPv4", tcp(CLIENT, VIP).syn()),
        ("IPv6", tcp(CLIENT6, VIP6).syn()),
        ("IPv4 behind VLAN tags", tcp(CLIENT, VIP).syn().service_vlan(6).vlan(5)),
    ] {
        let whole = packet.bytes().len();
        check((14..whole).map(|len| {
            // An IP packet that claims more than the frame holds is crooked as a whole.
            case(format!("{name} cut to {len} bytes"), &world, &packet)
                .mangled(|frame| frame.truncate(len))
                .passes(MalformedIp)
        }));
    }
}

#[test]
fn segments_cut_at_every_byte() {
    // The IP length says so too: the IP header is whole, the segment is not.
    let world = world();
    let v4 = tcp(CLIENT, VIP).syn();
    let v6 = tcp(CLIENT6, VIP6).syn();
    let cut4 = |len: u16| {
        case(format!("IPv4 with {len} bytes of TCP"), &world, &v4).mangled(move |frame| {
            frame.truncate(34 + usize::from(len));
            frame[16..18].copy_from_slice(&(20 + len).to_be_bytes());
        })
    };
    let cut6 = |len: u16| {
        case(format!("IPv6 with {len} bytes of TCP"), &world, &v6).mangled(move |frame| {
            frame.truncate(54 + usize::from(len));
            frame[18..20].copy_from_slice(&len.to_be_bytes());
        })
    };
    check((0..20).flat_map(|len| [cut4(len).drops(MalformedTcp), cut6(len).drops(MalformedTcp)]));
    // Padding does not make up for it.
    let padded = |len: u16| {
        case(format!("IPv4 with {len} bytes of TCP, padded"), &world, &v4).mangled(move |frame| {
            frame[16..18].copy_from_slice(&(20 + len).to_be_bytes());
            frame.extend([0; 6]);
        })
    };
    check((0..20).map(|len| padded(len).drops(MalformedTcp)));
}

#[test]
fn crooked_ip_headers() {
    let world = world();
    let v4 = tcp(CLIENT, VIP).syn();
    let v6 = tcp(CLIENT6, VIP6).syn();
    let set = |name: &str, packet: &Packet, at: usize, byte: u8| {
        case(name, &world, packet).mangled(move |frame| frame[at] = byte)
    };
    check([
        set("IPv4 of version 6", &v4, 14, 0x65).passes(MalformedIp),
        set("IPv4 of version 0", &v4, 14, 0x05).passes(MalformedIp),
        set("header of 0 bytes", &v4, 14, 0x40).passes(MalformedIp),
        set("header of 16 bytes", &v4, 14, 0x44).passes(MalformedIp),
        set("header longer than the packet", &v4, 14, 0x4f).passes(MalformedIp),
        set("total length of 0", &v4, 17, 0).passes(MalformedIp),
        set("total length of a header less one", &v4, 17, 19).passes(MalformedIp),
        set("total length one beyond the frame", &v4, 17, 41).passes(MalformedIp),
        set("total length far beyond the frame", &v4, 16, 0xff).passes(MalformedIp),
        set("IPv6 of version 4", &v6, 14, 0x40).passes(MalformedIp),
        set("payload length one beyond the frame", &v6, 19, 21).passes(MalformedIp),
        set("payload length far beyond the frame", &v6, 18, 0xff).passes(MalformedIp),
        // The TCP header taken for options is longer than any we follow.
        set("hop-by-hop options that are none", &v6, 20, 0).drops(ExtensionHeaders),
    ]);
}

#[test]
fn crooked_tcp_headers() {
    let world = world();
    let offset = |words: u8| move |frame: &mut Vec<u8>| frame[46] = words << 4;
    let rows = (0..5).chain(6..16).map(|words| {
        let syn = tcp(CLIENT, VIP).syn();
        case(format!("data offset {words} of 20 bytes"), &world, &syn).mangled(offset(words))
    });
    check(rows.map(|row| row.drops(MalformedTcp)));
    let other = tcp(CLIENT, "192.0.2.1:80").syn();
    check([
        case("to another host", &world, &other).mangled(offset(0)).passes(NotOurs),
        case("over IPv6", &world, &tcp(CLIENT6, VIP6).syn())
            .mangled(|frame| frame[66] = 0x40)
            .drops(MalformedTcp),
    ]);
    // Payload that a larger offset takes for options is still a whole segment.
    let packet = tcp(CLIENT, VIP).syn().tcp_options(&[1; 4]).payload(b"data");
    let out = packet.clone().sent_to(&server(1));
    check([case("options as they should be", &world, &packet).transmits(ForwardNew, &out)]);
}

#[test]
fn port_zero_is_a_port_like_another() {
    let rows = [tcp("198.51.100.7:0", VIP).syn(), tcp("198.51.100.7:0", VIP).syn().vlan(1)];
    let world = world();
    check(rows.iter().map(|packet| {
        case("from port 0", &world, packet)
            .transmits(ForwardNew, &packet.clone().sent_to(&server(1)))
    }));
    let to_zero = tcp(CLIENT, "203.0.113.10:0").syn();
    check([case("to port 0, which names the address alone", &world, &to_zero).passes(NotOurs)]);
}

#[test]
fn random_mutations() {
    let mut program = Program::load().unwrap();
    program.commit(&world());
    let seeds = [
        tcp(CLIENT, VIP).syn().tcp_options(&[2, 4, 5, 180]).bytes(),
        tcp(CLIENT, VIP).ack(1).payload(b"GET /").vlan(5).bytes(),
        tcp(CLIENT6, VIP6).syn().payload(b"GET /").bytes(),
        tcp("[fd00::2]:8080", CLIENT6).ack(1).payload(&[7; 100]).bytes(),
        tcp(CLIENT, VIP).ack(1).ip_options(&[1; 8]).fragment(0, true).bytes(),
    ];
    let mut random = Random(0x5eed);
    let mut actions = HashMap::new();
    for round in 0..ROUNDS {
        let mut frame = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            // Headers are where it matters.
            let at = random.below(frame.len().min(80));
            frame[at] = if random.below(2) == 0 { random.below(256) as u8 } else { frame[at] ^ 1 };
        }
        if random.below(4) == 0 {
            frame.truncate(14 + random.below(frame.len() - 13));
        }
        let (action, out) = program.run(&frame);
        let fits = match action {
            Action::Aborted | Action::Redirect => false,
            Action::Drop => true,
            Action::Pass => out == frame || from_nat_server(&frame),
            // Forwarded: addresses, ports, TTL and checksums may have changed.
            // Come too far: answered by ICMP.
            Action::Transmit if out.len() == frame.len() => out[12..14] == frame[12..14],
            Action::Transmit => is_icmp(&out),
        };
        assert!(fits, "round {round}: {frame:02x?} left by {action:?} as {out:02x?}");
        *actions.entry(action).or_insert(0) += 1;
    }
    // Every frame was counted once, for a reason that fits what became of it.
    let mut reasons = HashMap::new();
    for (reason, count) in Reason::ALL.iter().zip(program.reasons()) {
        let action = match reason.fate() {
            Fate::Pass => Action::Pass,
            Fate::Drop => Action::Drop,
            Fate::Reset | Fate::Answer | Fate::Forward => Action::Transmit,
        };
        *reasons.entry(action).or_insert(0) += count;
    }
    assert_eq!(reasons, actions);
}

fn is_icmp(frame: &[u8]) -> bool {
    let l3 = 14 + 4 * usize::from(frame[12..14] == [0x81, 0]);
    if frame[l3] >> 4 == 4 { frame[l3 + 9] == 1 } else { frame[l3 + 6] == 58 }
}

/// Its replies that the kernel is to forward are rewritten first.
fn from_nat_server(frame: &[u8]) -> bool {
    let address = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    frame.windows(16).any(|bytes| bytes == address)
}

/// xorshift64* (Vigna, 2016): the same frames in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
