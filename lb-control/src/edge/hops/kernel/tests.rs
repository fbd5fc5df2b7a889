use netlink_packet_route::{
    link::{LinkAttribute, LinkFlags},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage},
};

use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const OWN: [u8; 6] = [2, 0, 0, 0, 0, 9];
const GATEWAY: [u8; 4] = [192, 0, 2, 1];

fn link(flags: LinkFlags, mac: Option<[u8; 6]>) -> LinkMessage {
    let mut link = LinkMessage::default();
    (link.header.index, link.header.flags) = (3, flags);
    link.attributes = vec![LinkAttribute::IfName("eth1".into()), LinkAttribute::Mtu(1500)];
    link.attributes.extend(mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
    link
}

fn neighbor(state: NeighbourState, mac: Option<[u8; 6]>) -> NeighbourMessage {
    let mut entry = NeighbourMessage::default();
    (entry.header.family, entry.header.ifindex) = (AddressFamily::Inet, 3);
    entry.header.state = state;
    entry.attributes =
        vec![NeighbourAttribute::Destination(NeighbourAddress::Inet(GATEWAY.into()))];
    entry.attributes.extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.to_vec())));
    entry
}

fn note(kernel: &mut Kernel, message: RouteNetlinkMessage) -> Change {
    kernel.note(&NetlinkPayload::InnerMessage(message))
}

/// With a link and, in this state, a gateway on it.
fn kernel(state: NeighbourState, mac: Option<[u8; 6]>) -> Kernel {
    let mut kernel = Kernel::default();
    let up = link(LinkFlags::Up | LinkFlags::LowerUp, Some(OWN));
    assert_eq!(note(&mut kernel, RouteNetlinkMessage::NewLink(up)), Change::Link);
    let entry = RouteNetlinkMessage::NewNeighbour(neighbor(state, mac));
    assert_eq!(note(&mut kernel, entry), Change::Neighbor((3, GATEWAY.into())));
    kernel
}

fn over_gateway(mtu: Option<u32>) -> Path {
    Path { ifindex: 3, gateway: Some(GATEWAY.into()), mtu }
}

fn answer(kernel: &Kernel) -> Answer {
    kernel.follow(&over_gateway(None), [198, 51, 100, 7].into())
}

fn hop(dst_mac: [u8; 6], mtu: u16) -> Answer {
    Answer::Known(NextHop { dst_mac, src_mac: OWN, ifindex: 3, mtu })
}

#[track_caller]
fn no_way(answer: Answer, why: &str) {
    let Answer::None(text) = answer else { panic!("there is a way: {answer:?}") };
    assert!(text.contains(why), "{text}");
}

#[test]
fn the_shortest_mtu_counts() {
    let kernel = kernel(NeighbourState::Reachable, Some(MAC));
    for (route, mtu) in [(None, 1500), (Some(1400), 1400), (Some(9000), 1500)] {
        let answer = kernel.follow(&over_gateway(route), [198, 51, 100, 7].into());
        assert_eq!(answer, hop(MAC, mtu));
    }
}

#[test]
fn entries_are_used_while_they_may_be_right() {
    use NeighbourState::{Delay, Failed, Incomplete, Permanent, Probe, Reachable, Stale};
    for state in [Reachable, Stale, Delay, Probe, Permanent] {
        assert_eq!(answer(&kernel(state, Some(MAC))), hop(MAC, 1500), "{state:?}");
    }
    assert_eq!(answer(&kernel(Incomplete, None)), Answer::Asked);
    no_way(answer(&kernel(Failed, None)), "192.0.2.1 does not answer");
    no_way(answer(&kernel(Failed, Some(MAC))), "192.0.2.1 does not answer");
}

#[test]
fn a_host_on_the_link_is_its_own_gateway() {
    let kernel = kernel(NeighbourState::Reachable, Some(MAC));
    let direct = Path { gateway: None, ..over_gateway(None) };
    assert_eq!(kernel.follow(&direct, GATEWAY.into()), hop(MAC, 1500));
    assert_eq!(kernel.follow(&direct, [192, 0, 2, 9].into()), Answer::Asked);
}

#[test]
fn events_count_at_once() {
    let mut kernel = kernel(NeighbourState::Reachable, Some(MAC));
    let host = (3, IpAddr::from(GATEWAY));
    let new = |state, mac| RouteNetlinkMessage::NewNeighbour(neighbor(state, mac));
    let moved = note(&mut kernel, new(NeighbourState::Reachable, Some(OTHER)));
    assert_eq!(moved, Change::Neighbor(host));
    assert_eq!(answer(&kernel), hop(OTHER, 1500));
    let again = note(&mut kernel, new(NeighbourState::Reachable, Some(OTHER)));
    assert_eq!(again, Change::Nothing);
    let gone = RouteNetlinkMessage::DelNeighbour(neighbor(NeighbourState::Stale, Some(OTHER)));
    assert_eq!(note(&mut kernel, gone.clone()), Change::Neighbor(host));
    assert_eq!(answer(&kernel), Answer::Asked);
    assert_eq!(note(&mut kernel, gone), Change::Nothing);
}

#[test]
fn a_link_that_is_down_is_no_way() {
    // Taken down, or without a cable.
    for flags in [LinkFlags::empty(), LinkFlags::Up] {
        let mut kernel = kernel(NeighbourState::Reachable, Some(MAC));
        let down = RouteNetlinkMessage::NewLink(link(flags, Some(OWN)));
        assert_eq!(note(&mut kernel, down), Change::Link);
        no_way(answer(&kernel), "interface eth1 is down");
    }
    let mut kernel = kernel(NeighbourState::Reachable, Some(MAC));
    // A bridge's word on its port is not the link's own.
    let mut port = link(LinkFlags::Up | LinkFlags::LowerUp, Some(OWN));
    port.header.interface_family = AddressFamily::Bridge;
    assert_eq!(note(&mut kernel, RouteNetlinkMessage::NewLink(port.clone())), Change::Nothing);
    assert_eq!(note(&mut kernel, RouteNetlinkMessage::DelLink(port)), Change::Nothing);
    assert_eq!(answer(&kernel), hop(MAC, 1500));
    let gone = RouteNetlinkMessage::DelLink(link(LinkFlags::empty(), Some(OWN)));
    assert_eq!(note(&mut kernel, gone), Change::Link);
    no_way(answer(&kernel), "no interface 3");
}

#[test]
fn an_interface_without_ethernet_is_no_way() {
    let mut kernel = kernel(NeighbourState::Noarp, Some(MAC));
    let tunnel = link(LinkFlags::Up | LinkFlags::LowerUp, None);
    note(&mut kernel, RouteNetlinkMessage::NewLink(tunnel));
    no_way(answer(&kernel), "eth1 has no Ethernet address");
}

#[test]
fn lost_messages_are_noticed() {
    let lost = NetlinkPayload::Overrun(Vec::new());
    assert_eq!(Kernel::default().note(&lost), Change::Everything);
}

#[test]
fn replies_read_what_follows() {
    let kernel = kernel(NeighbourState::Reachable, Some(MAC));
    let paths = |paths: &[Path]| Target::Paths(paths.to_vec());
    let gateway = kernel.row(&paths(&[over_gateway(Some(1400))]));
    let expected = abi::NextHop {
        ifindex: 3,
        mtu: 1400,
        kind: next_hop::GATEWAY,
        dst_mac: MAC,
        src_mac: OWN,
        ..Default::default()
    };
    assert_eq!(gateway, expected);
    let direct = Path { gateway: None, ..over_gateway(None) };
    let on_link = kernel.row(&paths(&[direct]));
    let expected = abi::NextHop { mtu: 1500, kind: next_hop::ON_LINK, dst_mac: [0; 6], ..expected };
    assert_eq!(on_link, expected);
    let unknown = Path { gateway: Some([192, 0, 2, 9].into()), ..direct };
    let elsewhere = Path { ifindex: 4, ..direct };
    for (target, kind) in [
        (Target::Local, next_hop::LOCAL),
        (Target::Nowhere("blackhole"), next_hop::NONE),
        (Target::Kernel, next_hop::KERNEL),
        (paths(&[unknown]), next_hop::KERNEL),
        (paths(&[elsewhere]), next_hop::KERNEL),
        (paths(&[direct, over_gateway(None)]), next_hop::KERNEL),
    ] {
        let expected = abi::NextHop { kind, ..Default::default() };
        assert_eq!(kernel.row(&target), expected, "{target:?}");
    }
}
