//! RST: what a closed port would answer (RFC 9293 section 3.10.7.1).

use lab::packet::{
    Packet, Program, Refusal, Service, World, answer, case, check, server, server6, tcp,
};
use lb_common::abi::Reason::{BackendBroken, RefusedReset, ResetOfReset};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

/// Every new connection is refused.
fn closed() -> World {
    let all = Refusal::reset(1.0);
    World::new()
        .service(Service::l2(VIP).slot(&server(1), &server(1)).refuses(all))
        .service(Service::nat(VIP6).slot(&server6(2), &server6(2)).refuses(all))
}

/// Every connection is broken.
fn broken() -> World {
    let one = server(1).broken();
    let two = server6(2).broken();
    World::new()
        .service(Service::nat(VIP).slot(&one, &one))
        .service(Service::l2(VIP6).slot(&two, &two))
}

#[test]
fn a_refused_syn_is_acknowledged_by_the_rst() {
    let world = closed();
    let syn = || tcp(CLIENT, VIP).syn();
    let rst = |ack| answer(VIP, CLIENT).ack(ack);
    let rows: Vec<(&str, Packet, Packet)> = vec![
        ("SYN", syn().seq(7), rst(8)),
        ("SYN at the end of the sequence space", syn().seq(u32::MAX), rst(0)),
        ("SYN with data (RFC 7413)", syn().seq(100).payload(b"GET /"), rst(106)),
        ("SYN and PSH", syn().psh().seq(1), rst(2)),
        ("TCP options do not count", syn().seq(7).tcp_options(&[2, 4, 5, 180]), rst(8)),
        ("IP options are left out", syn().seq(7).ip_options(&[1; 4]), rst(8)),
        ("options of both kinds", syn().seq(7).ip_options(&[1; 40]).tcp_options(&[1; 40]), rst(8)),
        ("padding does not count", syn().seq(7).pad(6), rst(8)),
        ("DSCP and TTL are our own", syn().seq(7).dscp(46).ttl(3), rst(8)),
        ("a VLAN tag is kept", syn().seq(7).vlan(5), rst(8).vlan(5)),
        (
            "two VLAN tags are kept",
            syn().seq(7).service_vlan(6).vlan(5),
            rst(8).service_vlan(6).vlan(5),
        ),
        ("a long SYN is cut", syn().seq(7).payload(&[0x5a; 1400]), rst(1408)),
    ];
    check(
        rows.iter()
            .map(|(name, packet, rst)| case(*name, &world, packet).transmits(RefusedReset, rst)),
    );
}

#[test]
fn a_refused_syn_over_ipv6() {
    let world = closed();
    let syn = || tcp(CLIENT6, VIP6).syn();
    let rst = |ack| answer(VIP6, CLIENT6).ack(ack);
    let rows: Vec<(&str, Packet, Packet)> = vec![
        ("SYN", syn().seq(7), rst(8)),
        ("SYN with data", syn().seq(100).payload(b"GET /"), rst(106)),
        ("options and traffic class", syn().seq(7).tcp_options(&[1; 40]).dscp(10), rst(8)),
        ("a VLAN tag is kept", syn().seq(7).vlan(5), rst(8).vlan(5)),
    ];
    check(
        rows.iter()
            .map(|(name, packet, rst)| case(*name, &world, packet).transmits(RefusedReset, rst)),
    );
}

#[test]
fn a_broken_connection_gets_the_sequence_number_it_expects() {
    let world = broken();
    let flow = || tcp(CLIENT, VIP);
    // With ACK: SEQ = SEG.ACK and nothing else.
    let exact = |seq| answer(VIP, CLIENT).seq(seq);
    // Without: ACK = SEG.SEQ + SEG.LEN.
    let blind = |ack| answer(VIP, CLIENT).ack(ack);
    let rows: Vec<(&str, Packet, Packet)> = vec![
        ("ACK", flow().seq(8).ack(0xdead_beef), exact(0xdead_beef)),
        ("data", flow().seq(8).ack(5).psh().payload(b"GET /"), exact(5)),
        ("FIN and ACK", flow().seq(8).fin().ack(5), exact(5)),
        ("SYN and ACK", flow().seq(8).syn().ack(5), exact(5)),
        ("data without ACK", flow().seq(8).payload(b"GET /"), blind(13)),
        ("FIN counts as one", flow().seq(8).fin().payload(b"GET /"), blind(14)),
        ("SYN and FIN count as two", flow().seq(8).syn().fin(), blind(10)),
        ("a SYN to a slot whose server is broken", flow().seq(8).syn(), blind(9)),
        ("an odd payload", flow().seq(8).payload(b"odd"), blind(11)),
    ];
    check(
        rows.iter()
            .map(|(name, packet, rst)| case(*name, &world, packet).transmits(BackendBroken, rst)),
    );
    let data = tcp(CLIENT6, VIP6).seq(8).ack(99).payload(b"GET /");
    let rst = answer(VIP6, CLIENT6).seq(99);
    check([case("data over IPv6", &world, &data).transmits(BackendBroken, &rst)]);
}

#[test]
fn an_rst_is_not_answered() {
    let world = broken();
    let rows = [
        ("RST", tcp(CLIENT, VIP).rst().seq(9)),
        ("RST and ACK", tcp(CLIENT, VIP).rst().ack(9)),
        ("RST and SYN", tcp(CLIENT, VIP).rst().syn()),
        ("RST over IPv6", tcp(CLIENT6, VIP6).rst()),
    ];
    check(rows.iter().map(|(name, packet)| case(*name, &world, packet).drops(ResetOfReset)));
}

#[test]
fn checksums_hold_for_any_sequence_number() {
    let mut program = Program::load().unwrap();
    program.commit(&closed());
    // Every carry of the one's complement sum appears among these.
    for n in (0..2000u32).map(|n| n.wrapping_mul(0x9e37_79b9)) {
        for (client, vip) in [(CLIENT, VIP), (CLIENT6, VIP6)] {
            let seen = program.send(&tcp(client, vip).syn().seq(n).bytes());
            assert_eq!(seen.frame, answer(vip, client).ack(n.wrapping_add(1)).bytes(), "seq {n}");
        }
    }
}
