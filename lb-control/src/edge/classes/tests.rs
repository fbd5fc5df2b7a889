use proptest::prelude::*;

use super::*;

fn class(name: &str, sources: &[&str], dscp: &[u8]) -> ClassSpec {
    ClassSpec {
        name: name.parse().unwrap(),
        sources: sources.iter().map(|s| s.parse().unwrap()).collect(),
        dscp: dscp.to_vec(),
    }
}

fn names(classes: &[ClassSpec]) -> Vec<Name> {
    classes.iter().map(|c| c.name.clone()).collect()
}

#[test]
fn classes_come_back_from_their_tables() {
    let classes = vec![
        class("partners", &["198.51.100.0/24", "2001:db8::/32"], &[]),
        class("voice", &[], &[46]),
        class("one", &["192.0.2.1/32"], &[0, 8]),
        class("all", &[], &[]),
    ];
    let tables = ClassTables::compile(&classes).unwrap();
    assert_eq!(tables.recover(&names(&classes)), classes);
}

#[test]
fn neighbouring_prefixes_come_back_as_one() {
    let classes = vec![class("two", &["192.0.2.0/25", "192.0.2.128/25"], &[])];
    let tables = ClassTables::compile(&classes).unwrap();
    assert_eq!(tables.recover(&names(&classes)), [class("two", &["192.0.2.0/24"], &[])]);
}

#[test]
fn no_class_takes_every_packet() {
    let tables = ClassTables::compile(&[class("voice", &[], &[46])]).unwrap();
    assert_eq!(tables.dscp[46] & 1, 1);
    assert_eq!(tables.dscp[0] & 1, 0);
    assert_eq!(tables.dscp[0] & 2, 2, "classes that are not there do not narrow anything");
}

fn prefixes() -> impl Strategy<Value = Vec<Prefix>> {
    let v4 = (any::<u32>(), 0u8..=32).prop_map(|(bits, len)| {
        let network = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0) & bits;
        format!("{}/{len}", std::net::Ipv4Addr::from(network)).parse().unwrap()
    });
    let v6 = (any::<u128>(), 1u8..=128).prop_map(|(bits, len)| {
        // Outside ::/80, so that none is an IPv4-mapped one by chance.
        let network = u128::MAX << (128 - u32::from(len)) & (bits | 1 << 127);
        format!("{}/{len}", Ipv6Addr::from(network)).parse().unwrap()
    });
    proptest::collection::vec(prop_oneof![v4, v6], 1..5)
}

proptest! {
    #[test]
    fn what_comes_back_means_the_same(sources in proptest::collection::vec(prefixes(), 1..4)) {
        let classes: Vec<_> = sources
            .into_iter()
            .enumerate()
            .map(|(index, sources)| ClassSpec {
                name: format!("c{index}").parse().unwrap(),
                sources,
                dscp: Vec::new(),
            })
            .collect();
        let tables = ClassTables::compile(&classes).unwrap();
        let recovered = ClassTables::compile(&tables.recover(&names(&classes))).unwrap();
        prop_assert_eq!(meaning(&tables), meaning(&recovered));
    }
}

/// Ranges without the boundaries that change nothing.
fn meaning(tables: &ClassTables) -> Vec<(u128, u64)> {
    let mut ranges: Vec<(u128, u64)> = Vec::new();
    for range in &tables.ranges {
        if ranges.last().is_none_or(|&(_, classes)| classes != range.classes) {
            ranges.push((start(range), range.classes));
        }
    }
    ranges
}
