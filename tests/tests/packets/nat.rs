//! Mode `nat`: address and port are rewritten both ways, without a table.

use lab::packet::{
    GATEWAY_MAC, Hop, Packet, Program, Server, Service, UPLINK_MAC, World, case, check, forwarding,
    icmp, icmp_answer, play, routed, server, server6, tcp,
};
use lb_common::abi::Reason::{
    ForwardEstablished, ForwardNew, ForwardReply, NoRoute, NotOurs, ReplyToKernel, TooBig,
    TtlExpired, Unanswerable,
};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

const SERVER: &str = "10.0.0.1:8080";
const SERVER6: &str = "[fd00::2]:8080";

fn world() -> World {
    World::new()
        .service(Service::nat(VIP).slot(&server(1), &server(1)))
        .service(Service::nat(VIP6).slot(&server6(2), &server6(2)))
}

/// As the server gets it.
fn at(packet: &Packet, server: &Server) -> Packet {
    packet.clone().to(server.address()).sent_to(server)
}

/// As the client's router gets it.
fn from_vip(packet: &Packet, vip: &str) -> Packet {
    packet.clone().from(vip.parse().unwrap()).via(GATEWAY_MAC, UPLINK_MAC)
}

#[test]
fn clients_segments_are_readdressed() {
    let world = world();
    let flow = || tcp(CLIENT, VIP).ttl(60);
    let rows: Vec<(&str, _, Packet)> = vec![
        ("SYN", ForwardNew, flow().syn().seq(7).tcp_options(&[2, 4, 5, 180])),
        ("ACK", ForwardEstablished, flow().seq(8).ack(100)),
        ("data", ForwardEstablished, flow().ack(1).payload(b"GET / HTTP/1.1\r\n\r\n")),
        ("odd data", ForwardEstablished, flow().ack(1).payload(b"odd")),
        ("a full frame", ForwardEstablished, flow().ack(1).payload(&[0xff; 1460])),
        ("RST", ForwardEstablished, flow().rst()),
        ("IP options", ForwardEstablished, flow().ack(1).ip_options(&[1; 40])),
        ("TCP options", ForwardEstablished, flow().ack(1).tcp_options(&[1; 40])),
        ("DSCP", ForwardEstablished, flow().ack(1).dscp(46)),
        ("padding", ForwardEstablished, flow().ack(1).pad(6)),
        ("a VLAN tag", ForwardEstablished, flow().ack(1).vlan(5)),
    ];
    check(rows.iter().map(|(name, reason, packet)| {
        case(*name, &world, packet).transmits(*reason, &at(packet, &server(1)))
    }));
    let flow = || tcp(CLIENT6, VIP6).ttl(60);
    let rows: Vec<(&str, _, Packet)> = vec![
        ("SYN over IPv6", ForwardNew, flow().syn().seq(7)),
        ("data over IPv6", ForwardEstablished, flow().ack(1).payload(b"GET /")),
        ("traffic class", ForwardEstablished, flow().ack(1).dscp(46)),
    ];
    check(rows.iter().map(|(name, reason, packet)| {
        case(*name, &world, packet).transmits(*reason, &at(packet, &server6(2)))
    }));
}

#[test]
fn no_packet_lives_for_ever() {
    let world = world();
    let flow = || tcp(CLIENT, VIP).ack(1);
    check([
        case("TTL 2", &world, &flow().ttl(2))
            .transmits(ForwardEstablished, &at(&flow().ttl(2), &server(1))),
        case("TTL 255", &world, &flow().ttl(255))
            .transmits(ForwardEstablished, &at(&flow().ttl(255), &server(1))),
    ]);
}

#[test]
fn checksums_equal_fresh_ones_for_any_flow() {
    let mut program = Program::load().unwrap();
    program.commit(&world());
    for n in 0..3000u32 {
        let n = n.wrapping_mul(0x9e37_79b9);
        let [a, b, c, d] = n.to_be_bytes();
        let port = (n as u16).max(1);
        let packet = tcp(&format!("{}.{b}.{c}.{d}:{port}", a.clamp(1, 223)), VIP).ack(n).seq(!n);
        let seen = program.run(&packet.bytes());
        assert_eq!(seen.1, at(&packet, &server(1)).bytes(), "{packet:?}");
        let packet = tcp(&format!("[2001:db8:{a:x}{b:x}::{c:x}{d:x}]:{port}"), VIP6).ack(n);
        let seen = program.run(&packet.bytes());
        assert_eq!(seen.1, at(&packet, &server6(2)).bytes(), "{packet:?}");
    }
}

#[test]
fn replies_come_from_the_vip() {
    routed(|| {
        let mut program = Program::load().unwrap();
        let world = world();
        let v4 = || tcp(SERVER, CLIENT).ttl(60);
        let v6 = || tcp(SERVER6, CLIENT6).ttl(60);
        let rows: Vec<(&str, &str, Packet)> = vec![
            ("SYN and ACK", VIP, v4().syn().ack(8).seq(5)),
            ("data", VIP, v4().ack(9).payload(b"HTTP/1.1 200 OK\r\n\r\n")),
            ("RST", VIP, v4().rst()),
            // A server's SYN from the port that it serves has no meaning of its own.
            ("SYN", VIP, v4().syn()),
            ("IP options", VIP, v4().ack(9).ip_options(&[1; 4])),
            ("SYN and ACK over IPv6", VIP6, v6().syn().ack(8)),
            ("data over IPv6", VIP6, v6().ack(9).payload(b"odd")),
        ];
        let rows = rows.iter().map(|(name, vip, packet)| {
            case(*name, &world, packet).redirects(ForwardReply, &from_vip(packet, vip).ttl(59))
        });
        play(&mut program, rows);
        let counters = program.backend_counters(1);
        assert_eq!((counters.packets, counters.reply_packets), (0, 5));
        assert_eq!(program.backend_counters(2).reply_packets, 2);
    });
}

#[test]
fn replies_that_cannot_go_on() {
    routed(|| {
        let mut program = Program::load().unwrap();
        let world = world();
        // The kernel must ask for the router's Ethernet address first: it gets
        // the reply, readdressed, and forwards it itself.
        let unresolved = tcp(SERVER, "198.51.101.7:40000").ack(1).ttl(60);
        let readdressed = unresolved.clone().from(VIP.parse().unwrap());
        play(
            &mut program,
            [
                case("a next hop to be resolved", &world, &unresolved)
                    .passes_as(ReplyToKernel, &readdressed),
                case("a route into nothing", &world, &tcp(SERVER, "198.51.102.7:40000").ack(1))
                    .drops(NoRoute),
                case("from another port", &world, &tcp("10.0.0.1:22", CLIENT).ack(1))
                    .passes(NotOurs),
                // What a probe from the edge gets back.
                case("to the edge itself", &world, &tcp(SERVER, "192.0.2.1:40000").ack(1))
                    .passes(NotOurs),
                case(
                    "to the edge itself, v6",
                    &world,
                    &tcp(SERVER6, "[2001:db8:f::1]:4000").ack(1),
                )
                .passes(NotOurs),
            ],
        );
        forwarding(false).unwrap();
        play(
            &mut program,
            [case("a kernel that does not forward", &world, &tcp(SERVER, CLIENT).ack(1))
                .drops(NoRoute)],
        );
    });
}

/// With ways back of its own: by a gateway, on a link, and some that end here.
fn with_routes() -> World {
    world()
        .route("198.51.100.0/24", Hop::gateway())
        .route("198.51.100.128/25", Hop::gateway().behind(7))
        .route("198.51.100.200/29", Hop::on_link().behind(7))
        .route("198.51.100.207/32", Hop::local())
        .route("198.51.101.0/24", Hop::none())
        .route("2001:db8:c::/64", Hop::gateway().behind(7))
        .route("2001:db8:c::8/125", Hop::on_link())
        .neighbor("198.51.100.201", 7, NEIGHBOR)
        .neighbor("198.51.100.202", 1, NEIGHBOR)
        .neighbor("2001:db8:c::9", 1, NEIGHBOR)
}

const NEIGHBOR: [u8; 6] = [0x02, 0, 0, 0, 7, 7];

#[test]
fn replies_take_the_edges_own_ways() {
    let world = with_routes();
    let v4 = |client: &str| tcp(SERVER, &format!("{client}:40000")).ack(9).payload(b"data");
    let v6 = |client: &str| tcp(SERVER6, &format!("[{client}]:40000")).ack(9).payload(b"data");
    let out = |packet: &Packet, mac| {
        let vip = if packet.is_v4() { VIP } else { VIP6 };
        packet.clone().from(vip.parse().unwrap()).ttl(59).via(mac, UPLINK_MAC)
    };
    let by = |name: &str, packet: Packet, mac| {
        case(name, &world, &packet).transmits(ForwardReply, &out(&packet, mac))
    };
    let redirected = |name: &str, packet: Packet, mac| {
        case(name, &world, &packet).redirects(ForwardReply, &out(&packet, mac))
    };
    check([
        by("a gateway", v4("198.51.100.7"), GATEWAY_MAC),
        by("the first of a range", v4("198.51.100.0"), GATEWAY_MAC),
        by("the last before another", v4("198.51.100.127"), GATEWAY_MAC),
        redirected("behind another interface", v4("198.51.100.128"), GATEWAY_MAC),
        redirected("on the link", v4("198.51.100.201"), NEIGHBOR),
        redirected("after the link", v4("198.51.100.208"), GATEWAY_MAC),
        redirected("a gateway over IPv6", v6("2001:db8:c::7"), GATEWAY_MAC),
        by("on the link over IPv6", v6("2001:db8:c::9"), NEIGHBOR),
        redirected("after the link over IPv6", v6("2001:db8:c::10"), GATEWAY_MAC),
        case("nowhere", &world, &v4("198.51.101.7")).drops(NoRoute),
        case("before all routes", &world, &v4("1.1.1.1")).drops(NoRoute),
        case("after all routes", &world, &v6("ffff::1")).drops(NoRoute),
        // What a probe from the edge gets back.
        case("to the edge itself", &world, &v4("198.51.100.207")).passes(NotOurs),
        case("to the edge itself, at its end", &world, &v4("198.51.100.207").ttl(1))
            .passes(NotOurs),
        case("to a client, at its end", &world, &v4("198.51.100.7").ttl(1))
            .transmits(TtlExpired, &icmp_answer(&v4("198.51.100.7").ttl(1), 11, 0, 0)),
    ]);
}

#[test]
fn without_a_way_of_its_own_the_edge_asks_the_kernel() {
    routed(|| {
        let mut program = Program::load().unwrap();
        let unknown_gateway = world().route("198.51.100.0/24", Hop::kernel());
        let unknown_neighbor =
            world().route("0.0.0.0/0", Hop::on_link()).neighbor("198.51.100.7", 9, NEIGHBOR);
        let reply = tcp(SERVER, CLIENT).ack(9).ttl(60);
        let out = from_vip(&reply, VIP).ttl(59);
        let unresolved = tcp(SERVER, "198.51.101.7:40000").ack(1);
        let readdressed = unresolved.clone().from(VIP.parse().unwrap());
        play(
            &mut program,
            [
                case("a route that only it can follow", &unknown_gateway, &reply)
                    .redirects(ForwardReply, &out),
                case("a client whose Ethernet address it knows", &unknown_neighbor, &reply)
                    .redirects(ForwardReply, &out),
                case("one that it has to ask for", &unknown_neighbor, &unresolved)
                    .passes_as(ReplyToKernel, &readdressed),
            ],
        );
    });
}

#[test]
fn replies_too_long_for_the_way_are_answered() {
    routed(|| {
        let mut program = Program::load().unwrap();
        let world = world()
            .route("198.51.100.0/24", Hop::gateway().mtu(1280))
            .route("198.51.101.0/24", Hop::kernel())
            .route("198.18.0.0/15", Hop::kernel())
            .route("2001:db8:c::/64", Hop::gateway().mtu(1300));
        let v4 = |client: &str, len: usize| tcp(SERVER, client).ack(1).payload(&vec![7; len - 40]);
        let v6 = |len: usize| tcp(SERVER6, CLIENT6).ack(1).payload(&vec![7; len - 60]);
        let answered = |name: &str, packet: Packet, kind, code, mtu| {
            case(name, &world, &packet).transmits(TooBig, &icmp_answer(&packet, kind, code, mtu))
        };
        let fits = v4(CLIENT, 1280);
        let fits6 = v6(1300);
        let from = |packet: &Packet, vip: &str| from_vip(packet, vip).ttl(59);
        let about = tcp(CLIENT, SERVER).payload(&[7; 1400]).ack(1);
        let long_error = icmp("10.9.9.9:0", CLIENT, 3, 1, 0).payload(&about.ip_bytes());
        play(
            &mut program,
            [
                case("one that fits", &world, &fits).transmits(ForwardReply, &from(&fits, VIP)),
                answered("one byte more", v4(CLIENT, 1281), 3, 4, 1280),
                case("one that fits over IPv6", &world, &fits6)
                    .transmits(ForwardReply, &from(&fits6, VIP6)),
                answered("one byte more over IPv6", v6(1301), 2, 0, 1300),
                answered("for the kernel's way", v4("198.18.0.1:4000", 1501), 3, 4, 1500),
                // What the kernel has to resolve first, it measures first.
                answered("for an unresolved one", v4("198.51.101.7:4000", 1501), 3, 4, 1500),
                case("an ICMP error is not answered", &world, &long_error).drops(Unanswerable),
            ],
        );
    });
}
