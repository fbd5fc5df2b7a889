//! Without a kernel: a table that obeys messages stands for it. With one:
//! `tests/tests/scenarios/nftables.rs`.

mod choosing;
mod kernel;
mod routing;
mod table;

use std::net::SocketAddr;

use proptest::prelude::*;

use self::{kernel::connection, table::Table};
use super::{
    attribute::{Attribute, all, covers, need, text_of, u32_of},
    conntrack,
    delta::{comment, delta, read_comment},
    dump::{Dump, counter, read_element},
    key::{Family, Front, Path},
    link::{Answers, Message},
    recognise::{Making, Seen, recognise},
    ruleset::{Ruleset, chain_of, map_of, read_refusal, refusal},
    uapi::*,
};
use crate::{
    config::SwitchSettings,
    model::{Name, Phase, Protocol, Share, Verdict},
    switch::{Plan, PlannedServer, PlannedService},
    testing::Fuzz,
};

const NAME: &str = "sluice";
const MAKING: Making = Making { masquerade: false, seed: 7 };

fn settings(options: &str) -> SwitchSettings {
    toml::from_str(&format!("name = \"router\"\nkind = \"nftables\"\n[options]\n{options}"))
        .unwrap()
}

fn written(attributes: &[Attribute]) -> Vec<u8> {
    let mut bytes = Vec::new();
    attributes.iter().for_each(|attribute| attribute.write(&mut bytes));
    bytes
}

#[test]
fn options_are_read_and_wrong_ones_refused() {
    let make = |options: &str| (super::DIALECT.make)(&settings(options)).map(drop);
    make("").unwrap();
    make("table = \"balance_2\"\nmasquerade = true").unwrap();
    let error = make("tabel = \"x\"").unwrap_err();
    assert!(error.contains("`router`") && error.contains("tabel"), "{error}");
    for table in ["", "2", "a b", "a;flush ruleset", "ü", &"x".repeat(64)] {
        let options = format!("table = \"{table}\"");
        let error = make(&options).unwrap_err();
        assert!(error.contains("is not a table's name"), "{table}: {error}");
    }
}

#[test]
fn attributes_are_as_the_kernel_writes_them() {
    let inner = Attribute::u32(3, 7);
    let mut bytes = Vec::new();
    Attribute::nest(2, [Attribute::text(1, "ab"), inner]).write(&mut bytes);
    let mut expected = [20_u16.to_ne_bytes(), (2 | 1_u16 << 15).to_ne_bytes()].concat();
    expected.extend([7_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat());
    expected.extend(b"ab\0\0");
    expected.extend([8_u16.to_ne_bytes(), 3_u16.to_ne_bytes()].concat());
    expected.extend([0, 0, 0, 7]);
    assert_eq!(bytes, expected);
    let nest = need(&bytes, 2).unwrap();
    assert_eq!(text_of(need(nest, 1).unwrap()), Ok("ab"));
    assert_eq!(u32_of(need(nest, 3).unwrap()), Ok(7));
    assert!(need(nest, 4).is_err());
    // Lengths that lie.
    for length in [0_u16, 3, 21, 400, u16::MAX] {
        bytes[..2].copy_from_slice(&length.to_ne_bytes());
        assert!(all(&bytes).is_err(), "{length}");
    }
    assert!(all(&bytes[..3]).is_err());
}

#[test]
fn what_the_kernel_adds_is_no_difference_and_all_else_is() {
    let list = |ports: &[u32]| {
        let ports: Vec<_> = ports.iter().map(|port| Attribute::u32(LIST_ELEM, *port)).collect();
        [Attribute::u32(9, 1), Attribute::nest(4, ports)]
    };
    let ours = list(&[80, 443]);
    assert!(covers(&ours, &written(&ours)));
    let mut more = list(&[80, 443]).to_vec();
    more.push(Attribute::u32(10, 5));
    more.reverse();
    assert!(covers(&ours, &written(&more)));
    for theirs in [&list(&[80])[..], &list(&[443, 80]), &list(&[80, 443, 8080]), &ours[..1], &[]] {
        assert!(!covers(&ours, &written(theirs)), "{theirs:?}");
    }
    assert!(!covers(&ours, &written(&ours)[1..]));
}

#[test]
fn keys_are_as_registers_hold_them() {
    let front = Front { address: "203.0.113.10:80".parse().unwrap(), protocol: 6 };
    assert_eq!(front.key(), [203, 0, 113, 10, 6, 0, 0, 0, 0, 80, 0, 0]);
    let path = Path { front, backend: "10.0.0.1:8080".parse().unwrap() };
    assert_eq!(path.key()[12..], [10, 0, 0, 1, 31, 144, 0, 0]);
    assert_eq!(Path::read(Family::V4, &path.key()), Some(path));
    assert_eq!(Front::read(Family::V4, &path.key()), None);
    assert_eq!(Path::read(Family::V6, &path.key()), None);
    let front = Front { address: "[2001:db8::1]:53".parse().unwrap(), protocol: 17 };
    let path = Path { front, backend: "[2001:db8::2]:5353".parse().unwrap() };
    assert_eq!(path.key().len(), 44);
    assert_eq!(Path::read(Family::V6, &path.key()), Some(path));
    for cut in 0..44 {
        assert_eq!(Path::read(Family::V6, &path.key()[..cut]), None);
    }
}

#[test]
fn a_refusal_is_read_as_it_is_written() {
    for manner in [Verdict::Reset, Verdict::Silent] {
        let share = Share::from_ppm(125_000).unwrap();
        assert_eq!(read_refusal(&refusal(share, manner)), Some((share, manner)));
    }
    for odd in ["", "refuses", "refuses 1000001 ppm: reset", "refuses 1 ppm: hold", "mine"] {
        assert_eq!(read_refusal(odd), None, "{odd}");
    }
    assert_eq!(read_comment(&comment("mine")), Some("mine"));
    assert_eq!(read_comment(&comment("mine")[..4]), None);
}

fn server() -> impl Strategy<Value = PlannedServer> {
    let phase =
        prop_oneof![4 => Just(Phase::Serve), 1 => Just(Phase::Drain), 1 => Just(Phase::Break)];
    (phase, prop_oneof![1 => Just(0), 4 => 1..=65_535_u32]).prop_map(|(phase, weight)| {
        PlannedServer { phase, weight: if phase == Phase::Serve { weight } else { 0 } }
    })
}

/// Service `number`; few servers to choose from, so that plans are often alike.
fn service(number: u16) -> impl Strategy<Value = PlannedService> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::TcpAndUdp)];
    let refuse = prop_oneof![
        Just((0, Verdict::Reset)),
        Just((500_000, Verdict::Reset)),
        Just((1_000_000, Verdict::Silent))
    ];
    let servers = proptest::collection::btree_map(1..5_u16, server(), 0..5);
    (any::<bool>(), protocol, servers, refuse).prop_map(move |(v6, protocol, servers, refused)| {
        let address = |last: u16| {
            let v4 = format!("192.0.2.{last}");
            let text = if v6 { format!("2001:db8::{last}") } else { v4 };
            text.parse().unwrap()
        };
        PlannedService {
            address: address(100 + number),
            port: 80,
            protocol,
            servers: servers
                .into_iter()
                .map(|(last, server)| (SocketAddr::new(address(last), 8080), server))
                .collect(),
            refuse: Share::from_ppm(refused.0).unwrap(),
            verdict: refused.1,
        }
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let maybe = |number| proptest::option::of(service(number));
    (maybe(0), maybe(1), maybe(2)).prop_map(|services| {
        let services = [services.0, services.1, services.2].into_iter().enumerate();
        let named = |(number, service): (usize, Option<_>)| {
            Some((format!("7up.{number}").parse().unwrap(), service?))
        };
        Plan { services: services.filter_map(named).collect() }
    })
}

fn whole(plan: Plan) -> Seen {
    Seen { whole: Some(MAKING), plan }
}

fn ruleset(plan: &Plan) -> Ruleset {
    Ruleset::of(&plan.services, false, 7)
}

fn made(plan: &Plan) -> Table {
    let mut table = Table::labelled(&MAKING.label());
    table.obey(&delta(NAME, &Ruleset::default(), &ruleset(plan)));
    table
}

proptest! {
    #[test]
    fn a_table_is_recognised_as_its_plan(plan in plan()) {
        prop_assert_eq!(recognise(NAME, &made(&plan).dump()), Some(whole(plan)));
    }

    #[test]
    fn steps_lead_from_any_plan_to_any_other(plans in proptest::collection::vec(plan(), 2..5)) {
        let mut table = made(&plans[0]);
        for pair in plans.windows(2) {
            table.obey(&delta(NAME, &ruleset(&pair[0]), &ruleset(&pair[1])));
            prop_assert_eq!(recognise(NAME, &table.dump()), Some(whole(pair[1].clone())));
        }
        let last = ruleset(&plans[plans.len() - 1]);
        prop_assert!(delta(NAME, &last, &last).is_empty());
    }
}

fn example() -> Plan {
    let server = |phase, weight| PlannedServer { phase, weight };
    let service = PlannedService {
        address: "203.0.113.10".parse().unwrap(),
        port: 80,
        protocol: Protocol::Tcp,
        servers: [
            ("10.0.0.1:8080", server(Phase::Serve, 100)),
            ("10.0.0.2:8080", server(Phase::Serve, 200)),
            ("10.0.0.3:8080", server(Phase::Drain, 0)),
            ("10.0.0.4:8080", server(Phase::Break, 0)),
        ]
        .into_iter()
        .map(|(address, server)| (address.parse().unwrap(), server))
        .collect(),
        refuse: Share::from_ppm(250_000).unwrap(),
        verdict: Verdict::Reset,
    };
    Plan { services: [("www".parse().unwrap(), service)].into() }
}

#[test]
fn whatever_is_altered_is_seen() {
    let (plan, www): (_, Name) = (example(), "www".parse().unwrap());
    let made = made(&plan).dump();
    assert_eq!(recognise(NAME, &made), Some(whole(plan.clone())));
    let altered = |what: &str, alter: &dyn Fn(&mut Dump)| {
        let mut dump = made.clone();
        alter(&mut dump);
        assert_ne!(dump, made, "{what} changes nothing");
        let seen = recognise(NAME, &dump).expect("it is still ours");
        // It is no plan's table, or that of another one.
        assert!(seen.whole.is_none() || seen.plan != plan, "{what}");
    };
    altered("asleep", &|dump| dump.dormant = true);
    altered("masquerades", &|dump| {
        dump.comment = Some(Making { masquerade: true, ..MAKING }.label());
    });
    altered("another seed", &|dump| dump.comment = Some(Making { seed: 8, ..MAKING }.label()));
    altered("another version", &|dump| {
        dump.comment = dump.comment.as_ref().map(|label| label.replace("sluice 1", "sluice 0"));
    });
    for name in made.chains.keys() {
        altered(&format!("no chain {name}"), &|dump| drop(dump.chains.remove(name)));
        altered(&format!("no rule in {name}"), &|dump| drop(dump.rules.remove(name)));
        altered(&format!("a rule twice in {name}"), &|dump| {
            let rules = dump.rules.get_mut(name).unwrap();
            rules.push(rules[0].clone());
        });
    }
    for (name, (_, elements)) in &made.sets {
        altered(&format!("no set {name}"), &|dump| drop(dump.sets.remove(name)));
        for key in elements.keys() {
            altered(&format!("{key:?} not in {name}"), &|dump| {
                dump.sets.get_mut(name).unwrap().1.remove(key);
            });
        }
    }
    let rules = &made.rules[&chain_of(&www)];
    for first in 0..rules.len() - 1 {
        altered("rules in another order", &|dump| {
            dump.rules.get_mut(&chain_of(&www)).unwrap().swap(first, first + 1);
        });
    }
    altered("one more chain", &|dump| drop(dump.chains.insert("mine".to_owned(), Vec::new())));
    altered("another hook", &|dump| {
        let chain = dump.chains["postrouting"].clone();
        dump.chains.insert("prerouting".to_owned(), chain);
    });
    altered("another map", &|dump| {
        let (_, elements) = dump.sets.get_mut(&map_of(&www)).unwrap();
        let data: Vec<_> = elements.values().flatten().cloned().collect();
        *elements.values_mut().flatten().next().unwrap() = data[1].clone();
    });
    for comment in [None, Some("mine".to_owned()), Some(String::new())] {
        assert_eq!(recognise(NAME, &Dump { comment, ..made.clone() }), None);
    }
}

/// What somebody has changed is still read as far as it goes.
#[test]
fn an_altered_table_is_legible() {
    let (plan, www): (_, Name) = (example(), "www".parse().unwrap());
    let made = made(&plan).dump();
    let seen = |alter: &dyn Fn(&mut Dump)| {
        let mut dump = made.clone();
        alter(&mut dump);
        recognise(NAME, &dump).unwrap().plan
    };
    assert_eq!(seen(&|dump| dump.chains.clear()), plan);
    assert_eq!(seen(&|dump| drop(dump.rules.remove("cut"))), plan);
    assert_eq!(seen(&|dump| drop(dump.sets.remove("services4"))), Plan::default());
    let mut service = plan.services[&www].clone();
    let of = |service: &PlannedService| Plan { services: [(www.clone(), service.clone())].into() };
    service.servers.values_mut().for_each(|server| server.weight = 0);
    assert_eq!(seen(&|dump| drop(dump.sets.remove(&map_of(&www)))), of(&service));
    service.servers.clear();
    assert_eq!(seen(&|dump| dump.sets.get_mut("bindings4").unwrap().1.clear()), of(&service));
}

#[test]
fn a_change_of_weights_sends_no_more_than_it_changes() {
    let (old, mut new) = (example(), example());
    let servers = &mut new.services.values_mut().next().unwrap().servers;
    servers.values_mut().next().unwrap().weight = 150;
    let steps = delta(NAME, &ruleset(&old), &ruleset(&new));
    let kinds: Vec<_> = steps.iter().map(|step| step.kind).collect();
    let rules = [NEWRULE; 4];
    assert_eq!(kinds, [&[DELRULE, DELSET, NEWSET, NEWSETELEM], &rules[..]].concat());
}

#[test]
fn elements_are_sent_in_pieces_that_fit() {
    let mut plan = example();
    let service = plan.services.values_mut().next().unwrap();
    for number in 0..5000_u16 {
        let [high, low] = number.to_be_bytes();
        let server = PlannedServer { weight: 1, phase: Phase::Serve };
        service.servers.insert(SocketAddr::from(([10, 1, high, low], 80)), server);
    }
    for step in delta(NAME, &Ruleset::default(), &ruleset(&plan)) {
        let longest = step.attributes.iter().map(Attribute::len).max().unwrap();
        assert!(longest < usize::from(u16::MAX), "{longest}");
    }
    assert_eq!(recognise(NAME, &made(&plan).dump()), Some(whole(plan)));
}

#[test]
fn a_connection_belongs_to_its_service_and_backend() {
    let entry = conntrack::read(&written(&connection(3))).unwrap().unwrap();
    let front = Front { address: "203.0.113.10:80".parse().unwrap(), protocol: 6 };
    assert_eq!(entry.path, Path { front, backend: "10.0.0.1:8080".parse().unwrap() });
    let open = |state| conntrack::read(&written(&connection(state))).unwrap().unwrap().open;
    // SYN_SENT to LAST_ACK; TIME_WAIT and CLOSE (nf_conntrack_tcp.h).
    assert_eq!(
        (1..=8).map(open).collect::<Vec<_>>(),
        [true, true, true, true, true, true, false, false]
    );
}

#[test]
fn fuzzed_nfnetlink() {
    let (mut table, mut rules) = (Vec::new(), Vec::new());
    for step in delta(NAME, &Ruleset::default(), &ruleset(&example())) {
        step.write(0, 1, if step.kind == NEWRULE { &mut rules } else { &mut table });
    }
    let rule = ruleset(&example()).chains["cut"].rules[0].attributes(NAME, "cut");
    let mut connections = Vec::new();
    Message::dump(CT_GET, NFPROTO_IPV4, connection(3)).write(0, 1, &mut connections);
    Fuzz::new("nfnetlink").with(table).with(rules).with(connections).run(|bytes| {
        let mut dump = Dump::default();
        for answer in Answers(bytes).map_while(Result::ok) {
            drop(answer.error());
            let attributes = answer.payload.get(4..).unwrap_or_default();
            for kind in [GETTABLE, GETCHAIN, GETRULE, GETSET, GETSETELEM] {
                let _ignored = dump.take(kind, NAME, attributes);
            }
            drop(conntrack::read(attributes));
            covers(&rule, attributes);
            for (_, element) in all(attributes).unwrap_or_default() {
                drop(read_element(element));
                let _ignored = counter(element);
            }
        }
        dump.comment = Some(MAKING.label());
        recognise(NAME, &dump);
    });
}
