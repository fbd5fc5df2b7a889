//! Fragments carry no port, or not all of what a port belongs to: to one of
//! our addresses they are dropped and counted, to others they are not ours.

use lab::packet::{Service, World, case, check, ping, server, server6, tcp, udp};
use lb_common::abi::Reason::{Fragment, NotOurs};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

#[test]
fn fragments_to_our_addresses_are_dropped() {
    let world = World::new()
        .service(Service::l2(VIP).slot(&server(1), &server(1)))
        .service(Service::nat(VIP6).slot(&server6(2), &server6(2)));
    let v4 = || tcp(CLIENT, VIP).ack(1).payload(&[1; 64]);
    let v6 = || tcp(CLIENT6, VIP6).ack(1).payload(&[1; 64]);
    let ours = [
        ("the first", v4().fragment(0, true)),
        ("one in the middle", v4().fragment(64, true)),
        ("the last", v4().fragment(64, false)),
        ("behind a VLAN tag", v4().fragment(64, false).vlan(5)),
        ("to another port", tcp(CLIENT, "203.0.113.10:22").fragment(0, true)),
        ("the first over IPv6", v6().fragment(0, true)),
        ("the last over IPv6", v6().fragment(64, false)),
        ("behind another extension header", v6().extension(60, &[0; 8]).fragment(8, false)),
        ("UDP", udp(CLIENT, VIP).fragment(0, true)),
        ("ICMP", ping(CLIENT, VIP).fragment(0, true)),
    ];
    let other = [
        ("of another host", tcp(CLIENT, "192.0.2.1:80").fragment(0, true)),
        ("of another host over IPv6", tcp(CLIENT6, "[2001:db8::99]:80").fragment(0, true)),
        ("from a nat server", tcp("[fd00::2]:8080", CLIENT6).fragment(0, true)),
    ];
    let dropped = ours.iter().map(|(name, packet)| case(*name, &world, packet).drops(Fragment));
    let passed = other.iter().map(|(name, packet)| case(*name, &world, packet).passes(NotOurs));
    check(dropped.chain(passed));
}
