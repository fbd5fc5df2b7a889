//! IPv6 extension headers (RFC 8200 section 4): what is followed, and what
//! becomes of the rest.

use lab::packet::{
    Case, Packet, Refusal, Service, World, answer, case, icmp_answer, other, ping, server6, tcp,
    udp,
};
use lb_common::abi::Reason::{
    Echo, ExtensionHeaders, ForwardEstablished, ForwardIcmp, ForwardNew, Fragment, MalformedIp,
    MalformedTcp, MalformedUdp, NotOurs, OtherProtocol, RefusedReset, TtlExpired,
};

use super::{
    modes::ROUTER6,
    way::{WAYS, Way},
};
use crate::{CLIENT6, VIP6};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const EIGHT: [u8; 8] = [0; 8];
/// Type 4, and how many segments are left.
const THROUGH: [u8; 8] = [0, 0, 4, 0, 0, 0, 0, 0];
const ON_ITS_WAY: [u8; 8] = [0, 0, 4, 1, 0, 0, 0, 0];

pub(super) fn rows() -> Vec<Case> {
    let followed = WAYS.iter().filter(|way| way.v6).flat_map(followed);
    followed.chain(refused()).chain(fragments()).chain(answers()).chain(icmp()).collect()
}

/// Puts headers before what a packet carries.
type Dress = fn(Packet) -> Packet;

/// One that is as long as they may be.
fn long(packet: Packet) -> Packet {
    packet.extension(DESTINATION, &[&[0, 31], &[0; 254][..]].concat())
}

fn times(count: usize, packet: Packet) -> Packet {
    (0..count).fold(packet, |packet, _| packet.extension(DESTINATION, &EIGHT))
}

fn followed(way: &Way) -> Vec<Case> {
    let kinds: [(&str, Dress); 7] = [
        ("hop-by-hop options", |packet| packet.extension(HOP_BY_HOP, &EIGHT)),
        ("destination options", |packet| packet.extension(DESTINATION, &EIGHT)),
        ("a routing header that is through", |packet| packet.extension(ROUTING, &THROUGH)),
        ("an atomic fragment (RFC 6946)", |packet| packet.fragment(0, false)),
        ("four headers", |packet| {
            packet
                .extension(HOP_BY_HOP, &EIGHT)
                .extension(ROUTING, &THROUGH)
                .fragment(0, false)
                .extension(DESTINATION, &EIGHT)
        }),
        ("256 bytes of options", long),
        ("options behind two tags", |packet| {
            packet.extension(DESTINATION, &EIGHT).service_vlan(6).vlan(5)
        }),
    ];
    let world = way.world(&way.server());
    let packets = [
        ("SYN", ForwardNew, way.tcp().syn()),
        ("TCP data", ForwardEstablished, way.tcp().ack(1).payload(b"odd")),
        ("a datagram", ForwardEstablished, way.udp().payload(b"query")),
    ];
    let mut rows = Vec::new();
    for (kind, dress) in kinds {
        for (what, reason, packet) in &packets {
            let packet = dress(packet.clone());
            let name = format!("{what} with {kind}, {}", way.name());
            rows.push(case(name, &world, &packet).transmits(*reason, &way.out(&world, &packet)));
        }
    }
    rows
}

fn world() -> World {
    World::new().service(Service::l2(VIP6).tcp_and_udp().slot(&server6(2), &server6(2)))
}

fn flow() -> Packet {
    tcp(CLIENT6, VIP6).ack(1).payload(b"GET /")
}

fn refused() -> Vec<Case> {
    let world = world();
    let query = || udp(CLIENT6, VIP6).payload(b"query");
    let elsewhere = || tcp(CLIENT6, "[2001:db8::99]:80").ack(1);
    let row = |name: &str, packet: Packet| case(name, &world, &packet);
    // Lengths in units that differ by header: RFC 4302 section 2.2.
    let authentication = [0, 2, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 9, 9, 9, 9];
    // 256 bytes of options in 8.
    let beyond = [0, 31, 0, 0, 0, 0, 0, 0];
    vec![
        row("five headers", times(5, flow())).drops(ExtensionHeaders),
        row("five headers before UDP", times(5, query())).drops(ExtensionHeaders),
        row("more than 256 bytes", long(flow()).extension(DESTINATION, &EIGHT))
            .drops(ExtensionHeaders),
        row(
            "2,048 bytes in one header",
            flow().extension(HOP_BY_HOP, &[&[0, 255], &[0; 1022][..]].concat()),
        )
        .drops(ExtensionHeaders),
        row("five headers, not ours", times(5, elsewhere())).passes(NotOurs),
        row("a routing header with a segment left", flow().extension(ROUTING, &ON_ITS_WAY))
            .passes(OtherProtocol),
        row("a segment left, before UDP", query().extension(ROUTING, &ON_ITS_WAY))
            .passes(OtherProtocol),
        row("an authentication header", flow().extension(AUTHENTICATION, &authentication))
            .passes(OtherProtocol),
        row("an authentication header, UDP", query().extension(AUTHENTICATION, &authentication))
            .passes(OtherProtocol),
        row("an encrypted payload", other(CLIENT6, VIP6, 50).payload(&[9; 40]))
            .passes(OtherProtocol),
        row("a mobility header", other(CLIENT6, VIP6, 135).payload(&EIGHT)).passes(OtherProtocol),
        row("no next header", other(CLIENT6, VIP6, 59)).passes(OtherProtocol),
        row(
            "no next header, behind options",
            other(CLIENT6, VIP6, 59).extension(DESTINATION, &EIGHT),
        )
        .passes(OtherProtocol),
        row("options that run beyond the packet", flow().extension(DESTINATION, &beyond))
            .passes(MalformedIp),
        row("options that are cut", other(CLIENT6, VIP6, DESTINATION).payload(&[6, 0, 1, 4]))
            .passes(MalformedIp),
        row("nothing behind options", other(CLIENT6, VIP6, 6).extension(DESTINATION, &EIGHT))
            .drops(MalformedTcp),
        row("no datagram behind options", other(CLIENT6, VIP6, 17).extension(DESTINATION, &EIGHT))
            .drops(MalformedUdp),
    ]
}

fn fragments() -> Vec<Case> {
    let world = world();
    let kinds: [(&str, Dress); 6] = [
        ("a first fragment", |packet| packet.fragment(0, true)),
        ("a middle fragment", |packet| packet.fragment(64, true)),
        ("a last fragment", |packet| packet.fragment(64, false)),
        ("the last fragment there can be", |packet| packet.fragment(0xfff8, false)),
        ("a first fragment behind options", |packet| {
            packet.extension(DESTINATION, &EIGHT).fragment(0, true)
        }),
        ("a later fragment behind a tag", |packet| packet.fragment(64, false).vlan(5)),
    ];
    let mut rows = Vec::new();
    for (kind, cut) in kinds {
        let (segment, datagram) = (cut(flow()), cut(udp(CLIENT6, VIP6).payload(&EIGHT)));
        let elsewhere = cut(tcp(CLIENT6, "[2001:db8::99]:80").ack(1));
        rows.extend([
            case(format!("{kind} of TCP over IPv6"), &world, &segment).drops(Fragment),
            case(format!("{kind} of UDP over IPv6"), &world, &datagram).drops(Fragment),
            case(format!("{kind} over IPv6, not ours"), &world, &elsewhere).passes(NotOurs),
        ]);
    }
    rows
}

/// Answers to packets with extension headers have none.
fn answers() -> Vec<Case> {
    let closed = World::new().service(
        Service::l2(VIP6).slot(&server6(2), &server6(2)).refuses(Refusal::reset(1.0)).echoes(),
    );
    let open = world();
    let syn = times(2, tcp(CLIENT6, VIP6).syn().seq(7));
    let far = times(1, flow()).ttl(1);
    let echo = times(3, ping(CLIENT6, VIP6).payload(b"abc"));
    vec![
        case("an RST to a SYN with two headers", &closed, &syn)
            .transmits(RefusedReset, &answer(VIP6, CLIENT6).ack(8)),
        case("time exceeded quotes the header", &open, &far)
            .transmits(TtlExpired, &icmp_answer(&far, 3, 0, 0)),
        case("an echo request with three headers", &closed, &echo)
            .transmits(Echo, &echo.clone().echoed(129)),
    ]
}

fn icmp() -> Vec<Case> {
    let world = world();
    let sent = tcp(VIP6, CLIENT6).ack(1);
    let behind = times(1, sent.error_by(ROUTER6, 1, 0));
    // Servers send no extension headers: whose packet it was is not known.
    let about = times(1, sent).error_by(ROUTER6, 1, 0);
    vec![
        case("an ICMPv6 error behind options", &world, &behind)
            .transmits(ForwardIcmp, &behind.clone().sent_to(&server6(2))),
        case("an ICMPv6 error about a packet with options", &world, &about).passes(OtherProtocol),
    ]
}
