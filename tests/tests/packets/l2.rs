//! Mode `l2`: the frame goes on as it is, with the server's Ethernet address.

use lab::packet::{
    Packet, Program, Server, Service, World, case, check, play, server, server6, tcp,
};
use lb_common::abi::Reason::{ForwardEstablished, ForwardNew, NotOurs};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

fn world() -> World {
    World::new()
        .service(Service::l2(VIP).slot(&server(1), &server(1)))
        .service(Service::l2(VIP6).slot(&server6(2), &server6(2)))
}

fn at(packet: &Packet, server: Server) -> Packet {
    packet.clone().sent_to(&server)
}

#[test]
fn segments_go_to_the_slots_server() {
    let world = world();
    let flow = || tcp(CLIENT, VIP);
    let new = [
        ("SYN", flow().syn().seq(7)),
        ("SYN with data (RFC 7413)", flow().syn().payload(b"GET /")),
        ("SYN with ECN bits", flow().syn().tcp_options(&[2, 4, 5, 180])),
        ("SYN and PSH", flow().syn().psh()),
    ];
    let established = [
        ("ACK", flow().seq(8).ack(100)),
        ("data", flow().psh().ack(100).payload(b"GET / HTTP/1.1\r\n\r\n")),
        ("FIN", flow().fin().ack(100)),
        ("RST", flow().rst().seq(9)),
        ("SYN and ACK", flow().syn().ack(1)),
        ("SYN and RST", flow().syn().rst()),
        ("SYN and FIN", flow().syn().fin()),
        ("no flag at all", flow()),
        ("TTL 2 is the last that goes on", flow().ack(1).ttl(2)),
        ("IP options", flow().ack(1).ip_options(&[1, 1, 1, 0])),
        ("the most IP options", flow().ack(1).ip_options(&[1; 40])),
        ("TCP options", flow().ack(1).tcp_options(&[1; 40])),
        ("odd payload", flow().ack(1).payload(b"odd")),
        ("a full frame", flow().ack(1).payload(&[0x5a; 1460])),
        ("Ethernet padding", flow().ack(1).pad(6)),
        ("a VLAN tag", flow().ack(1).vlan(5)),
        ("two VLAN tags", flow().ack(1).service_vlan(6).vlan(5)),
    ];
    let rows = |packets: &[(&'static str, Packet)], reason| {
        let row = |(name, packet): &(&'static str, Packet)| {
            case(*name, &world, packet).transmits(reason, &at(packet, server(1)))
        };
        packets.iter().map(row).collect::<Vec<_>>()
    };
    check([rows(&new, ForwardNew), rows(&established, ForwardEstablished)].concat());
}

#[test]
fn ipv6_segments_go_to_the_slots_server() {
    let world = world();
    let flow = || tcp(CLIENT6, VIP6);
    let rows = [
        ("SYN", ForwardNew, flow().syn().seq(7)),
        ("data", ForwardEstablished, flow().ack(1).payload(b"GET /")),
        ("hop limit 2 is the last", ForwardEstablished, flow().ack(1).ttl(2)),
        ("traffic class", ForwardEstablished, flow().ack(1).dscp(46)),
        ("a VLAN tag", ForwardEstablished, flow().ack(1).vlan(5)),
        ("padding", ForwardEstablished, flow().ack(1).pad(3)),
    ];
    check(rows.iter().map(|(name, reason, packet)| {
        case(*name, &world, packet).transmits(*reason, &at(packet, server6(2)))
    }));
}

#[test]
fn a_server_behind_another_interface_is_redirected_to() {
    let far = server(1).behind(77);
    let world = World::new().service(Service::l2(VIP).slot(&far, &far));
    let syn = tcp(CLIENT, VIP).syn();
    check([case("SYN", &world, &syn).redirects(ForwardNew, &at(&syn, server(1)))]);
}

#[test]
fn the_services_address_port_and_protocol_all_count() {
    let world = world();
    let rows = [
        ("other port", tcp(CLIENT, "203.0.113.10:81").syn()),
        ("other address", tcp(CLIENT, "203.0.113.11:80").syn()),
        ("other address over IPv6", tcp(CLIENT6, "[2001:db8::11]:80").syn()),
        ("from the VIP", tcp(VIP, CLIENT).ack(1)),
        // A server in mode l2 answers its client directly.
        ("from a server", tcp("10.0.0.1:8080", CLIENT).ack(1)),
    ];
    check(rows.iter().map(|(name, packet)| case(*name, &world, packet).passes(NotOurs)));
}

#[test]
fn the_generations_parity_chooses_the_copy() {
    let mut program = Program::load().unwrap();
    let one = World::new().service(Service::l2(VIP).slot(&server(1), &server(1)));
    let two = World::new().service(Service::l2(VIP).slot(&server(2), &server(2)));
    let packet = tcp(CLIENT, VIP).ack(1);
    let owner = |program: &mut Program| program.send(&packet.bytes()).frame[5];
    program.commit(&one);
    for (next, seen, after) in [(&two, 1, 2), (&one, 2, 1), (&two, 1, 2)] {
        program.prepare(next);
        assert_eq!(owner(&mut program), seen, "what is prepared is not seen");
        program.flip();
        assert_eq!(owner(&mut program), after, "one word makes it live");
    }
    program.commit(&World::new());
    play(&mut program, [case("a removed service", &World::new(), &packet).passes(NotOurs)]);
}

#[test]
fn packets_bytes_and_connections_are_counted() {
    let mut program = Program::load().unwrap();
    program.commit(&world());
    let syn = tcp(CLIENT, VIP).syn().bytes();
    let data = tcp(CLIENT, VIP).ack(1).payload(b"GET /").bytes();
    for frame in [&syn, &data, &data] {
        program.send(frame);
    }
    let counters = program.backend_counters(1);
    assert_eq!(counters.packets, 3);
    assert_eq!(counters.bytes, (syn.len() + 2 * data.len()) as u64);
    assert_eq!(counters.new_connections, 1);
    assert_eq!(counters.reply_packets, 0);
    assert_eq!(counters.untracked, 0);
    assert_eq!(program.service_counters(0).new_connections, 1);
    assert_eq!(program.class_counters(lb_common::abi::DEFAULT_CLASS).admitted, 1);
}
