use proptest::prelude::*;

use super::*;

/// `PREFIX`, or with `table local` and `metric N` behind it.
fn route(text: &str, target: Target) -> Route {
    let mut words = text.split(' ');
    let (to, len) = words.next().unwrap().split_once('/').unwrap();
    let mut route = Route {
        table: Table::Main,
        to: to.parse().unwrap(),
        len: len.parse().unwrap(),
        metric: 0,
        target,
    };
    while let Some(word) = words.next() {
        let value = words.next().unwrap();
        match (word, value) {
            ("table", "local") => route.table = Table::Local,
            ("table", "default") => route.table = Table::Default,
            ("metric", value) => route.metric = value.parse().unwrap(),
            _ => panic!("what is `{word} {value}`?"),
        }
    }
    route
}

fn via(last: u8) -> Target {
    let gateway = Some(IpAddr::from([192, 0, 2, last]));
    Target::Paths(vec![Path { ifindex: 3, gateway, mtu: None }])
}

fn link(ifindex: u32) -> Target {
    Target::Paths(vec![Path { ifindex, gateway: None, mtu: None }])
}

const NO_ROUTE: Target = Target::Nowhere("there is no route");

fn flat(routes: &[Route]) -> Routes {
    Routes::flatten(routes, [false; 2]).unwrap()
}

#[track_caller]
fn check(routes: &Routes, rows: &[(&str, Target)]) {
    for (ip, target) in rows {
        assert_eq!(routes.target(ip.parse().unwrap()), target, "{ip}");
    }
}

#[test]
fn the_longest_prefix_wins_in_each_family() {
    let routes = flat(&[
        route("0.0.0.0/0", via(1)),
        route("10.0.0.0/8", via(2)),
        route("10.1.2.0/24", link(7)),
        route("::/0", link(8)),
        route("2001:db8::/32", link(9)),
    ]);
    check(
        &routes,
        &[
            ("0.0.0.0", via(1)),
            ("9.255.255.255", via(1)),
            ("10.0.0.0", via(2)),
            ("10.1.1.255", via(2)),
            ("10.1.2.0", link(7)),
            ("10.1.2.255", link(7)),
            ("10.1.3.0", via(2)),
            ("11.0.0.0", via(1)),
            ("255.255.255.255", via(1)),
            ("::", link(8)),
            // Beside the IPv4-mapped ones.
            ("::fffe:ffff:ffff", link(8)),
            ("::1:0:0:0", link(8)),
            ("2001:db8::1", link(9)),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", link(8)),
        ],
    );
}

#[test]
fn without_a_route_there_is_no_way() {
    let routes = flat(&[route("::/0", link(8))]);
    check(&routes, &[("192.0.2.1", NO_ROUTE), ("2001:db8::1", link(8))]);
    let routes = flat(&[route("0.0.0.0/0", link(8)), route("::ffff:0:0/96", link(9))]);
    check(&routes, &[("192.0.2.1", link(8)), ("2001:db8::1", NO_ROUTE)]);
    assert_eq!(flat(&[]).targets(), [NO_ROUTE]);
}

#[test]
fn tables_come_before_lengths_and_lengths_before_metrics() {
    let routes = flat(&[
        route("192.0.2.0/24", link(3)),
        route("192.0.2.1/32", link(4)),
        route("192.0.2.0/28 table local", Target::Local),
        route("192.0.2.9/32 table default", link(5)),
        route("198.51.100.0/24 metric 20", via(20)),
        route("198.51.100.0/24 metric 10", via(10)),
        route("198.51.100.0/25 metric 30", via(30)),
        route("203.0.113.0/24 table default", link(6)),
    ]);
    check(
        &routes,
        &[
            ("192.0.2.1", Target::Local),
            ("192.0.2.9", Target::Local),
            ("192.0.2.16", link(3)),
            ("198.51.100.1", via(30)),
            ("198.51.100.128", via(10)),
            ("203.0.113.1", link(6)),
        ],
    );
}

#[test]
fn throw_goes_on_with_the_next_table() {
    let routes = flat(&[
        route("10.0.0.0/8", via(1)),
        route("10.1.0.0/16", Target::NextTable),
        route("10.1.1.0/24", via(2)),
        route("10.1.2.0/24 table default", via(3)),
    ]);
    check(
        &routes,
        &[("10.0.0.1", via(1)), ("10.1.0.1", NO_ROUTE), ("10.1.1.1", via(2)), ("10.1.2.1", via(3))],
    );
}

#[test]
fn what_the_kernel_chooses_among_is_the_kernels() {
    let routes = flat(&[
        route("fe80::/64 metric 256", link(3)),
        route("fe80::/64 metric 256", link(4)),
        route("fe80::/64 metric 512", link(5)),
        route("ff00::/8 metric 256", Target::Local),
        route("ff00::/8 metric 256", Target::Local),
    ]);
    check(&routes, &[("fe80::1", Target::Kernel), ("ff02::1", Target::Local)]);
}

#[test]
fn a_family_with_rules_of_its_own_is_the_kernels() {
    let list = [route("0.0.0.0/0", link(3)), route("::/0", link(4))];
    let routes = Routes::flatten(&list, [true, false]).unwrap();
    check(&routes, &[("192.0.2.1", Target::Kernel), ("2001:db8::1", link(4))]);
    let routes = Routes::flatten(&list, [false, true]).unwrap();
    check(&routes, &[("192.0.2.1", link(3)), ("2001:db8::1", Target::Kernel)]);
}

#[test]
fn neighbours_with_one_next_hop_are_one_range() {
    let halves = [route("10.0.0.0/9", via(1)), route("10.128.0.0/9", via(1))];
    let ranges = flat(&halves).ranges().len();
    assert_eq!(ranges, flat(&[route("10.0.0.0/8", via(1))]).ranges().len());
    // A table of the whole Internet behind one router is short.
    let many: Vec<_> = (0..=255u8)
        .flat_map(|a| (0..=255u8).map(move |b| route(&format!("{a}.{b}.0.0/16"), via(1))))
        .collect();
    assert_eq!(flat(&many).ranges().len(), 3);
}

#[test]
fn more_than_fits_is_refused() {
    let every_other = |count: u32| -> Vec<_> {
        let route =
            |n: u32| Route { to: IpAddr::V4((2 * n + 1).into()), ..route("0.0.0.0/32", via(1)) };
        (0..count).map(route).collect()
    };
    assert!(Routes::flatten(&every_other(MAX_ROUTES / 2 - 1), [false; 2]).is_ok());
    let error = Routes::flatten(&every_other(MAX_ROUTES), [false; 2]).unwrap_err();
    assert!(error.to_string().contains("32768"), "{error}");
    let hops: Vec<_> = (0..MAX_NEXT_HOPS)
        .map(|n| Route { to: IpAddr::V4((n << 8).into()), ..route("0.0.0.0/24", link(n)) })
        .collect();
    assert!(Routes::flatten(&hops, [false; 2]).is_err());
}

/// What the kernel does, one route after another.
fn naive(routes: &[Route], ip: IpAddr) -> Target {
    for table in [Table::Local, Table::Main, Table::Default] {
        let holds = |route: &&Route| {
            let (first, last) = range(route);
            route.table == table
                && route.to.is_ipv4() == ip.is_ipv4()
                && (first..=last).contains(&number(ip))
        };
        let of_table = || routes.iter().filter(holds);
        let best = of_table().min_by_key(|route| (Reverse(route.len), route.metric));
        let Some(best) = best else { continue };
        let equal = |route: &&Route| (route.len, route.metric) == (best.len, best.metric);
        if best.target == Target::NextTable {
            continue;
        }
        let same = of_table().filter(equal).all(|route| route.target == best.target);
        return if same { best.target.clone() } else { Target::Kernel };
    }
    NO_ROUTE
}

fn any_route() -> impl Strategy<Value = Route> {
    let table = prop_oneof![Just(Table::Local), Just(Table::Main), Just(Table::Default)];
    let target = prop_oneof![
        (0u8..3).prop_map(via),
        Just(Target::Local),
        Just(Target::NextTable),
        Just(Target::Nowhere("blackhole")),
    ];
    (any::<bool>(), any_address(), 0u8..=128, table, 0u32..3, target).prop_map(
        |(v4, bits, len, table, metric, target)| {
            let (to, len) =
                if v4 { (v4_of(bits), len % 33) } else { (IpAddr::V6(bits.into()), len) };
            Route { table, to, len, metric, target }
        },
    )
}

/// Few bits, so that prefixes hold each other.
fn any_address() -> impl Strategy<Value = u128> {
    (0u128..8, 0u128..8).prop_map(|(high, low)| high << 125 | high << 29 | low)
}

fn v4_of(bits: u128) -> IpAddr {
    IpAddr::V4((bits as u32).into())
}

proptest! {
    #[test]
    fn agrees_with_a_naive_search(
        routes in prop::collection::vec(any_route(), 0..12),
        addresses in prop::collection::vec(any_address(), 20),
    ) {
        // The naive search does not see that a throw may have an equal.
        let throws = |route: &Route| route.target == Target::NextTable;
        let key = |route: &Route| (route.table, range(route), route.metric, route.to.is_ipv4());
        for (index, route) in routes.iter().enumerate() {
            let equal = routes.iter().enumerate().any(|(i, r)| i != index && key(r) == key(route));
            prop_assume!(!(throws(route) && equal));
        }
        let flat = Routes::flatten(&routes, [false; 2]).unwrap();
        prop_assert_eq!(flat.ranges()[0].0, 0);
        for pair in flat.ranges().windows(2) {
            prop_assert!(pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1);
        }
        let borders = routes.iter().flat_map(|route| {
            let (first, last) = range(route);
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
        });
        for bits in borders.chain(addresses) {
            let v6 = std::net::Ipv6Addr::from(bits);
            let ip = v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4);
            prop_assert_eq!(flat.target(ip), &naive(&routes, ip), "{}", ip);
        }
    }
}
