use super::*;

const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn hop(dst_mac: [u8; 6]) -> NextHop {
    NextHop { dst_mac, src_mac: OURS, ifindex: 3 }
}

fn tables(gateway: Option<&str>, neighbour: Option<(&str, Neighbour)>) -> Tables {
    let route = Route { ifindex: 3, gateway: gateway.map(ip) };
    Tables {
        routes: [(ip("192.0.2.7"), route)].into(),
        links: [(3, OURS)].into(),
        neighbours: neighbour.map(|(a, n)| ((3, ip(a)), n)).into_iter().collect(),
    }
}

#[test]
fn a_neighbour_on_the_link_is_the_next_hop() {
    let tables = tables(None, Some(("192.0.2.7", Neighbour::Known(THEIRS))));
    let found = tables.resolve(ip("192.0.2.7"), None);
    assert_eq!(found.hop, Some(hop(THEIRS)));
    assert!(!found.doubtful);
}

#[test]
fn behind_a_gateway_the_gateway_is() {
    let tables = tables(Some("192.0.2.1"), Some(("192.0.2.1", Neighbour::Known(THEIRS))));
    let found = tables.resolve(ip("192.0.2.7"), None);
    assert_eq!(found.hop, Some(hop(THEIRS)));
    assert_eq!(found.neighbour, Some((3, ip("192.0.2.1"))));
}

#[test]
fn a_stale_neighbour_is_used_and_verified() {
    let tables = tables(None, Some(("192.0.2.7", Neighbour::Stale(THEIRS))));
    let found = tables.resolve(ip("192.0.2.7"), None);
    assert_eq!(found.hop, Some(hop(THEIRS)));
    assert!(found.doubtful);
}

#[test]
fn while_it_is_asked_the_last_hop_stays() {
    for neighbour in [None, Some(("192.0.2.7", Neighbour::Asked))] {
        let tables = tables(None, neighbour);
        let found = tables.resolve(ip("192.0.2.7"), Some(&hop(THEIRS)));
        assert_eq!(found.hop, Some(hop(THEIRS)));
        assert_eq!(found.doubtful, neighbour.is_none());
        assert_eq!(tables.resolve(ip("192.0.2.7"), None).hop, None);
    }
}

#[test]
fn a_hop_of_another_interface_does_not_stay() {
    let tables = tables(None, Some(("192.0.2.7", Neighbour::Asked)));
    let elsewhere = NextHop { ifindex: 4, ..hop(THEIRS) };
    assert_eq!(tables.resolve(ip("192.0.2.7"), Some(&elsewhere)).hop, None);
}

#[test]
fn a_silent_neighbour_is_given_up_and_asked_again() {
    let tables = tables(None, Some(("192.0.2.7", Neighbour::Silent)));
    let found = tables.resolve(ip("192.0.2.7"), Some(&hop(THEIRS)));
    assert_eq!(found.hop, None);
    assert!(found.doubtful);
}

#[test]
fn without_a_route_or_a_link_there_is_none() {
    let mut tables = tables(None, Some(("192.0.2.7", Neighbour::Known(THEIRS))));
    assert_eq!(tables.resolve(ip("192.0.2.8"), Some(&hop(THEIRS))).hop, None);
    tables.links.clear();
    assert_eq!(tables.resolve(ip("192.0.2.7"), Some(&hop(THEIRS))).hop, None);
}
