//! Every mode, family and kind of packet, behind every number of VLAN tags.

use lab::packet::{
    Case, GATEWAY_MAC, Packet, Service, UPLINK_MAC, World, case, icmp, server, server6, tcp, udp,
};
use lb_common::abi::Reason::{
    ForwardEstablished, ForwardIcmp, ForwardIcmpReply, ForwardNew, ForwardReply,
};

use super::way::{TAGS, WAYS, Way, tagged};
use crate::{CLIENT, CLIENT6, VIP, VIP6};

pub(super) const ROUTER: &str = "192.0.2.9:0";
pub(super) const ROUTER6: &str = "[2001:db8:ff::9]:0";

pub(super) fn rows() -> Vec<Case> {
    let there = WAYS.iter().flat_map(|way| TAGS.map(|tags| to_servers(way, tags)));
    let back = TAGS.map(to_clients);
    there.chain(back).flatten().collect()
}

/// A QUIC packet with a long header, an Initial (RFC 9000 section 17.2.2).
pub(super) fn initial(client: &str, vip: &str) -> Packet {
    let header = [0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    udp(client, vip).payload(&[&header[..], &[0; 1186]].concat())
}

/// One with a short header (RFC 9000 section 17.3).
pub(super) fn short(client: &str, vip: &str) -> Packet {
    udp(client, vip).payload(&[&[0x40][..], &[7; 40]].concat())
}

fn to_servers(way: &Way, tags: usize) -> Vec<Case> {
    let world = way.world(&way.server());
    let name = |kind: &str| format!("{kind}, {}, {tags} tags", way.name());
    let (client, quic) = (way.client(), way.quic_vip());
    let packets = [
        ("SYN", ForwardNew, way.tcp().syn().seq(7).tcp_options(&[2, 4, 5, 180])),
        ("TCP data", ForwardEstablished, way.tcp().seq(8).ack(100).payload(b"GET / HTTP/1.1")),
        ("a datagram", ForwardEstablished, way.udp().payload(b"query")),
        ("a QUIC Initial", ForwardNew, initial(client, quic)),
        ("a QUIC short header", ForwardEstablished, short(client, quic)),
    ];
    let mut rows: Vec<_> = packets
        .into_iter()
        .map(|(kind, reason, packet)| {
            let packet = tagged(packet, tags);
            case(name(kind), &world, &packet).transmits(reason, &way.out(&world, &packet))
        })
        .collect();
    let (router, unreachable) = if way.v6 { (ROUTER6, 1) } else { (ROUTER, 3) };
    let about = [
        ("about TCP", tcp(way.vip(), client).ack(1), way.tcp()),
        ("about UDP", udp(way.vip(), client).payload(b"x"), way.udp()),
    ];
    for (kind, sent, flow) in about {
        let error = tagged(sent.error_by(router, unreachable, 0), tags);
        let out = way.error_out(&world, &error, &flow);
        rows.push(
            case(name(&format!("an ICMP error {kind}")), &world, &error)
                .transmits(ForwardIcmp, &out),
        );
    }
    rows
}

/// What `nat` servers answer, and errors about what they were sent.
fn to_clients(tags: usize) -> Vec<Case> {
    let families = [
        ("IPv4", server(1), CLIENT, VIP, ROUTER, 3, 1),
        ("IPv6", server6(2), CLIENT6, VIP6, ROUTER6, 1, 0),
    ];
    let mut rows = Vec::new();
    for (family, server, client, vip, router, kind, code) in families {
        let world = World::new().service(Service::nat(vip).tcp_and_udp().slot(&server, &server));
        let name = |what: &str| format!("{what}, nat {family} to the client, {tags} tags");
        let (real, vip) = (server.address(), vip.parse().expect("an address"));
        let onward = |packet: Packet| packet.ttl(59).via(GATEWAY_MAC, UPLINK_MAC);
        let at = &real.to_string();
        for (what, packet) in [
            ("a SYN's answer", tcp(at, client).syn().ack(8).tcp_options(&[2, 4, 5, 180])),
            ("TCP data", tcp(at, client).ack(9).payload(b"HTTP/1.1 200 OK")),
            ("a datagram", udp(at, client).payload(b"answer")),
        ] {
            let packet = tagged(packet, tags);
            let out = onward(packet.clone().from(vip));
            rows.push(case(name(what), &world, &packet).redirects(ForwardReply, &out));
        }
        let sent = udp(client, at).payload(b"query");
        let unreachable = sent.error_by(router, kind, code);
        let by_server = sent.error_by(at, kind, code);
        let out = |error: &Packet| onward(error.clone().requoted(real, vip));
        for (what, error, out) in [
            ("a router's word", &unreachable, out(&unreachable)),
            ("a closed port", &by_server, out(&by_server).from(vip)),
        ] {
            let (error, out) = (tagged(error.clone(), tags), tagged(out, tags));
            rows.push(case(name(what), &world, &error).redirects(ForwardIcmpReply, &out));
        }
    }
    rows
}

/// Every type of error (RFC 792, RFC 4443 section 3), to every server.
pub(super) fn errors() -> Vec<Case> {
    let v4 = [("unreachable", 3, 1), ("time exceeded", 11, 0), ("parameter problem", 12, 0)];
    let v6 = [
        ("unreachable", 1, 0),
        ("packet too big", 2, 0),
        ("time exceeded", 3, 0),
        ("parameter problem", 4, 1),
    ];
    let mut rows = Vec::new();
    for way in &WAYS {
        let (router, kinds) = if way.v6 { (ROUTER6, &v6[..]) } else { (ROUTER, &v4[..]) };
        let world = way.world(&way.server());
        let sent = tcp(way.vip(), way.client()).ack(1).payload(&[0x5a; 61]);
        for &(what, kind, code) in kinds {
            // With all of the packet that met it, as much as RFC 1812 asks for.
            let error = icmp(router, way.vip(), kind, code, 1280).payload(&sent.ip_bytes());
            let out = way.error_out(&world, &error, &way.tcp());
            let name = format!("ICMP {what}, a whole quote, {}", way.name());
            rows.push(case(name, &world, &error).transmits(ForwardIcmp, &out));
        }
    }
    rows
}
