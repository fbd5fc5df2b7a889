//! What the edge itself answers: ICMP errors, RSTs and echo replies.

use lab::packet::{
    Case, Packet, Refusal, Server, Service, World, answer, case, icmp_answer, nobody, ping, server,
    server6, tcp, udp,
};
use lb_common::abi::Reason::{
    BackendBroken, Echo, NoBackend, RefusedReset, ResetOfReset, TooBig, TtlExpired,
};

use super::way::{TAGS, WAYS, Way, tagged};
use crate::{CLIENT, CLIENT6, VIP, VIP6};

pub(super) fn rows() -> Vec<Case> {
    let on_the_way = WAYS.iter().flat_map(|way| TAGS.map(|tags| on_the_way(way, tags)));
    let by_the_edge = [false, true].into_iter().flat_map(|v6| TAGS.map(|tags| refused(v6, tags)));
    on_the_way.chain(by_the_edge).flatten().chain(echoes()).collect()
}

/// Packets that have come too far, or are too long.
fn on_the_way(way: &Way, tags: usize) -> Vec<Case> {
    const MTU: u16 = 1300;
    let world = way.world(&way.server().mtu(MTU));
    let room = usize::from(MTU) - way.overhead();
    let (far, big) = if way.v6 { ((3, 0), (2, 0)) } else { ((11, 0), (3, 4)) };
    let headers = if way.v6 { 60 } else { 40 };
    let name = |kind: &str| format!("{kind}, {}, {tags} tags", way.name());
    let mut rows = Vec::new();
    for (kind, packet) in [
        ("TCP with TTL 1", way.tcp().ack(1).ttl(1).payload(b"odd")),
        ("a SYN with TTL 1", way.tcp().syn().ttl(1)),
        ("UDP with TTL 1", way.udp().ttl(1).payload(b"traceroute")),
        ("UDP with TTL 0", way.udp().ttl(0)),
    ] {
        let packet = tagged(packet, tags);
        let out = icmp_answer(&packet, far.0, far.1, 0);
        rows.push(case(name(kind), &world, &packet).transmits(TtlExpired, &out));
    }
    for (kind, over) in [("a byte too long", 1), ("far too long", 99)] {
        let packet = way.tcp().ack(1).payload(&vec![0x5a; room - headers + over]);
        let packet = tagged(packet, tags);
        let out = icmp_answer(&packet, big.0, big.1, room as u32);
        rows.push(case(name(kind), &world, &packet).transmits(TooBig, &out));
    }
    let fits = tagged(way.tcp().ack(1).payload(&vec![0x5a; room - headers]), tags);
    let out = way.out(&world, &fits);
    let reason = lb_common::abi::Reason::ForwardEstablished;
    rows.push(case(name("as long as it may be"), &world, &fits).transmits(reason, &out));
    rows
}

/// Connections and datagrams that nobody takes.
fn refused(v6: bool, tags: usize) -> Vec<Case> {
    let family = if v6 { "IPv6" } else { "IPv4" };
    let (client, vip, server) =
        if v6 { (CLIENT6, VIP6, server6(2)) } else { (CLIENT, VIP, server(1)) };
    let unreachable = if v6 { (1, 4) } else { (3, 3) };
    let of = |server: &Server| Service::gue(vip).tcp_and_udp().slot(server, server);
    let closed = World::new().service(of(&server).refuses(Refusal::reset(1.0)));
    let worlds = [
        ("refused", closed, RefusedReset),
        ("no server", World::new().service(of(&nobody())), NoBackend),
        ("never bound", World::new().service(Service::nat(vip).tcp_and_udp()), NoBackend),
        ("a broken server", World::new().service(of(&server.clone().broken())), BackendBroken),
    ];
    let rst = || answer(vip, client);
    let mut rows = Vec::new();
    for (why, world, reason) in worlds {
        let mut row = |kind: &str, packet: Packet, out: Packet| {
            let packet = tagged(packet, tags);
            let name = format!("{why}: {kind} over {family}, {tags} tags");
            let out = if kind.starts_with('U') {
                icmp_answer(&packet, unreachable.0, unreachable.1, 0)
            } else {
                tagged(out, tags)
            };
            rows.push(case(name, &world, &packet).transmits(reason, &out));
        };
        row("SYN", tcp(client, vip).syn().seq(7), rst().ack(8));
        row("UDP", udp(client, vip).payload(b"query"), rst());
        row("UDP of odd length", udp(client, vip).payload(b"odd"), rst());
        if reason != RefusedReset {
            let data = tcp(client, vip).seq(7).ack(99).payload(b"odd");
            row("TCP data", data, rst().seq(99));
            row("FIN without ACK", tcp(client, vip).seq(7).fin(), rst().ack(8));
            let packet = tagged(tcp(client, vip).seq(7).rst(), tags);
            let name = format!("{why}: RST over {family}, {tags} tags");
            rows.push(case(name, &world, &packet).drops(ResetOfReset));
        }
    }
    rows
}

fn echoes() -> Vec<Case> {
    let world = World::new()
        .service(Service::ipip(VIP).slot(&server(1), &server(1)).echoes())
        .service(Service::nat(VIP6).slot(&server6(2), &server6(2)).echoes());
    let mut rows = Vec::new();
    for tags in TAGS {
        let packets = [
            ("IPv4", ping(CLIENT, VIP), 0),
            ("IPv4 with odd data", ping(CLIENT, VIP).payload(b"odd"), 0),
            ("IPv4 with options", ping(CLIENT, VIP).ip_options(&[1; 12]).payload(b"data"), 0),
            ("IPv6", ping(CLIENT6, VIP6), 129),
            ("IPv6 with odd data", ping(CLIENT6, VIP6).payload(b"odd"), 129),
            ("IPv6 with hop limit 1", ping(CLIENT6, VIP6).ttl(1), 129),
        ];
        rows.extend(packets.into_iter().map(|(kind, packet, reply)| {
            let packet = tagged(packet, tags);
            let name = format!("an echo request over {kind}, {tags} tags");
            case(name, &world, &packet).transmits(Echo, &packet.clone().echoed(reply))
        }));
    }
    rows
}
