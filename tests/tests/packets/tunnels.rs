//! Modes `ipip` and `gue`: the packet in another one, of either family.

use lab::packet::{Packet, Server, Service, World, case, check, server, server6, tcp, udp};
use lb_common::abi::Reason::{ForwardEstablished, ForwardNew, Unreachable};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

/// A service of each family, with servers of one.
fn world(make: fn(&str) -> Service, server: &Server) -> World {
    World::new()
        .service(make(VIP).tcp_and_udp().slot(server, server))
        .service(make(VIP6).tcp_and_udp().slot(server, server))
}

fn packets() -> Vec<(&'static str, Packet)> {
    let (v4, v6) = (|| tcp(CLIENT, VIP), || tcp(CLIENT6, VIP6));
    vec![
        ("ACK", v4().seq(8).ack(100)),
        ("data", v4().psh().ack(100).payload(b"GET / HTTP/1.1\r\n\r\n")),
        ("odd data", v4().ack(100).payload(b"odd")),
        ("IP options", v4().ack(1).ip_options(&[1, 1, 1, 0])),
        ("the most IP options", v4().ack(1).ip_options(&[1; 40])),
        ("DSCP", v4().ack(1).dscp(46)),
        ("congestion experienced", v4().ack(1).ecn(3)),
        ("a VLAN tag", v4().ack(1).vlan(5)),
        ("two VLAN tags", v4().ack(1).service_vlan(6).vlan(5)),
        ("a frame of 1,400 bytes", v4().ack(1).payload(&[0x5a; 1360])),
        ("TTL 2", v4().ack(1).ttl(2)),
        ("another flow", tcp("198.51.100.77:1", VIP).ack(1)),
        ("IPv6", v6().ack(1).payload(b"GET /")),
        ("IPv6 with a traffic class", v6().ack(1).dscp(10).ecn(1)),
        ("IPv6 with a flow label", v6().ack(1).label(0xbeef)),
        ("IPv6 behind a VLAN tag", v6().ack(1).vlan(5)),
        ("IPv6 behind two VLAN tags", v6().ack(1).service_vlan(6).vlan(5)),
        ("IPv6 with destination options", v6().extension(60, &[0; 8]).ack(1)),
        ("UDP", udp(CLIENT, VIP).payload(b"query")),
        ("UDP without a checksum", udp(CLIENT, VIP).without_checksum().payload(b"query")),
        ("UDP over IPv6", udp(CLIENT6, VIP6).payload(b"queries")),
    ]
}

#[test]
fn ipip_puts_packets_into_ip() {
    for to in [server(1), server6(2)] {
        let world = world(Service::ipip, &to);
        check(packets().iter().map(|(name, packet)| {
            case(format!("{name} to {}", to.address()), &world, packet)
                .transmits(ForwardEstablished, &packet.ipip(&world, &to))
        }));
    }
}

#[test]
fn gue_puts_packets_into_udp() {
    for to in [server(1), server6(2)] {
        let world = world(Service::gue, &to);
        check(packets().iter().map(|(name, packet)| {
            case(format!("{name} to {}", to.address()), &world, packet)
                .transmits(ForwardEstablished, &packet.gue(&world, &to))
        }));
    }
}

#[test]
fn new_connections_go_the_same_way() {
    let to = server(1);
    let (ipip, gue) = (world(Service::ipip, &to), world(Service::gue, &to));
    let syn = tcp(CLIENT, VIP).syn().tcp_options(&[2, 4, 5, 180]);
    check([
        case("ipip", &ipip, &syn).transmits(ForwardNew, &syn.ipip(&ipip, &to)),
        case("gue", &gue, &syn).transmits(ForwardNew, &syn.gue(&gue, &to)),
    ]);
}

#[test]
fn a_server_may_be_behind_another_interface_or_nowhere() {
    let far = server(1).behind(77);
    let there = world(Service::ipip, &far);
    let nowhere = world(Service::gue, &server(1).unreachable());
    let ack = tcp(CLIENT, VIP).ack(1);
    check([
        case("redirected", &there, &ack).redirects(ForwardEstablished, &ack.ipip(&there, &far)),
        case("dropped", &nowhere, &ack).drops(Unreachable),
    ]);
}

#[test]
fn the_source_varies_with_the_flow() {
    let to = server(1);
    let world = world(Service::ipip, &to);
    let source = |port: u16| world.tunnel_source(&tcp(&format!("198.51.100.7:{port}"), VIP), &to);
    let sources: std::collections::HashSet<_> = (1..=1000).map(source).collect();
    assert!(sources.len() > 980, "{} sources for 1,000 flows", sources.len());
}
