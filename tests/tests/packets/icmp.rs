//! ICMP: errors find the owner of the flow that they quote, and echo requests
//! are answered where that is asked for.

use lab::packet::{
    GATEWAY_MAC, Packet, Program, Service, UPLINK_MAC, World, case, check, icmp, ping, play,
    routed, server, server6, tcp, udp,
};
use lb_common::abi::Reason::{
    Echo, ForwardIcmp, ForwardIcmpReply, ForwardNew, MalformedIcmp, NotOurs, OtherProtocol,
};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

const ROUTER: &str = "192.0.2.9:0";
const ROUTER6: &str = "[2001:db8:ff::9]:0";

fn of(make: fn(&str) -> Service) -> World {
    World::new()
        .service(make(VIP).tcp_and_udp().slot(&server(1), &server(1)))
        .service(make(VIP6).tcp_and_udp().slot(&server6(2), &server6(2)))
}

/// Errors about packets from the VIP to a client, and those packets' flows as
/// the client names them.
fn errors() -> Vec<(&'static str, Packet, Packet)> {
    let (sent, sent6) = (tcp(VIP, CLIENT).ack(1), tcp(VIP6, CLIENT6).ack(1));
    let (flow, flow6) = (tcp(CLIENT, VIP), tcp(CLIENT6, VIP6));
    let whole = |packet: &Packet| icmp(ROUTER, VIP, 3, 4, 1400).payload(&packet.ip_bytes());
    vec![
        ("host unreachable", sent.error_by(ROUTER, 3, 1), flow.clone()),
        ("fragmentation needed", whole(&sent.clone().payload(&[7; 99])), flow.clone()),
        ("time exceeded", sent.error_by(ROUTER, 11, 0), flow.clone()),
        ("parameter problem", sent.error_by(ROUTER, 12, 0), flow.clone()),
        ("by the client itself", sent.error_by(CLIENT, 3, 3), flow.clone()),
        (
            "a quote with options",
            sent.clone().ip_options(&[1; 40]).error_by(ROUTER, 3, 1),
            flow.clone(),
        ),
        ("behind a VLAN tag", sent.error_by(ROUTER, 3, 1).vlan(5), flow.clone()),
        ("a first fragment", sent.clone().fragment(0, true).error_by(ROUTER, 11, 1), flow),
        ("about UDP", udp(VIP, CLIENT).payload(b"x").error_by(ROUTER, 3, 3), udp(CLIENT, VIP)),
        ("IPv6 unreachable", sent6.error_by(ROUTER6, 1, 0), flow6.clone()),
        ("packet too big", sent6.error_by(ROUTER6, 2, 0), flow6.clone()),
        ("hop limit exceeded", sent6.error_by(ROUTER6, 3, 0), flow6.clone()),
        ("IPv6 parameter problem", sent6.error_by(ROUTER6, 4, 0), flow6),
        ("about UDP over IPv6", udp(VIP6, CLIENT6).error_by(ROUTER6, 1, 4), udp(CLIENT6, VIP6)),
    ]
}

fn owner(packet: &Packet) -> lab::packet::Server {
    if packet.is_v4() { server(1) } else { server6(2) }
}

#[test]
fn errors_go_to_the_owner_of_the_flow() {
    let (l2, ipip, gue) = (of(Service::l2), of(Service::ipip), of(Service::gue));
    for (name, error, flow) in errors() {
        let to = owner(&error);
        let row = |mode: &str, world| case(format!("{name}, {mode}"), world, &error);
        check([
            row("l2", &l2).transmits(ForwardIcmp, &error.clone().sent_to(&to)),
            row("ipip", &ipip).transmits(ForwardIcmp, &error.ipip_as(&ipip, &to, &flow)),
            row("gue", &gue).transmits(ForwardIcmp, &error.gue_as(&gue, &to, &flow)),
        ]);
    }
}

#[test]
fn nat_readdresses_what_is_quoted() {
    let world = of(Service::nat);
    let rows = errors().into_iter().map(|(name, error, _)| {
        let to = owner(&error).address();
        let vip = if error.is_v4() { VIP } else { VIP6 }.parse().unwrap();
        let out = error.clone().requoted(vip, to).to(to);
        case(name, &world, &error).transmits(ForwardIcmp, &out.sent_to(&owner(&error)))
    });
    check(rows);
}

#[test]
fn errors_from_behind_a_nat_server_go_to_the_client() {
    routed(|| {
        let world = of(Service::nat);
        let mut program = Program::load().unwrap();
        let rows = [
            ("the server's port is closed", udp(CLIENT, "10.0.0.1:8080"), "10.0.0.1:0", 3, 3),
            ("a router's word", tcp(CLIENT, "10.0.0.1:8080").ack(1), "10.9.9.9:0", 3, 1),
            ("closed over IPv6", udp(CLIENT6, "[fd00::2]:8080"), "[fd00::2]:0", 1, 4),
            ("a router's word over IPv6", tcp(CLIENT6, "[fd00::2]:8080"), "[fd00::9]:0", 1, 0),
        ];
        let rows = rows.map(|(name, about, by, kind, code)| {
            let error = about.error_by(by, kind, code);
            let (vip, real) = if error.is_v4() { (VIP, server(1)) } else { (VIP6, server6(2)) };
            let vip: std::net::SocketAddr = vip.parse().unwrap();
            let mut out = error.clone().requoted(real.address(), vip);
            if by.starts_with(&real.address().ip().to_string()) || by.contains("fd00::2]") {
                out = out.from(std::net::SocketAddr::new(vip.ip(), 0));
            }
            let out = out.ttl(59).via(GATEWAY_MAC, UPLINK_MAC);
            case(name, &world, &error).redirects(ForwardIcmpReply, &out)
        });
        play(&mut program, rows);
    });
}

#[test]
fn errors_that_are_not_ours_pass() {
    let world = of(Service::l2);
    let elsewhere = tcp("203.0.113.99:80", CLIENT).ack(1);
    let rows = [
        ("about another host's flow", elsewhere.error_by(ROUTER, 3, 1)),
        (
            "to another host",
            tcp(VIP, CLIENT).error_by(ROUTER, 3, 1).to("192.0.2.1:0".parse().unwrap()),
        ),
        ("about a port that nothing serves", tcp("203.0.113.10:22", CLIENT).error_by(ROUTER, 3, 1)),
    ];
    check(rows.iter().map(|(name, packet)| case(*name, &world, packet).passes(NotOurs)));
    let rows = [
        ("about a ping", ping("203.0.113.10:0", CLIENT).error_by(ROUTER, 11, 0)),
        ("about a later fragment", tcp(VIP, CLIENT).fragment(64, false).error_by(ROUTER, 11, 1)),
        ("a redirect", tcp(VIP, CLIENT).error_by(ROUTER, 5, 1)),
    ];
    check(rows.iter().map(|(name, packet)| case(*name, &world, packet).passes(OtherProtocol)));
}

#[test]
fn crooked_messages() {
    let world = of(Service::l2);
    let sent = tcp(VIP, CLIENT).ack(1);
    let short = |bytes: usize| icmp(ROUTER, VIP, 3, 1, 0).payload(&sent.ip_bytes()[..bytes]);
    let rows = (0..28).map(|bytes| case(format!("quotes {bytes} bytes"), &world, &short(bytes)));
    check(rows.map(|row| row.drops(MalformedIcmp)));
    let sent6 = tcp(VIP6, CLIENT6).ack(1);
    let short = |bytes: usize| icmp(ROUTER6, VIP6, 1, 0, 0).payload(&sent6.ip_bytes()[..bytes]);
    let rows = (0..48).map(|bytes| case(format!("quotes {bytes} bytes"), &world, &short(bytes)));
    check(rows.map(|row| row.drops(MalformedIcmp)));
    let cut = icmp(ROUTER, "192.0.2.1:0", 3, 1, 0);
    check([
        case("to another host", &world, &cut).passes(NotOurs),
        case("a quoted header of 16 bytes", &world, &short_header(&sent)).drops(MalformedIcmp),
    ]);
}

fn short_header(sent: &Packet) -> Packet {
    let mut quoted = sent.ip_bytes();
    quoted[0] = 0x44;
    icmp(ROUTER, VIP, 3, 1, 0).payload(&quoted)
}

#[test]
fn echo_requests_are_answered_where_asked_for() {
    let world = World::new()
        .service(Service::l2(VIP).slot(&server(1), &server(1)).echoes())
        .service(Service::l2("203.0.113.10:443").slot(&server(1), &server(1)))
        .service(Service::l2(VIP6).slot(&server6(2), &server6(2)).echoes())
        .service(Service::l2("198.18.7.0:0").prefix(24).echoes())
        .service(Service::l2("203.0.113.11:80").slot(&server(1), &server(1)));
    let answer = |packet: &Packet, kind| packet.clone().echoed(kind);
    let rows = [
        ("IPv4", ping(CLIENT, VIP), 0),
        ("with data", ping(CLIENT, VIP).payload(b"abcdefg"), 0),
        ("with options", ping(CLIENT, VIP).ip_options(&[1; 8]), 0),
        ("TTL 1", ping(CLIENT, VIP).ttl(1), 0),
        ("behind a VLAN tag", ping(CLIENT, VIP).vlan(5), 0),
        ("in a prefix", ping(CLIENT, "198.18.7.77:0"), 0),
        ("IPv6", ping(CLIENT6, VIP6), 129),
        ("IPv6 with data", ping(CLIENT6, VIP6).payload(b"abcdefgh"), 129),
        ("IPv6 with an extension header", ping(CLIENT6, VIP6).extension(0, &[0; 8]), 129),
    ];
    check(rows.iter().map(|(name, packet, kind)| {
        case(*name, &world, packet).transmits(Echo, &answer(packet, *kind))
    }));
    let other = [ping(CLIENT, "203.0.113.11:0"), ping(CLIENT, "203.0.113.12:0")];
    check(other.iter().map(|packet| case("not asked for", &world, packet).passes(OtherProtocol)));
}

#[test]
fn an_error_follows_a_remembered_flow_and_leaves_it_as_it_is() {
    let mut program = Program::load().unwrap();
    let world = World::new().service(Service::l2(VIP).slot(&server(2), &server(1)));
    let syn = tcp(CLIENT, VIP).syn();
    let error = tcp(VIP, CLIENT).ack(1).error_by(ROUTER, 3, 4);
    let old = tcp(VIP, "198.51.100.8:1").ack(1).error_by(ROUTER, 3, 4);
    play(
        &mut program,
        [
            case("a connection begins", &world, &syn)
                .transmits(ForwardNew, &syn.clone().sent_to(&server(2))),
            case("its error", &world, &error)
                .transmits(ForwardIcmp, &error.clone().sent_to(&server(2))),
            case("an older one's", &world, &old)
                .transmits(ForwardIcmp, &old.clone().sent_to(&server(1))),
        ],
    );
    let remembered = program.remembered(CLIENT, VIP).expect("remembered");
    assert!(!remembered.promoted, "the handshake is not over");
    assert_eq!(program.backend_counters(1).untracked, 0);
}
