//! Whose packet it is: exact addresses, any port, prefixes, protocols, and
//! clients that keep together.

use lab::packet::{Packet, Program, Service, World, case, check, server, server6, tcp, udp};
use lb_common::abi::Reason::{
    ExtensionHeaders, ForwardEstablished, ForwardNew, ForwardReply, MalformedUdp, NotOurs,
};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

#[test]
fn the_most_specific_service_takes_the_packet() {
    let service =
        |make: fn(&str) -> Service, address, id| make(address).slot(&server(id), &server(id));
    let six = |address, id| Service::l2(address).slot(&server6(id), &server6(id));
    let world = World::new()
        .service(service(Service::l2, "203.0.113.10:80", 1))
        .service(service(Service::l2, "203.0.113.10:0", 2))
        .service(service(Service::l2, "203.0.113.0:80", 3).prefix(24))
        .service(service(Service::l2, "203.0.113.0:0", 4).prefix(24))
        .service(service(Service::l2, "203.0.0.0:0", 5).prefix(16))
        .service(service(Service::l2, "203.0.112.0:443", 6).prefix(20))
        .service(six("[2001:db8:1::]:0", 7).prefix(48))
        .service(six("[2001:db8::]:80", 8).prefix(32))
        .service(six("[2001:db8:1::5]:80", 9))
        .service(service(Service::l2, "0.0.0.0:53", 10).prefix(0))
        .service(six("[2001:db8:1:2:3:4:5:6]:9", 11).prefix(127))
        .service(six("[2001:db8:1:2::]:9", 12).prefix(64));
    let at =
        |to: &str, id| (tcp(if to.starts_with('[') { CLIENT6 } else { CLIENT }, to).ack(1), id);
    let rows = [
        at("203.0.113.10:80", 1),
        at("203.0.113.10:81", 2),
        at("203.0.113.11:80", 3),
        at("203.0.113.11:81", 4),
        at("203.0.113.255:443", 4),
        at("203.0.112.1:443", 6),
        at("203.0.112.1:444", 5),
        at("203.0.127.255:443", 6),
        at("203.0.128.0:443", 5),
        at("203.1.0.0:53", 10),
        at("9.9.9.9:53", 10),
        at("[2001:db8:1::1]:1234", 7),
        at("[2001:db8:1::5]:80", 9),
        at("[2001:db8:1::5]:81", 7),
        at("[2001:db8:2::1]:80", 8),
        at("[2001:db8:1:2:3:4:5:7]:9", 11),
        at("[2001:db8:1:2:3:4:5:8]:9", 12),
        at("[2001:db8:1:2:ffff::]:9", 12),
        at("[2001:db8:1:3::]:9", 7),
    ];
    check(rows.iter().map(|(packet, id)| {
        let to = if packet.is_v4() { server(*id) } else { server6(*id) };
        case(format!("{packet:?}"), &world, packet)
            .transmits(ForwardEstablished, &packet.clone().sent_to(&to))
    }));
    let none = [
        tcp(CLIENT, "204.0.0.1:80").ack(1),
        udp(CLIENT, "203.0.113.10:80"),
        tcp(CLIENT6, "[2001:db8:2::1]:81").ack(1),
        tcp(CLIENT6, "[2001:db9::1]:80").ack(1),
    ];
    check(none.iter().map(|packet| case("nobody's", &world, packet).passes(NotOurs)));
}

#[test]
fn protocols_are_apart_or_together() {
    let world = World::new()
        .service(Service::l2(VIP).slot(&server(1), &server(1)))
        .service(Service::l2(VIP).udp().slot(&server(2), &server(2)))
        .service(Service::l2(VIP6).tcp_and_udp().slot(&server6(3), &server6(3)));
    let to = |packet: Packet, id| {
        let server = if packet.is_v4() { server(id) } else { server6(id) };
        case("goes to its protocol's service", &world, &packet)
            .transmits(ForwardEstablished, &packet.clone().sent_to(&server))
    };
    check([
        to(tcp(CLIENT, VIP).ack(1), 1),
        to(udp(CLIENT, VIP).payload(b"query"), 2),
        to(tcp(CLIENT6, VIP6).ack(1), 3),
        to(udp(CLIENT6, VIP6).payload(b"query"), 3),
    ]);
}

#[test]
fn nat_keeps_the_port_of_a_service_with_any_port() {
    lab::packet::routed(|| {
        let mut program = Program::load().unwrap();
        let world =
            World::new().service(Service::nat("203.0.113.10:0").slot(&server(1), &server(1)));
        let (there, back) =
            (tcp(CLIENT, "203.0.113.10:4711").ack(1), tcp("10.0.0.1:4711", CLIENT).ack(1));
        let out = there.clone().to("10.0.0.1:4711".parse().unwrap()).sent_to(&server(1));
        let reply = back
            .clone()
            .from("203.0.113.10:4711".parse().unwrap())
            .ttl(59)
            .via(lab::packet::GATEWAY_MAC, lab::packet::UPLINK_MAC);
        lab::packet::play(
            &mut program,
            [
                case("there", &world, &there).transmits(ForwardEstablished, &out),
                case("back", &world, &back).redirects(ForwardReply, &reply),
            ],
        );
    });
}

#[test]
fn nat_readdresses_datagrams() {
    let world = World::new()
        .service(Service::nat(VIP).udp().slot(&server(1), &server(1)))
        .service(Service::nat(VIP6).udp().slot(&server6(2), &server6(2)));
    let rows = [
        ("UDP", udp(CLIENT, VIP).payload(b"query")),
        ("UDP without a checksum", udp(CLIENT, VIP).without_checksum().payload(b"query")),
        ("UDP over IPv6", udp(CLIENT6, VIP6).payload(b"queries")),
        ("an empty datagram", udp(CLIENT, VIP)),
    ];
    check(rows.iter().map(|(name, packet)| {
        let to = if packet.is_v4() { server(1) } else { server6(2) };
        case(*name, &world, packet)
            .transmits(ForwardEstablished, &packet.clone().to(to.address()).sent_to(&to))
    }));
}

#[test]
fn a_checksum_that_comes_out_as_zero_is_sent_as_ones() {
    let world = World::new().service(Service::nat(VIP).udp().slot(&server(1), &server(1)));
    // Some payload in 65,536 makes the sum come out as 0.
    let found = (0..=u16::MAX).map(|n| udp(CLIENT, VIP).payload(&n.to_be_bytes())).find(|packet| {
        let out = packet.clone().to(server(1).address());
        let bytes = out.bytes();
        bytes[out.l4() + 6..out.l4() + 8] == [0xff, 0xff]
    });
    let packet = found.expect("one of all sums");
    let out = packet.clone().to(server(1).address()).sent_to(&server(1));
    check([case("RFC 768", &world, &packet).transmits(ForwardEstablished, &out)]);
}

#[test]
fn crooked_datagrams() {
    let world = World::new().service(Service::l2(VIP).udp().slot(&server(1), &server(1)));
    let packet = udp(CLIENT, VIP).payload(b"query");
    let length = |n: u8| move |frame: &mut Vec<u8>| frame[39] = n;
    let rows = (0..8).chain(14..20).map(|n| {
        case(format!("length {n}"), &world, &packet).mangled(length(n)).drops(MalformedUdp)
    });
    check(rows);
    let other = udp(CLIENT, "192.0.2.1:80").payload(b"query");
    check([case("to another host", &world, &other).mangled(length(7)).passes(NotOurs)]);
}

#[test]
fn a_clients_connections_keep_together() {
    let ring = [server(1), server(2), server(3)];
    let spread = World::new().service(Service::l2(VIP).ring(&ring, &ring, 1021));
    let together = World::new().service(Service::l2(VIP).ring(&ring, &ring, 1021).by_client());
    let mut program = Program::load().unwrap();
    let mut owners = |world: &World, client: u8| {
        program.commit(world);
        let owner = |port: u16| {
            let syn = tcp(&format!("198.51.100.{client}:{port}"), VIP).syn();
            program.send(&syn.bytes()).frame[5]
        };
        (1..60).map(owner).collect::<std::collections::HashSet<_>>()
    };
    assert_eq!(owners(&spread, 7).len(), 3);
    assert!((1..50).all(|client| owners(&together, client).len() == 1));
    let all: std::collections::HashSet<_> =
        (1..50).flat_map(|client| owners(&together, client)).collect();
    assert_eq!(all.len(), 3, "clients are spread");
}

#[test]
fn extension_headers_are_followed() {
    let world =
        World::new().service(Service::l2(VIP6).tcp_and_udp().slot(&server6(2), &server6(2)));
    let flow = || tcp(CLIENT6, VIP6).ack(1).payload(b"GET /");
    let eight = [0; 8];
    let rows = [
        ("hop-by-hop options", flow().extension(0, &eight)),
        ("destination options", flow().extension(60, &eight)),
        ("a routing header that is through", flow().extension(43, &[0, 0, 4, 0, 0, 0, 0, 0])),
        ("a whole packet with a fragment header (RFC 6946)", flow().fragment(0, false)),
        (
            "four of them",
            flow()
                .extension(0, &eight)
                .extension(60, &eight)
                .fragment(0, false)
                .extension(60, &eight),
        ),
        ("a long one", flow().extension(60, &[&[0, 31], &[0; 254][..]].concat())),
        ("before UDP", udp(CLIENT6, VIP6).extension(60, &eight)),
        ("behind a VLAN tag", flow().extension(60, &eight).vlan(5)),
    ];
    check(rows.iter().map(|(name, packet)| {
        case(*name, &world, packet)
            .transmits(ForwardEstablished, &packet.clone().sent_to(&server6(2)))
    }));
    let syn = tcp(CLIENT6, VIP6).syn().extension(60, &eight);
    check([case("a SYN", &world, &syn).transmits(ForwardNew, &syn.clone().sent_to(&server6(2)))]);
    let five = (0..5).fold(flow(), |packet, _| packet.extension(60, &eight));
    let long = flow().extension(60, &[&[0, 31], &[0; 254][..]].concat()).extension(60, &eight);
    let elsewhere = (0..5).fold(tcp(CLIENT6, "[2001:db8::99]:80"), |p, _| p.extension(60, &eight));
    check([
        case("five of them", &world, &five).drops(ExtensionHeaders),
        case("too long", &world, &long).drops(ExtensionHeaders),
        case("not ours", &world, &elsewhere).passes(NotOurs),
    ]);
}
