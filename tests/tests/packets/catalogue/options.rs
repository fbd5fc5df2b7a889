//! Headers of every length, odd payloads, marks and padding, on every way.

use lab::packet::{Case, Packet, case};
use lb_common::abi::Reason::ForwardEstablished;

use super::way::{WAYS, Way};

pub(super) fn rows() -> Vec<Case> {
    WAYS.iter().flat_map(of).collect()
}

fn of(way: &Way) -> Vec<Case> {
    let world = way.world(&way.server());
    let (ack, query) = (|| way.tcp().seq(8).ack(1), || way.udp().payload(b"query"));
    let mut packets: Vec<(&str, Packet)> = vec![
        ("one byte of data", ack().payload(b"o")),
        ("data of odd length", ack().payload(b"odd")),
        ("a frame of 1,400 bytes", ack().payload(&[0x5a; 1320])),
        ("the most TCP options", ack().tcp_options(&[1; 40])),
        ("DSCP and congestion", ack().dscp(46).ecn(3)),
        ("padding", ack().pad(6)),
        ("TTL 2", ack().ttl(2)),
        ("TTL 255", ack().ttl(255)),
        ("an empty datagram", way.udp()),
        ("a datagram of even length", way.udp().payload(b"even")),
        ("a datagram with padding", query().pad(5)),
        ("UDP without a checksum", query().without_checksum()),
    ];
    if way.v6 {
        packets.push(("a flow label", ack().label(0xf_beef)));
    } else {
        packets.extend([
            ("one IPv4 option", ack().ip_options(&[1, 1, 1, 0])),
            ("the most IPv4 options", ack().ip_options(&[1; 40])),
            ("a router alert (RFC 2113)", ack().ip_options(&[0x94, 4, 0, 0])),
            ("options of both kinds", ack().ip_options(&[1; 8]).tcp_options(&[1; 8])),
            ("UDP with IPv4 options", query().ip_options(&[1; 12])),
            ("IPv4 options behind a tag", ack().ip_options(&[1; 4]).vlan(5)),
        ]);
    }
    let row = |(kind, packet): (&str, Packet)| {
        let name = format!("{kind}, {}", way.name());
        case(name, &world, &packet).transmits(ForwardEstablished, &way.out(&world, &packet))
    };
    packets.into_iter().map(row).collect()
}
