//! What is not ours goes to the kernel as it came.

use lab::packet::{
    EDGE_MAC, Packet, ROUTER_MAC, Service, World, case, check, icmp, other, ping, server, server6,
    tcp, udp,
};
use lb_common::abi::Reason::{NotOurs, OtherProtocol};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

fn world() -> World {
    World::new()
        .service(Service::l2(VIP).slot(&server(1), &server(1)))
        .service(Service::nat(VIP6).slot(&server6(2), &server6(2)))
}

#[test]
fn other_protocols() {
    let world = world();
    let rows = [
        ("ping to the VIP", ping(CLIENT, VIP)),
        ("ping over IPv6", ping(CLIENT6, VIP6)),
        ("ping behind a VLAN tag", ping(CLIENT, VIP).vlan(5)),
        ("an echo reply", icmp(CLIENT, VIP, 0, 0, 1)),
        ("neighbour discovery", icmp(CLIENT6, VIP6, 135, 0, 0).payload(&[0; 16])),
        ("ICMPv6 over IPv4", other(CLIENT, VIP, 58).payload(&[128, 0, 0, 0, 0, 0, 0, 0])),
        ("GRE", other(CLIENT, VIP, 47).payload(&[0; 20])),
        ("SCTP over IPv6", other(CLIENT6, VIP6, 132).payload(&[0; 20])),
        ("no next header (RFC 8200 section 4.7)", other(CLIENT6, VIP6, 59)),
        ("a source route to go on", tcp(CLIENT6, VIP6).extension(43, &[0, 0, 4, 1, 0, 0, 0, 0])),
    ];
    check(rows.iter().map(|(name, packet)| case(*name, &world, packet).passes(OtherProtocol)));
}

#[test]
fn other_ethertypes() {
    let world = world();
    let rows = [
        ("ARP", [0x08, 0x06]),
        ("LLDP", [0x88, 0xcc]),
        ("MPLS", [0x88, 0x47]),
        ("an 802.3 length", [0x00, 0x2e]),
    ];
    let packet = tcp(CLIENT, VIP).syn();
    check(rows.iter().map(|(name, ethertype)| {
        case(*name, &world, &packet)
            .mangled(|frame| frame[12..14].copy_from_slice(ethertype))
            .passes(OtherProtocol)
    }));
    let three = packet.service_vlan(7).service_vlan(6).vlan(5);
    check([case("three VLAN tags", &world, &three).passes(OtherProtocol)]);
}

#[test]
fn other_addresses_and_ports() {
    let world = world();
    let rows = [
        ("another host", tcp(CLIENT, "192.0.2.1:80").syn()),
        ("another host over IPv6", tcp(CLIENT6, "[2001:db8::99]:80").syn()),
        ("a port of ours that nothing serves", tcp(CLIENT, "203.0.113.10:22").syn()),
        // Only a binding in mode nat is known by its server's address.
        ("from an l2 server", tcp("10.0.0.1:8080", CLIENT).syn().ack(1)),
        ("from a nat server's other port", tcp("[fd00::2]:22", CLIENT6).syn().ack(1)),
        ("to a nat server", tcp(CLIENT6, "[fd00::2]:8080").syn()),
        ("UDP to a TCP service", udp(CLIENT, VIP)),
        ("UDP to a TCP service over IPv6", udp(CLIENT6, VIP6)),
    ];
    check(rows.iter().map(|(name, packet)| case(*name, &world, packet).passes(NotOurs)));
}

#[test]
fn an_empty_edge_passes_everything() {
    let world = World::new();
    let rows: [(&str, Packet); 3] = [
        ("SYN", tcp(CLIENT, VIP).syn()),
        ("data over IPv6", tcp(CLIENT6, VIP6).ack(1).payload(b"x")),
        ("to nobody's address", tcp("0.0.0.0:1", "0.0.0.0:0").via(EDGE_MAC, ROUTER_MAC)),
    ];
    check(rows.iter().map(|(name, packet)| case(*name, &world, packet).passes(NotOurs)));
}
