//! UDP: stateless, tracked, and QUIC.

use lab::packet::{Packet, Program, Remembered, Server, Service, World, case, play, server, udp};
use lb_common::abi::Reason::{ForwardEstablished, ForwardNew};

use crate::{CLIENT, VIP};

fn to(packet: &Packet, id: u8) -> Packet {
    packet.clone().sent_to(&server(id))
}

#[test]
fn a_stateless_datagram_goes_to_the_slots_current_server() {
    let world = World::new().service(Service::l2(VIP).udp().slot(&server(2), &server(1)));
    let packet = udp(CLIENT, VIP).payload(b"query");
    let mut program = Program::load().unwrap();
    play(
        &mut program,
        [case("moved", &world, &packet).transmits(ForwardEstablished, &to(&packet, 2))],
    );
    assert_eq!(program.remembered_flows(), 0);
}

#[test]
fn a_tracked_flow_stays() {
    let on = |current: &Server, other: &Server| {
        World::new().service(Service::l2(VIP).tracked().slot(current, current).keeps(other))
    };
    let packet = udp(CLIENT, VIP).payload(b"query");
    let other = udp("198.51.100.8:40000", VIP).payload(b"query");
    let mut program = Program::load().unwrap();
    let first = on(&server(1), &server(2));
    let second = on(&server(2), &server(1).draining());
    let broken = on(&server(2), &server(1).broken());
    play(
        &mut program,
        [
            case("it begins", &first, &packet).transmits(ForwardNew, &to(&packet, 1)),
            case("it goes on", &first, &packet).transmits(ForwardEstablished, &to(&packet, 1)),
            case("it stays", &second, &packet).transmits(ForwardEstablished, &to(&packet, 1)),
            case("another begins", &second, &other).transmits(ForwardNew, &to(&other, 2)),
            case("its server is gone", &broken, &packet).transmits(ForwardNew, &to(&packet, 2)),
        ],
    );
    let remembered = Remembered { backend: 2, closing: false, promoted: true };
    assert_eq!(program.remembered_udp(CLIENT, VIP), Some(remembered));
    assert_eq!(program.service_counters(0).new_connections, 3);
}

#[test]
fn a_flow_of_a_wider_service_is_new_to_a_narrower_one() {
    let wide = || Service::l2("203.0.113.0:80").prefix(24).tracked().slot(&server(1), &server(1));
    let before = World::new().service(wide());
    let narrow = Service::l2(VIP).tracked().slot(&server(2), &server(2));
    let after = World::new().service(narrow).service(wide());
    let packet = udp(CLIENT, VIP).payload(b"query");
    play(
        &mut Program::load().unwrap(),
        [
            case("it begins", &before, &packet).transmits(ForwardNew, &to(&packet, 1)),
            case("another has the address", &after, &packet).transmits(ForwardNew, &to(&packet, 2)),
            case("it goes on there", &after, &packet)
                .transmits(ForwardEstablished, &to(&packet, 2)),
        ],
    );
}

/// A QUIC packet with a long header (RFC 9000 section 17.2).
fn long(client: &str, version: u32, kind: u8, id: &[u8]) -> Packet {
    let mut payload = vec![0xc0 | kind << 4];
    payload.extend(version.to_be_bytes());
    payload.push(id.len() as u8);
    payload.extend(id);
    payload.resize(1200, 0);
    udp(client, VIP).payload(&payload)
}

/// One with a short header (RFC 9000 section 17.3).
fn short(client: &str, id: &[u8]) -> Packet {
    let payload = [&[0x40], id, &[0x77; 30]].concat();
    udp(client, VIP).payload(&payload)
}

const RANDOM: [u8; 8] = [0x13, 0x37, 1, 2, 3, 4, 5, 6];

#[test]
fn an_initial_begins_a_connection() {
    let rest = World::new().service(Service::l2(VIP).quic(0).slot(&server(1), &server(1)));
    let moved = World::new().service(Service::l2(VIP).quic(0).slot(&server(2), &server(1)));
    let other = "198.51.100.8:40000";
    let mut program = Program::load().unwrap();
    let row = |name, world, packet: Packet, reason, id| {
        case(name, world, &packet).transmits(reason, &to(&packet, id))
    };
    play(
        &mut program,
        [
            row("at rest", &rest, long(CLIENT, 1, 0, &RANDOM), ForwardNew, 1),
            row("0-RTT", &rest, long(CLIENT, 1, 1, &RANDOM), ForwardEstablished, 1),
            row("after a change it stays", &moved, short(CLIENT, &RANDOM), ForwardEstablished, 1),
            row("its handshake too", &moved, long(CLIENT, 1, 2, &RANDOM), ForwardEstablished, 1),
            row("a new one", &moved, long(other, 1, 0, &RANDOM), ForwardNew, 2),
            row("its Initial again", &moved, long(other, 1, 0, &RANDOM), ForwardEstablished, 2),
            row("its data", &moved, short(other, &RANDOM), ForwardEstablished, 2),
            row(
                "back at the first server",
                &World::new().service(
                    Service::l2(VIP)
                        .quic(0)
                        .slot(&server(1), &server(1))
                        .keeps(&server(2))
                        .moving(),
                ),
                short(other, &RANDOM),
                ForwardEstablished,
                2,
            ),
            row(
                "version 2",
                &moved,
                long("198.51.100.9:1", 0x6b33_43cf, 1, &RANDOM),
                ForwardNew,
                2,
            ),
            row(
                "version 2, a Retry",
                &moved,
                long("198.51.100.10:1", 0x6b33_43cf, 0, &RANDOM),
                ForwardEstablished,
                1,
            ),
            row(
                "version negotiation",
                &moved,
                long("198.51.100.11:1", 0, 0, &RANDOM),
                ForwardEstablished,
                1,
            ),
            row("an empty datagram", &moved, udp("198.51.100.12:1", VIP), ForwardEstablished, 1),
        ],
    );
    let remembered = Remembered { backend: 2, closing: false, promoted: true };
    assert_eq!(program.remembered_udp(other, VIP), Some(remembered));
}

#[test]
fn a_server_id_survives_a_change_of_address() {
    let named = |id: u8| server(id).quic(&[0xaa, 0xbb, id]);
    let world = |first: Server, second: Server| {
        World::new().service(
            Service::l2(VIP).quic(3).slot(&server(3), &server(3)).keeps(&first).keeps(&second),
        )
    };
    let both = world(named(1), named(2).draining());
    let broken = world(named(1).broken(), named(2));
    let id = |server: u8| [0x05, 0xaa, 0xbb, server, 9, 9, 9, 9, 9, 9];
    let unroutable = [0xe5, 0xaa, 0xbb, 1, 9, 9, 9, 9, 9, 9];
    let mut program = Program::load().unwrap();
    let row = |name, world, packet: Packet, reason, id| {
        case(name, world, &packet).transmits(reason, &to(&packet, id))
    };
    play(
        &mut program,
        [
            row("short header", &both, short(CLIENT, &id(1)), ForwardEstablished, 1),
            row(
                "from another address",
                &both,
                short("192.0.2.200:9", &id(1)),
                ForwardEstablished,
                1,
            ),
            row("a draining server", &both, short(CLIENT, &id(2)), ForwardEstablished, 2),
            row("handshake", &both, long(CLIENT, 1, 2, &id(2)), ForwardEstablished, 2),
            row("an Initial names nobody", &both, long(CLIENT, 1, 0, &id(2)), ForwardNew, 3),
            row("an unknown id", &both, short(CLIENT, &id(7)), ForwardEstablished, 3),
            row("no id (codepoint 7)", &both, short(CLIENT, &unroutable), ForwardEstablished, 3),
            row(
                "an id too short",
                &both,
                long(CLIENT, 1, 2, &[5, 0xaa, 0xbb]),
                ForwardEstablished,
                3,
            ),
            row("a broken server", &broken, short(CLIENT, &id(1)), ForwardEstablished, 3),
        ],
    );
}

#[test]
fn the_second_flight_of_a_handshake_stays_with_its_server() {
    let (old, new) = (server(1).quic(&[1, 1]), server(2).quic(&[2, 2]));
    let world = World::new().service(Service::l2(VIP).quic(2).slot(&new, &old));
    let named = |id: u8| [0x05, id, id, 9, 9, 9, 9, 9, 9];
    let second = |id: u8| long(CLIENT, 1, 0, &named(id)[..8]);
    let mut program = Program::load().unwrap();
    play(
        &mut program,
        [
            case("of before the change", &world, &second(1))
                .transmits(ForwardEstablished, &to(&second(1), 1)),
            case("a first flight", &world, &long(CLIENT, 1, 0, &RANDOM))
                .transmits(ForwardNew, &to(&long(CLIENT, 1, 0, &RANDOM), 2)),
        ],
    );
    // A slot that was not touched has nobody's connections but its own server's.
    let ring = Service::l2(VIP).quic(2).slot(&new, &new).keeps(&old).moving_elsewhere();
    let untouched = World::new().service(ring);
    play(
        &mut program,
        [
            case("an Initial begins", &untouched, &second(2))
                .transmits(ForwardNew, &to(&second(2), 2)),
            case("a short header names its server", &untouched, &short(CLIENT, &named(1)))
                .transmits(ForwardEstablished, &to(&short(CLIENT, &named(1)), 1)),
        ],
    );
}
