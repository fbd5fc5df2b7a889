//! What is answered by ICMP: packets that have come too far or are too long,
//! and datagrams that nobody takes.

use lab::packet::{
    Packet, Program, Refusal, Service, World, case, check, icmp_answer, server, server6, tcp, udp,
};
use lb_common::abi::Reason::{
    self, AnswerLimited, BackendBroken, ForwardEstablished, NoBackend, RefusedReset, RefusedSilent,
    TooBig, TtlExpired, Unanswerable,
};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

/// Makes a service of some mode.
type Make = fn(&str) -> Service;

fn of(make: Make, mtu: u16) -> World {
    let (v4, v6) = (server(1).mtu(mtu), server6(2).mtu(mtu));
    World::new()
        .service(make(VIP).tcp_and_udp().slot(&v4, &v4))
        .service(make(VIP6).tcp_and_udp().slot(&v6, &v6))
}

#[test]
fn time_exceeded() {
    let modes = [Service::l2, Service::nat, Service::ipip, Service::gue];
    for (mode, make) in modes.into_iter().enumerate() {
        let world = of(make, 0);
        let rows: Vec<(&str, Packet, u8)> = vec![
            ("TTL 1", tcp(CLIENT, VIP).ack(1).ttl(1), 11),
            ("TTL 0", tcp(CLIENT, VIP).ack(1).ttl(0), 11),
            ("a SYN", tcp(CLIENT, VIP).syn().ttl(1), 11),
            ("IP options", tcp(CLIENT, VIP).ack(1).ttl(1).ip_options(&[1; 24]), 11),
            ("odd data", tcp(CLIENT, VIP).ack(1).ttl(1).payload(b"odd"), 11),
            ("a full frame", tcp(CLIENT, VIP).ack(1).ttl(1).payload(&[0x5a; 1460]), 11),
            ("padding", tcp(CLIENT, VIP).ack(1).ttl(1).pad(6), 11),
            ("a VLAN tag", tcp(CLIENT, VIP).ack(1).ttl(1).vlan(5), 11),
            ("two VLAN tags", tcp(CLIENT, VIP).ack(1).ttl(1).service_vlan(6).vlan(5), 11),
            ("UDP", udp(CLIENT, VIP).ttl(1), 11),
            ("UDP with data", udp(CLIENT, VIP).ttl(1).payload(b"traceroute"), 11),
            ("hop limit 1", tcp(CLIENT6, VIP6).ack(1).ttl(1), 3),
            ("hop limit 0", udp(CLIENT6, VIP6).ttl(0).payload(&[7; 33]), 3),
            ("a full frame over IPv6", tcp(CLIENT6, VIP6).ack(1).ttl(1).payload(&[1; 1440]), 3),
        ];
        check(rows.iter().map(|(name, packet, kind)| {
            case(format!("{name}, mode {mode}"), &world, packet)
                .transmits(TtlExpired, &icmp_answer(packet, *kind, 0, 0))
        }));
    }
}

#[test]
fn fragmentation_needed_and_packet_too_big() {
    let v4 = |bytes| tcp(CLIENT, VIP).ack(1).payload(&vec![0x5a; bytes - 40]);
    let v6 = |bytes| tcp(CLIENT6, VIP6).ack(1).payload(&vec![0xa5; bytes - 60]);
    let modes: [(Make, [usize; 2]); 4] = [
        (Service::l2, [0, 0]),
        (Service::nat, [0, 0]),
        (Service::ipip, [20, 40]),
        (Service::gue, [28, 48]),
    ];
    for (mode, (make, overhead)) in modes.into_iter().enumerate() {
        let world = of(make, 1500);
        let [fits4, fits6] = overhead.map(|overhead| 1500 - overhead);
        let too_big = |name: &str, packet: Packet, kind, code, mtu: usize| {
            case(format!("{name}, mode {mode}"), &world, &packet)
                .transmits(TooBig, &icmp_answer(&packet, kind, code, mtu as u32))
        };
        check([
            too_big("IPv4", v4(fits4 + 1), 3, 4, fits4),
            too_big("IPv4 with a VLAN tag", v4(fits4 + 1).vlan(5), 3, 4, fits4),
            too_big("IPv4 with options", v4(fits4).ip_options(&[1; 8]), 3, 4, fits4),
            too_big("IPv6", v6(fits6 + 1), 2, 0, fits6),
            too_big("IPv6 with two tags", v6(fits6 + 9).service_vlan(6).vlan(5), 2, 0, fits6),
        ]);
        let mut program = Program::load().unwrap();
        program.commit(&world);
        for packet in [v4(fits4), v6(fits6)] {
            assert_eq!(program.send(&packet.bytes()).reasons, [ForwardEstablished], "mode {mode}");
        }
    }
}

#[test]
fn port_unreachable() {
    let refusing = |refusal: Refusal| {
        World::new()
            .service(Service::l2(VIP).tracked().slot(&server(1), &server(1)).refuses(refusal))
            .service(Service::l2(VIP6).udp().slot(&server6(2), &server6(2)).refuses(refusal))
    };
    let nobody = World::new().service(Service::l2(VIP).udp()).service(Service::gue(VIP6).udp());
    let gone = server(1).broken();
    let broken = World::new().service(Service::l2(VIP).udp().slot(&gone, &gone));
    let (v4, v6) = (udp(CLIENT, VIP).payload(b"query"), udp(CLIENT6, VIP6).payload(b"query"));
    let answered = |name, world: &World, packet: &Packet, reason: Reason| {
        let (kind, code) = if packet.is_v4() { (3, 3) } else { (1, 4) };
        case(name, world, packet).transmits(reason, &icmp_answer(packet, kind, code, 0))
    };
    let refusal = refusing(Refusal::reset(1.0));
    let silence = refusing(Refusal::reset(1.0).silent());
    check([
        answered("refused", &refusal, &v4, RefusedReset),
        answered("refused over IPv6", &refusal, &v6, RefusedReset),
        answered("no backend", &nobody, &v4, NoBackend),
        answered("no backend over IPv6", &nobody, &v6, NoBackend),
        answered("a broken backend", &broken, &v4, BackendBroken),
        case("silence", &silence, &v4).drops(RefusedSilent),
        case("silence over IPv6", &silence, &v6).drops(RefusedSilent),
    ]);
}

#[test]
fn errors_are_not_answered_by_errors() {
    let nobody = World::new().service(Service::l2(VIP));
    let world = of(Service::ipip, 1500);
    let sent = tcp(VIP, CLIENT).ack(1);
    let error = |ttl| sent.error_by("192.0.2.9:0", 3, 1).ttl(ttl);
    let long = error(60).payload(&[sent.ip_bytes(), vec![0; 1440]].concat());
    check([
        case("come too far", &world, &error(1)).drops(Unanswerable),
        case("too long", &world, &long).drops(Unanswerable),
        case("about nobody's flow", &nobody, &error(60)).drops(Unanswerable),
    ]);
}

#[test]
fn answers_are_limited() {
    let mut program = Program::load().unwrap();
    program.commit(&of(Service::l2, 0).answers(10));
    let packet = tcp(CLIENT, VIP).ack(1).ttl(1).bytes();
    let mut answered = 0;
    for _ in 0..100 {
        match program.send(&packet).reasons[..] {
            [TtlExpired] => answered += 1,
            [AnswerLimited] => {}
            ref other => panic!("{other:?}"),
        }
    }
    // A second's share on each of the CPUs that this test may have run on.
    assert!((10..=60).contains(&answered), "{answered} of 100 were answered");
    program.commit(&of(Service::l2, 0).answers(0));
    assert_eq!(program.send(&packet).reasons, [AnswerLimited]);
}
