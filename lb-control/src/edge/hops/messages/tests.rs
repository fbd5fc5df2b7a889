use netlink_packet_route::{
    neighbour::NeighbourState,
    route::{RouteLwEnCapType, RouteNextHop, RouteProtocol},
    rule::RuleFlags,
};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address(text: &str) -> RouteAddress {
    match ip(text) {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}

/// A unicast route of table main over an interface.
fn plain(prefix: &str) -> RouteMessage {
    let (to, len) = prefix.split_once('/').unwrap();
    let mut message = RouteMessage::default();
    let v4 = ip(to).is_ipv4();
    message.header.address_family = if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.destination_prefix_length = len.parse().unwrap();
    message.header.table = 254;
    message.header.kind = RouteType::Unicast;
    // The kernel leaves out what a default route is to.
    if len != "0" {
        message.attributes.push(RouteAttribute::Destination(address(to)));
    }
    message.attributes.push(RouteAttribute::Oif(4));
    message
}

fn with(mut message: RouteMessage, attributes: &[RouteAttribute]) -> RouteMessage {
    message.attributes.extend_from_slice(attributes);
    message
}

fn target_of(message: &RouteMessage) -> Option<Target> {
    route(message).map(|route| route.target)
}

fn path(ifindex: u32, gateway: Option<&str>) -> Path {
    Path { ifindex, gateway: gateway.map(ip), mtu: None }
}

#[test]
fn routes_are_read_whole() {
    let message = with(
        plain("2001:db8::/32"),
        &[
            RouteAttribute::Gateway(address("fe80::1")),
            RouteAttribute::Priority(1024),
            RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]),
        ],
    );
    let expected = Route {
        table: Table::Main,
        to: ip("2001:db8::"),
        len: 32,
        metric: 1024,
        target: Target::Paths(vec![Path { mtu: Some(1400), ..path(4, Some("fe80::1")) }]),
    };
    assert_eq!(route(&message), Some(expected));
    let default = route(&plain("0.0.0.0/0")).unwrap();
    assert_eq!((default.to, default.len, default.metric), (ip("0.0.0.0"), 0, 0));
    let via = RouteAttribute::Via(RouteVia::Inet6("fe80::2".parse().unwrap()));
    let over_v6 = target_of(&with(plain("192.0.2.0/24"), &[via]));
    assert_eq!(over_v6, Some(Target::Paths(vec![path(4, Some("fe80::2"))])));
}

#[test]
fn tables_beyond_the_three_do_not_count() {
    for (table, expected) in
        [(255, Some(Table::Local)), (253, Some(Table::Default)), (100, None), (0, None)]
    {
        let mut message = plain("192.0.2.0/24");
        message.header.table = table;
        assert_eq!(route(&message).map(|route| route.table), expected);
    }
    // Numbers that do not fit the header are beside it.
    let mut message = with(plain("192.0.2.0/24"), &[RouteAttribute::Table(1000)]);
    message.header.table = 252;
    assert_eq!(route(&message), None);
}

#[test]
fn every_kind_of_route_has_its_target() {
    let local = Some(Target::Local);
    for (kind, expected) in [
        (RouteType::Local, local.clone()),
        (RouteType::Broadcast, local.clone()),
        (RouteType::Multicast, local.clone()),
        (RouteType::Anycast, local),
        (RouteType::Throw, Some(Target::NextTable)),
        (RouteType::Nat, Some(Target::Kernel)),
    ] {
        let mut message = plain("192.0.2.0/24");
        message.header.kind = kind;
        assert_eq!(target_of(&message), expected, "{kind:?}");
    }
    for kind in [RouteType::BlackHole, RouteType::Unreachable, RouteType::Prohibit] {
        let mut message = plain("192.0.2.0/24");
        message.header.kind = kind;
        assert!(matches!(target_of(&message), Some(Target::Nowhere(_))), "{kind:?}");
    }
}

#[test]
fn what_tables_cannot_say_is_the_kernels() {
    let kernel = Some(Target::Kernel);
    let mut of_some = plain("2001:db8::/32");
    of_some.header.source_prefix_length = 64;
    assert_eq!(target_of(&of_some), kernel);
    let mut of_service = plain("192.0.2.0/24");
    of_service.header.tos = 0x10;
    assert_eq!(target_of(&of_service), kernel);
    let encap = RouteAttribute::EncapType(RouteLwEnCapType::Mpls);
    assert_eq!(target_of(&with(plain("192.0.2.0/24"), &[encap])), kernel);
    let mut object = plain("192.0.2.0/24");
    object.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::Oif(_)));
    object.attributes.push(RouteAttribute::NhId(7));
    assert_eq!(target_of(&object), kernel);
}

fn hop(ifindex: u32, gateway: &str, flags: RouteNextHopFlags) -> RouteNextHop {
    let attributes = vec![RouteAttribute::Gateway(address(gateway))];
    let mut hop = RouteNextHop::default();
    (hop.flags, hop.interface_index, hop.attributes) = (flags, ifindex, attributes);
    hop
}

#[test]
fn only_living_ways_count() {
    let none = RouteNextHopFlags::empty();
    let dead = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
    let multi = |hops| {
        let mut message = plain("192.0.2.0/24");
        message.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::Oif(_)));
        message.attributes.push(RouteAttribute::MultiPath(hops));
        target_of(&message)
    };
    let (one, two) = (hop(4, "10.0.0.1", none), hop(5, "10.0.0.2", none));
    let both = vec![path(4, Some("10.0.0.1")), path(5, Some("10.0.0.2"))];
    assert_eq!(multi(vec![one.clone(), two]), Some(Target::Paths(both.clone())));
    let lost = hop(5, "10.0.0.2", dead);
    assert_eq!(multi(vec![one, lost.clone()]), Some(Target::Paths(both[..1].to_vec())));
    assert_eq!(multi(vec![lost]), None);
    let mut message = plain("192.0.2.0/24");
    message.header.flags = RouteFlags::Dead;
    assert_eq!(route(&message), None);
    message.header.flags = RouteFlags::Cloned;
    assert_eq!(route(&message), None, "an exception is no route");
}

#[test]
fn answers_name_a_way_or_say_why_not() {
    let gateway = RouteAttribute::Gateway(address("10.0.0.1"));
    let known = with(plain("192.0.2.1/32"), &[gateway]);
    assert_eq!(answered(&known), Ok(Some(path(4, Some("10.0.0.1")))));
    let mut local = plain("192.0.2.1/32");
    local.header.kind = RouteType::Local;
    assert_eq!(answered(&local), Ok(None));
    let mut blackhole = plain("192.0.2.1/32");
    blackhole.header.kind = RouteType::BlackHole;
    assert!(answered(&blackhole).unwrap_err().contains("blackhole"));
}

fn rule(priority: u32, table: u8) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = AddressFamily::Inet;
    rule.header.table = table;
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![
        RuleAttribute::Table(table.into()),
        RuleAttribute::SuppressPrefixLen(u32::MAX),
        RuleAttribute::Protocol(RouteProtocol::Kernel),
    ];
    // The kernel leaves out a priority of 0.
    if priority != 0 {
        rule.attributes.push(RuleAttribute::Priority(priority));
    }
    rule
}

#[test]
fn the_three_rules_of_every_host_are_plain() {
    for (priority, table) in [(0, 255), (32766, 254), (32767, 253)] {
        assert!(is_plain(&rule(priority, table)));
    }
    assert!(!is_plain(&rule(100, 254)), "another order");
    assert!(!is_plain(&rule(32766, 100)), "another table");
    let mut of_some = rule(32766, 254);
    of_some.header.src_len = 24;
    assert!(!is_plain(&of_some));
    let mut inverted = rule(32766, 254);
    inverted.header.flags = RuleFlags::Invert;
    assert!(!is_plain(&inverted));
    for attribute in [
        RuleAttribute::FwMark(1),
        RuleAttribute::Iifname("eth0".into()),
        RuleAttribute::SuppressPrefixLen(0),
        RuleAttribute::L3MDev(true),
    ] {
        let mut rule = rule(32766, 254);
        rule.attributes.push(attribute.clone());
        assert!(!is_plain(&rule), "{attribute:?}");
    }
}

fn entry(family: AddressFamily, to: NeighbourAddress) -> NeighbourMessage {
    let mut entry = NeighbourMessage::default();
    (entry.header.family, entry.header.ifindex) = (family, 3);
    entry.header.state = NeighbourState::Reachable;
    entry.attributes = vec![
        NeighbourAttribute::Destination(to),
        NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 1]),
    ];
    entry
}

#[test]
fn neighbours_are_hosts_on_a_link() {
    let v4 = NeighbourAddress::Inet([192, 0, 2, 1].into());
    let known = Neighbor { state: NeighbourState::Reachable, mac: Some([2, 0, 0, 0, 0, 1]) };
    let host = entry(AddressFamily::Inet, v4.clone());
    assert_eq!(neighbor(&host), Some(((3, ip("192.0.2.1")), known)));
    let mut unknown = host.clone();
    unknown.attributes.truncate(1);
    assert_eq!(neighbor(&unknown).unwrap().1.mac, None);
    let mut tunnel = host.clone();
    tunnel.attributes[1] = NeighbourAttribute::LinkLayerAddress(vec![10, 0, 0, 1]);
    assert_eq!(neighbor(&tunnel).unwrap().1.mac, None, "no Ethernet address");
    // A bridge's entries, those answered for others, and groups.
    assert_eq!(neighbor(&entry(AddressFamily::Bridge, v4)), None);
    let mut proxy = host;
    proxy.header.flags = NeighbourFlags::Proxy;
    assert_eq!(neighbor(&proxy), None);
    let group = NeighbourAddress::Inet6("ff02::1".parse().unwrap());
    assert_eq!(neighbor(&entry(AddressFamily::Inet6, group)), None);
}

#[test]
fn fuzzed_route_messages() {
    use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::RouteNetlinkMessage;

    let bytes = |message: RouteNetlinkMessage| {
        let payload = NetlinkPayload::InnerMessage(message);
        let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    };
    let mut hop = RouteNextHop::default();
    hop.interface_index = 5;
    let several = with(plain("192.0.2.0/24"), &[RouteAttribute::MultiPath(vec![hop])]);
    let mut neighbor = NeighbourMessage::default();
    neighbor.header.family = AddressFamily::Inet;
    neighbor.header.ifindex = 4;
    neighbor.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet([192, 0, 2, 1].into())),
        NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 1]),
    ];
    crate::testing::Fuzz::new("route-messages")
        .with(bytes(RouteNetlinkMessage::NewRoute(plain("2001:db8::/32"))))
        .with(bytes(RouteNetlinkMessage::NewRoute(several)))
        .with(bytes(RouteNetlinkMessage::NewNeighbour(neighbor)))
        .with(bytes(RouteNetlinkMessage::NewRule(RuleMessage::default())))
        .with(bytes(RouteNetlinkMessage::NewLink(Default::default())))
        .run(|bytes| {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes);
            let Ok(message) = message else { return };
            let mut kernel = super::super::kernel::Kernel::default();
            kernel.note(&message.payload);
            let NetlinkPayload::InnerMessage(message) = &message.payload else { return };
            match message {
                RouteNetlinkMessage::NewRoute(message) => {
                    drop(route(message));
                    drop(answered(message));
                }
                RouteNetlinkMessage::NewRule(rule) => drop(is_plain(rule)),
                _ => {}
            }
        });
}
