use netlink_packet_route::neighbour::NeighbourState;

use super::*;
use crate::{
    edge::hops::{
        NextHop,
        kernel::Neighbor,
        routes::{Route, Routes, Table},
    },
    xdp::interfaces::Interface,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The last byte of its address is that of its Ethernet address.
fn mac(ip: IpAddr) -> [u8; 6] {
    [2, 0, 0, 0, 0, mapped(ip)[15]]
}

fn path(ifindex: u32, gateway: Option<&str>) -> Path {
    Path { ifindex, gateway: gateway.map(ip), mtu: None }
}

fn route(to: &str, target: Target) -> Route {
    let (to, len) = to.split_once('/').unwrap();
    Route { table: Table::Main, to: ip(to), len: len.parse().unwrap(), metric: 0, target }
}

/// Backends on the link of interface 3, behind a gateway on it, behind two, and
/// where only the kernel knows.
fn ways() -> Ways {
    let mut ways = Ways::default();
    for index in [3, 4] {
        let name = format!("eth{index}");
        let link =
            Interface { index, name, running: true, mac: Some([9; 6]), mtu: 1500, program: None };
        ways.kernel.links.insert(index, link);
    }
    for host in [(3, "10.3.0.1"), (4, "10.4.0.1"), (3, "10.3.0.11"), (3, "10.3.0.12")] {
        set(&mut ways, host, NeighbourState::Reachable);
    }
    let both = vec![path(3, Some("10.3.0.1")), path(4, Some("10.4.0.1"))];
    let routes = [
        route("10.3.0.0/24", Target::Paths(vec![path(3, None)])),
        route("10.5.0.0/16", Target::Paths(vec![path(3, Some("10.3.0.1"))])),
        route("10.6.0.0/16", Target::Paths(both)),
        route("10.7.0.0/16", Target::Kernel),
        route("10.8.0.0/16", Target::Nowhere("the route is a blackhole")),
        route("10.9.0.1/32", Target::Local),
    ];
    ways.kernel.routes = Routes::flatten(&routes, [false; 2]).unwrap();
    ways
}

fn set(ways: &mut Ways, (ifindex, host): (u32, &str), state: NeighbourState) {
    let mac = (state != NeighbourState::Failed).then_some(mac(ip(host)));
    ways.kernel.neighbors.insert((ifindex, ip(host)), Neighbor { state, mac });
}

fn want(ways: &mut Ways, backends: &[&str]) -> Vec<IpAddr> {
    let new = ways.want(backends.iter().map(|text| ip(text)).collect());
    ways.arrange(true);
    new
}

fn hop(ifindex: u32, gateway: &str) -> Answer {
    let dst_mac = mac(ip(gateway));
    Answer::Known(NextHop { dst_mac, src_mac: [9; 6], ifindex, mtu: 1500 })
}

fn answer(ways: &Ways, backend: &str) -> Answer {
    ways.answers(&[ip(backend)]).remove(0).1
}

#[test]
fn every_backend_has_its_way() {
    let mut ways = ways();
    let backends = ["10.3.0.11", "10.5.0.1", "10.7.0.1", "10.8.0.1", "10.9.0.1", "10.10.0.1"];
    assert_eq!(want(&mut ways, &backends).len(), backends.len());
    assert!(want(&mut ways, &backends).is_empty(), "nobody is new");
    assert_eq!(answer(&ways, "10.3.0.11"), hop(3, "10.3.0.11"));
    assert_eq!(answer(&ways, "10.5.0.1"), hop(3, "10.3.0.1"));
    assert_eq!(answer(&ways, "10.7.0.1"), Answer::Asked);
    for (backend, why) in
        [("10.8.0.1", "blackhole"), ("10.9.0.1", "this host"), ("10.10.0.1", "no route")]
    {
        let Answer::None(text) = answer(&ways, backend) else { panic!("{backend} has a way") };
        assert!(text.contains(why), "{text}");
    }
    assert_eq!(ways.untold(&ways.backends()), [ip("10.7.0.1")]);
    ways.tell(ip("10.7.0.1"), Ok(path(4, Some("10.4.0.1"))));
    assert_eq!(answer(&ways, "10.7.0.1"), hop(4, "10.4.0.1"));
    ways.tell(ip("10.7.0.1"), Err("Network is unreachable".into()));
    assert!(matches!(answer(&ways, "10.7.0.1"), Answer::None(_)));
}

#[test]
fn an_event_concerns_those_behind_the_host() {
    let mut ways = ways();
    want(&mut ways, &["10.3.0.11", "10.3.0.12", "10.5.0.1", "10.5.0.2"]);
    let behind = |host| ways.depending(&HashSet::from([host]));
    assert_eq!(behind((3, ip("10.3.0.11"))), [ip("10.3.0.11")]);
    assert_eq!(behind((3, ip("10.3.0.1"))), [ip("10.5.0.1"), ip("10.5.0.2")]);
    assert!(behind((4, ip("10.3.0.1"))).is_empty());
    // Clients may be behind the gateway, too.
    assert!(ways.carry_replies(&HashSet::from([(3, ip("10.3.0.1"))])));
    assert!(!ways.carry_replies(&HashSet::from([(3, ip("10.3.0.11"))])));
    ways.arrange(false);
    assert!(!ways.carry_replies(&HashSet::from([(3, ip("10.3.0.1"))])));
}

#[test]
fn the_loss_of_one_of_several_ways_moves_only_its_own() {
    let mut ways = ways();
    let backends: Vec<String> = (1..=40).map(|n| format!("10.6.0.{n}")).collect();
    let texts: Vec<&str> = backends.iter().map(String::as_str).collect();
    want(&mut ways, &texts);
    let all = |ways: &Ways| ways.answers(&ways.backends());
    let before = all(&ways);
    let by = |answers: &[(IpAddr, Answer)], way: &Answer| {
        answers.iter().filter(|(_, answer)| answer == way).count()
    };
    let (first, second) = (hop(3, "10.3.0.1"), hop(4, "10.4.0.1"));
    assert!(by(&before, &first) >= 8 && by(&before, &second) >= 8, "each has its part");
    assert_eq!(all(&ways), before, "the choice stays");

    set(&mut ways, (4, "10.4.0.1"), NeighbourState::Failed);
    assert_eq!(by(&all(&ways), &first), 40);
    set(&mut ways, (4, "10.4.0.1"), NeighbourState::Reachable);
    assert_eq!(all(&ways), before);
    ways.kernel.links.get_mut(&3).unwrap().running = false;
    assert_eq!(by(&all(&ways), &second), 40);
    ways.kernel.links.get_mut(&4).unwrap().running = false;
    assert!(all(&ways).iter().all(|(_, answer)| matches!(answer, Answer::None(_))));
}

#[test]
fn tables_name_the_next_hop_of_every_range() {
    let ways = ways();
    let RouteTables { routes, next_hops } = ways.tables();
    assert_eq!((routes[0].start_hi, routes[0].start_lo), (0, 0));
    let at = |text: &str| {
        let number = u128::from_be_bytes(mapped(ip(text)));
        let holds = |route: &&abi::Route| {
            u128::from(route.start_hi) << 64 | u128::from(route.start_lo) <= number
        };
        next_hops[routes.iter().rfind(holds).unwrap().next_hop as usize]
    };
    use abi::next_hop::{GATEWAY, KERNEL, LOCAL, NONE, ON_LINK};
    for (address, kind) in [
        ("10.3.0.77", ON_LINK),
        ("10.5.1.1", GATEWAY),
        ("10.6.1.1", KERNEL),
        ("10.7.1.1", KERNEL),
        ("10.8.1.1", NONE),
        ("10.9.0.1", LOCAL),
        ("10.10.0.1", NONE),
        ("2001:db8::1", NONE),
    ] {
        assert_eq!(at(address).kind, kind, "{address}");
    }
    assert_eq!(at("10.5.1.1").dst_mac, mac(ip("10.3.0.1")));
}
