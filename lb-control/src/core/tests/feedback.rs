//! Weights that DFP agents report.

use super::*;
use crate::model::{DfpServer, DfpState, FromDfp};

const STATIC: &str = "api/192.0.2.50:8443";

/// A manager with a DFP agent for `STATIC`, and one for `WEB` and its neighbours.
fn world(lost: &str) -> World {
    let agents = format!(
        "{CONFIG}
        [[manager.dfp]]
        name = \"api\"
        address = \"192.0.2.50:8080\"
        lost = \"{lost}\"
        [[manager.dfp]]
        name = \"web\"
        address = \"[2001:db8::1]:8080\"
        backends = [\"192.0.2.0/29\"]
        "
    );
    let mut world = World::serving(&agents);
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(2));
    assert_eq!((weighs(&world, WEB), weighs(&world, STATIC)), (100, 10));
    world
}

fn weighs(world: &World, binding: &str) -> Weight {
    world.held("edge", binding).expect("bound").weight
}

fn state(world: &mut World, agent: &str, state: DfpState) {
    let why = if state == DfpState::Open { "" } else { "no route" };
    let message = FromDfp::State(state, why.to_owned());
    world.feed(Input::Dfp { agent: name(agent), message });
}

/// `192.0.2.50:8443/6`
fn says(world: &mut World, agent: &str, anew: bool, weights: &[(&str, Weight)]) {
    let server = |&(server, weight): &(&str, Weight)| {
        let (address, protocol) = server.split_once('/').unwrap();
        let address: std::net::SocketAddrV4 = address.parse().unwrap();
        let (port, protocol) = (address.port(), protocol.parse().unwrap());
        (DfpServer { port, protocol, address: *address.ip() }, weight)
    };
    let weights = weights.iter().map(server).collect();
    world.feed(Input::Dfp { agent: name(agent), message: FromDfp::Weights { weights, anew } });
}

fn open(world: &mut World, agent: &str) {
    state(world, agent, DfpState::Connecting);
    state(world, agent, DfpState::Open);
}

#[test]
fn what_is_reported_is_what_a_binding_weighs_whoever_vouches_for_it() {
    let mut world = world("static");
    open(&mut world, "api");
    assert_eq!(weighs(&world, STATIC), 10, "nothing is said yet");
    says(&mut world, "api", true, &[("192.0.2.50:8443/6", 65_535)]);
    assert_eq!(weighs(&world, STATIC), 65_535);
    says(&mut world, "api", false, &[("192.0.2.50:8443/6", 0)]);
    assert_eq!((weighs(&world, STATIC), world.state(STATIC)), (0, "active"));
    says(&mut world, "web", true, &[("192.0.2.1:80/6", 7)]);
    assert_eq!(weighs(&world, WEB), 7, "of an agent's backend too");
    world.set_agent("web-1", |agent| agent.application.percent = 200);
    assert_eq!(weighs(&world, WEB), 14, "and its application's share is of that");
    world.weight(WEB, 40);
    assert_eq!(weighs(&world, WEB), 80, "the operator's word comes first");
    let events: Vec<_> = world.events.iter().map(|event| event.message.as_str()).collect();
    assert!(events.contains(&"weight 0, by DFP agent `api`"), "{events:?}");
    assert_eq!(world.count("dfp.open"), 1);
    let deltas = world.switches["edge"].deltas.len();
    says(&mut world, "api", false, &[("192.0.2.50:8443/6", 0), ("192.0.2.50:9/6", 3)]);
    assert_eq!(world.switches["edge"].deltas.len(), deltas, "repeated words cost nothing");
}

#[test]
fn an_agent_speaks_of_its_own_servers_alone() {
    let mut world = world("static");
    open(&mut world, "api");
    says(&mut world, "api", true, &[("192.0.2.1:80/6", 1), ("192.0.2.50:8443/17", 2)]);
    assert_eq!((weighs(&world, WEB), weighs(&world, STATIC)), (100, 10));
    says(&mut world, "nobody", true, &[("192.0.2.1:80/6", 1)]);
    assert_eq!(weighs(&world, WEB), 100);
    says(&mut world, "web", true, &[("192.0.2.8:80/6", 1), ("192.0.2.1:80/0", 5)]);
    assert_eq!(weighs(&world, WEB), 5);
}

#[test]
fn a_port_and_a_protocol_come_before_any() {
    let mut world = world("static");
    let table: [(&str, Weight); 4] = [
        ("192.0.2.50:0/0", 1),
        ("192.0.2.50:0/6", 2),
        ("192.0.2.50:8443/0", 3),
        ("192.0.2.50:8443/6", 4),
    ];
    for word in table {
        says(&mut world, "api", false, &[word]);
        assert_eq!(weighs(&world, STATIC), word.1, "{}", word.0);
    }
}

#[test]
fn what_a_lost_agent_said_stands_while_it_is_tried_and_then_as_is_set() {
    for (lost, weight, consequence) in [
        ("static", 10, "weigh what they do without it"),
        ("keep", 3, "said last stands"),
        ("closed", 0, "get no new connections"),
    ] {
        for kind in [DfpState::Failed, DfpState::SecurityError] {
            let mut world = world(lost);
            let events = world.count("dfp.failed") + world.count("dfp.security_error");
            open(&mut world, "api");
            says(&mut world, "api", true, &[("192.0.2.50:8443/6", 3)]);
            state(&mut world, "api", DfpState::Trying);
            state(&mut world, "api", DfpState::Connecting);
            state(&mut world, "api", DfpState::Trying);
            world.pass(seconds(60));
            assert_eq!((weighs(&world, STATIC), world.count("dfp.trying")), (3, 1));
            assert!(world.core.status().alarms.is_empty(), "{:?}", world.core.status().alarms);
            for _ in 0..3 {
                state(&mut world, "api", kind);
                assert_eq!(weighs(&world, STATIC), weight, "{lost}");
            }
            let failed = world.count("dfp.failed") + world.count("dfp.security_error");
            assert_eq!(failed - events, 1, "told once");
            let alarms = world.core.status().alarms;
            assert!(
                matches!(&alarms[..], [alarm] if alarm.contains("DFP agent `api`")
                    && alarm.contains(kind.name()) && alarm.contains(consequence)),
                "{alarms:?}"
            );
            assert_eq!(world.state(STATIC), "active");
            // It is back: that alone changes nothing.
            state(&mut world, "api", DfpState::Open);
            assert_eq!(weighs(&world, STATIC), weight, "{lost}");
            assert!(world.core.status().alarms.is_empty());
            says(&mut world, "api", true, &[("192.0.2.50:9/6", 5)]);
            assert_eq!(weighs(&world, STATIC), 10, "it says nothing of it any more");
            says(&mut world, "api", false, &[("192.0.2.50:8443/6", 5)]);
            assert_eq!(weighs(&world, STATIC), 5);
        }
    }
}

#[test]
fn an_agent_that_was_never_there_closes_nothing_before_it_has_failed() {
    let mut world = world("closed");
    state(&mut world, "api", DfpState::Connecting);
    state(&mut world, "api", DfpState::Trying);
    assert_eq!(weighs(&world, STATIC), 10);
    state(&mut world, "api", DfpState::Failed);
    assert_eq!(weighs(&world, STATIC), 0);
    // What comes later is closed too, and opens with the first word.
    world.feed(Input::Operator {
        request: RequestId(99_999),
        by: world.origin.clone(),
        command: Command::Add { key: key("www/192.0.2.50:80"), weight: 30, server_id: None },
    });
    world.pass(seconds(2));
    assert_eq!(weighs(&world, "www/192.0.2.50:80"), 0);
    open(&mut world, "api");
    says(&mut world, "api", true, &[]);
    assert_eq!((weighs(&world, STATIC), weighs(&world, "www/192.0.2.50:80")), (10, 30));
    says(&mut world, "api", false, &[("192.0.2.50:80/6", 31)]);
    assert_eq!(weighs(&world, "www/192.0.2.50:80"), 31, "over the weight that it was added with");
}

#[test]
fn a_binding_shows_who_speaks_of_it() {
    let mut world = world("static");
    open(&mut world, "api");
    says(&mut world, "api", true, &[("192.0.2.50:8443/6", 3)]);
    world.pass(seconds(4));
    let view = world.core.inspect(&key(STATIC), world.now).unwrap().dfp.unwrap();
    assert_eq!((view.name, view.state, view.weight), (name("api"), DfpState::Open, Some(3)));
    assert_eq!((view.age, view.reason), (seconds(4), String::new()));
    let view = world.core.inspect(&key(WEB), world.now).unwrap().dfp.unwrap();
    assert_eq!((view.name, view.state, view.weight), (name("web"), DfpState::NotOpen, None));
}
