//! The servers' end of tunnels: what is taken out of them, and what is not.

use lab::packet::{
    Action, Allowed, Decapsulator, Packet, Service, World, other, server, server6, tcp, udp,
};
use lb_common::abi::decap::Reason::{
    self, Congestion, Decapsulated, Destination, Malformed, NotTunnelled, Source,
};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

fn load() -> Decapsulator {
    let sources = ["198.18.0.0/15", "100::/96"];
    let vips = ["203.0.113.10/32", "2001:db8::10/128", "192.0.2.0/24"];
    Decapsulator::load(&Allowed::new(&sources, &["10.0.0.1", "fd00::2"], &vips)).unwrap()
}

/// Any world will do: it only lends its key to the outer sources.
fn world() -> World {
    World::new().service(Service::ipip(VIP).slot(&server(1), &server(1)))
}

/// Tunnelled packets, and what comes out.
fn tunnelled() -> Vec<(String, Packet, Packet)> {
    let inner = [
        ("IPv4", tcp(CLIENT, VIP).ack(1).payload(b"GET /")),
        ("IPv4 with options", tcp(CLIENT, VIP).ack(1).ip_options(&[1; 8])),
        ("a full frame", tcp(CLIENT, VIP).ack(1).payload(&[7; 1400])),
        ("a VIP in a prefix", tcp(CLIENT, "192.0.2.77:80").ack(1)),
        ("UDP", udp(CLIENT, VIP).payload(b"query")),
        ("behind a VLAN tag", tcp(CLIENT, VIP).ack(1).vlan(5)),
        ("behind two", tcp(CLIENT, VIP).ack(1).service_vlan(6).vlan(5)),
        ("IPv6", tcp(CLIENT6, VIP6).ack(1).payload(b"GET /")),
        ("IPv6 with an extension header", tcp(CLIENT6, VIP6).ack(1).extension(60, &[0; 8])),
        ("IPv6 behind a VLAN tag", tcp(CLIENT6, VIP6).ack(1).vlan(5)),
    ];
    let world = world();
    let mut rows = Vec::new();
    for (name, packet) in inner {
        for to in [server(1), server6(2)] {
            let inside = packet.clone().sent_to(&to);
            let at = to.address();
            rows.push((format!("{name}, ipip to {at}"), packet.ipip(&world, &to), inside.clone()));
            rows.push((format!("{name}, gue to {at}"), packet.gue(&world, &to), inside));
        }
    }
    rows
}

#[test]
fn packets_come_out_as_they_went_in() {
    let mut program = load();
    for (name, packet, inside) in tunnelled() {
        let seen = program.send(&packet.bytes());
        assert_eq!(seen, (Action::Pass, Decapsulated, inside.bytes()), "{name}");
    }
}

#[track_caller]
fn dropped(program: &mut Decapsulator, name: &str, frame: &[u8], reason: Reason) {
    let seen = program.send(frame);
    assert_eq!((seen.0, seen.1), (Action::Drop, reason), "{name}");
}

#[test]
fn what_may_not_come_in_is_dropped() {
    let mut program = load();
    let mut dropped = |name: &str, frame: &[u8], reason| dropped(&mut program, name, frame, reason);
    let world = world();
    let packet = tcp(CLIENT, VIP).ack(1);
    let stranger = packet.ipip(&world, &server(1)).from("192.0.2.66:0".parse().unwrap());
    dropped("from a stranger", &stranger.bytes(), Source);
    let stranger = packet.gue(&world, &server6(2)).from("[2001:db8:66::1]:0".parse().unwrap());
    dropped("from a stranger over IPv6", &stranger.bytes(), Source);
    for to in ["10.0.0.1:22", "127.0.0.1:22", "203.0.113.11:80"] {
        let inside = tcp(CLIENT, to).ack(1);
        dropped(to, &inside.ipip(&world, &server(1)).bytes(), Destination);
        dropped(to, &inside.gue(&world, &server6(2)).bytes(), Destination);
    }
}

#[test]
fn crooked_insides_are_dropped() {
    let mut program = load();
    let mut dropped = |name: &str, frame: &[u8], reason| dropped(&mut program, name, frame, reason);
    let world = world();
    let packet = tcp(CLIENT, VIP).ack(1).ipip(&world, &server(1));
    let mangled = |at: usize, byte: u8| {
        let mut frame = packet.bytes();
        frame[at] = byte;
        frame
    };
    dropped("version 6 in protocol 4", &mangled(34, 0x65), Malformed);
    dropped("version 0", &mangled(34, 0x05), Malformed);
    dropped("longer than the tunnel's packet", &mangled(36, 0x7f), Malformed);
    for len in 0..20 {
        let cut = other("198.18.0.1:0", "10.0.0.1:0", 4).payload(&packet.bytes()[34..34 + len]);
        dropped(&format!("{len} bytes"), &cut.bytes(), Malformed);
    }
    // What is inside ends with the tunnel's packet: padding does not make up for it.
    let whole = tcp(CLIENT, VIP).ack(1).gue(&world, &server(1)).bytes();
    for len in 0..48 {
        let padded = |length: u16| {
            let mut frame = whole.clone();
            frame[16..18].copy_from_slice(&length.to_be_bytes());
            frame
        };
        dropped(&format!("{len} bytes of GUE, padded"), &padded(20 + len), Malformed);
    }
}

#[test]
fn congestion_is_told_or_dropped() {
    let mut program = load();
    let world = world();
    for to in [server(1), server6(2)] {
        for inner in [tcp(CLIENT, VIP).ack(1), tcp(CLIENT6, VIP6).ack(1)] {
            let marked = |ecn| inner.clone().ecn(ecn).ipip(&world, &to).ecn(3).bytes();
            let (action, reason, out) = program.send(&marked(1));
            let told = inner.clone().ecn(3).sent_to(&to).bytes();
            assert_eq!((action, reason, out), (Action::Pass, Decapsulated, told));
            dropped(&mut program, "inside knows no congestion", &marked(0), Congestion);
        }
    }
}

#[test]
fn everything_else_passes_untouched() {
    let world = world();
    let packet = tcp(CLIENT, VIP).ack(1);
    let rows = [
        ("no tunnel", packet.clone()),
        ("for another server", packet.ipip(&world, &server(9))),
        ("GUE for another server", packet.gue(&world, &server(9))),
        ("another UDP port", udp("198.18.0.1:1", "10.0.0.1:6081").payload(&[0x45; 40])),
        ("a fragment", packet.ipip(&world, &server(1)).fragment(0, true)),
        ("GRE", other("198.18.0.1:0", "10.0.0.1:0", 47).payload(&[0; 24])),
    ];
    let mut program = load();
    for (name, packet) in rows {
        let frame = packet.bytes();
        assert_eq!(program.send(&frame), (Action::Pass, NotTunnelled, frame), "{name}");
    }
}
