//! Who may do what.

use super::*;
use crate::model::{AgentBinding, Identity, Origin};

const RULES: &str = r#"
[tls]
ca = "ca.pem"
cert = "manager.pem"
key = "manager.key"

[[service]]
name = "www"
address = "203.0.113.10:80"
mode = "l2"

[[service]]
name = "api"
address = "203.0.113.20:443"
mode = "nat"

[[manager.allow]]
identity = "*.web.example"
role = "agent"
names = ["web-*"]
services = ["www"]
addresses = ["192.0.2.0/25"]
max_weight = 100

[[manager.allow]]
identity = "spiffe://example/agent/api"
role = "agent"
sources = ["198.51.100.0/24"]

[[manager.allow]]
identity = "edge.example"
role = "edge"
names = ["edge"]

[[manager.allow]]
identity = "ops.example"
role = "operator"

[[manager.allow]]
identity = "noc.example"
role = "viewer"
"#;

fn certified(names: &[&str]) -> Origin {
    let identity = Identity::Certificate(names.iter().map(|&name| name.to_owned()).collect());
    Origin { identity, source: Some("198.51.100.7".parse().unwrap()) }
}

fn guarded() -> World {
    let mut world = World::serving(RULES);
    world.events.clear();
    world
}

/// The only event of its kind, which nothing else must have been.
fn event(world: &World, kind: &str) -> Event {
    let events: Vec<_> = world.events.iter().filter(|event| event.kind == kind).collect();
    let [event] = events[..] else { panic!("not one {kind}: {:?}", world.events) };
    event.clone()
}

#[test]
fn an_agent_binds_what_a_rule_allows() {
    let mut world = guarded();
    world.origin = certified(&["a.web.example"]);
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(2));
    assert_eq!(world.state(WEB), "active");
    assert_eq!(world.count("binding.refused") + world.count("peer.refused"), 0);
}

#[test]
fn an_agent_that_no_rule_knows_is_sent_away() {
    let table: &[(Origin, &str, &str)] = &[
        (
            certified(&["foreign.example"]),
            "web-1",
            "`foreign.example` from 198.51.100.7 may not be agent `web-1`: no [[manager.allow]] \
             has identity = \"foreign.example\" with role = \"agent\"",
        ),
        (
            certified(&["a.web.example"]),
            "db-1",
            "may not be agent `db-1`: rule 1 of [[manager.allow]] is for the name web-*",
        ),
        (
            Origin { source: None, ..certified(&["spiffe://example/agent/api"]) },
            "api-1",
            "rule 2 of [[manager.allow]] is for connections from 198.51.100.0/24",
        ),
        (certified(&["ops.example"]), "web-1", "identity = \"ops.example\" with role = \"agent\""),
        (certified(&[]), "web-1", "goes by the URI and DNS names"),
        (Origin::default(), "web-1", "goes by the URI and DNS names"),
    ];
    for (origin, agent, reason) in table {
        let mut world = guarded();
        world.origin = origin.clone();
        let session = world.agent(agent, 1, &[WEB]);
        let (closed, why) = world.closed.last().expect("it is sent away");
        assert_eq!(*closed, session);
        assert!(why.contains(reason), "{why}");
        assert_eq!(event(&world, "peer.refused").message, *why);
        world.pass(seconds(2));
        assert_eq!(world.state(WEB), "gone");
    }
}

#[test]
fn a_refused_bind_is_told_and_the_others_go_on() {
    let table: &[(&str, u16, &str)] = &[
        ("api/192.0.2.1:443", 100, "is for service www"),
        ("www/192.0.2.129:80", 100, "is for backends in 192.0.2.0/25"),
        ("www/192.0.2.2:80", 101, "is for weights up to 100, not 101"),
    ];
    for &(bind, weight, reason) in table {
        let mut world = guarded();
        world.origin = certified(&["other.example", "a.web.example"]);
        let session = world.agent("web-0", 1, &[WEB]);
        world.asked_weight = weight;
        world.agent("web-1", 1, &[bind]);
        world.pass(seconds(2));
        assert_eq!((world.state(WEB), world.state(bind)), ("active", "gone"));
        let event = event(&world, "binding.refused");
        assert_eq!(event.backend, Some(key(bind).backend));
        assert!(event.message.contains(reason), "{}", event.message);
        assert!(event.message.starts_with("`other.example` from 198.51.100.7 may not bind"));
        let told = ToAgent::Refused { key: key(bind), reason: event.message };
        assert!(world.told.iter().any(|(to, message)| *to != session && *message == told));
    }
}

#[test]
fn an_operator_cannot_bring_in_what_an_agent_may_not_bind() {
    let mut world = guarded();
    world.origin = certified(&["a.web.example"]);
    world.agent("web-1", 1, &["api/192.0.2.1:443"]);
    world.origin = Origin::local();
    world.add("api/192.0.2.1:443", 10);
    world.pass(seconds(2));
    assert_eq!(world.view("api/192.0.2.1:443").agent, None, "vouched for by probes alone");
}

#[test]
fn a_name_belongs_to_the_identity_that_is_connected() {
    let mut world = guarded();
    world.origin = certified(&["a.web.example"]);
    let first = world.agent("web-1", 1, &[WEB]);
    world.origin = certified(&["b.web.example"]);
    let second = world.agent("web-1", 2, &[WEB]);
    assert_eq!(world.closed.last().unwrap().0, second);
    assert!(event(&world, "peer.refused").message.contains("`a.web.example` is connected"));
    world.feed(Input::Closed { session: first });
    world.origin = certified(&["a.web.example"]);
    let again = world.agent("web-1", 3, &[WEB]);
    assert_ne!(world.closed.last().unwrap().0, again);
}

#[test]
fn nothing_more_is_heard_of_who_was_sent_away() {
    // Also where there are no rules, so that only this keeps it out.
    let mut world = World::learned();
    let session = world.agent("web-1", 1, &[WEB]);
    world.feed(Input::Excess { session });
    let bind = AgentBinding { key: key(WEB), weight: 1, server_id: None };
    let interval = seconds(1);
    let hello = AgentHello { name: name("web-1"), boot: 1, binds: vec![bind], interval };
    world.feed(Input::Agent { session, message: FromAgent::Hello(hello) });
    assert_eq!(world.count("agent.connected"), 1);
    world.feed(Input::Closed { session });
    world.pass(seconds(11));
    world.agent("web-1", 2, &[WEB]);
    assert_eq!(world.count("agent.connected"), 2);
}

#[test]
fn who_has_no_certificate_of_ours_is_told_of_once_a_minute() {
    let mut world = guarded();
    let stranger = || Input::Stranger {
        source: "192.0.2.99".parse().unwrap(),
        reason: "invalid peer certificate: UnknownIssuer".to_owned(),
    };
    world.feed(stranger());
    world.feed(stranger());
    let message = event(&world, "peer.refused").message;
    assert!(message.contains("192.0.2.99") && message.contains("UnknownIssuer"), "{message}");
    world.pass(seconds(61));
    world.feed(stranger());
    assert_eq!(world.count("peer.refused"), 2);
}

#[test]
fn edges_are_known_too() {
    let mut world = guarded();
    world.switch_origin = certified(&["edge.example"]);
    world.connect("other");
    let message = event(&world, "peer.refused").message;
    assert!(message.contains("may not be edge `other`: rule 3"), "{message}");
    world.disconnect("edge");
    world.connect("edge");
    assert_eq!(world.count("switch.connected"), 1);
    world.events.clear();
    world.disconnect("edge");
    world.switch_origin = certified(&["a.web.example"]);
    world.connect("edge");
    assert_eq!(world.count("switch.connected"), 0);
}

#[test]
fn a_viewer_looks_and_an_operator_changes() {
    let mut world = guarded();
    let looks = |world: &mut World, origin: Origin| {
        world.origin = origin;
        let request = world.command(Command::Look);
        world.replies[&request].is_ok()
    };
    let changes = |world: &mut World, origin: Origin| {
        world.origin = origin;
        let before = world.disk.clone();
        let request =
            world.drop_share("www", None, f64::from(u32::try_from(world.last % 90).unwrap()));
        match &world.replies[&request] {
            Ok(_) => true,
            Err(refusal) => {
                assert_eq!(refusal.kind, RefusalKind::Denied);
                assert_eq!(world.disk, before);
                false
            }
        }
    };
    let table = [
        (Origin::local(), true, true),
        (certified(&["ops.example"]), true, true),
        (certified(&["noc.example"]), true, false),
        (certified(&["a.web.example"]), false, false),
        (Origin::default(), false, false),
    ];
    for (origin, may_look, may_change) in table {
        assert_eq!(looks(&mut world, origin.clone()), may_look, "{origin}");
        assert_eq!(changes(&mut world, origin.clone()), may_change, "{origin}");
    }
    let refused = world.events.iter().filter(|event| event.kind == "peer.refused");
    assert!(refused.clone().any(|event| {
        event.message.starts_with("`noc.example` from 198.51.100.7 may not change anything")
    }));
    assert_eq!(refused.count(), 5);
}

#[test]
fn with_certificates_and_no_rule_nobody_may_do_anything() {
    let rules = RULES.split("[[manager.allow]]").next().unwrap();
    let mut world = World::serving(rules);
    world.origin = certified(&["a.web.example"]);
    world.agent("web-1", 1, &[WEB]);
    let request = world.command(Command::Look);
    assert!(world.refusal(request).message.contains("no [[manager.allow]]"));
    world.pass(seconds(2));
    assert_eq!(world.state(WEB), "gone");
}

#[test]
fn sessions_binds_and_messages_have_limits() {
    let limits = "[manager.limits]\nsessions_per_identity = 2\nsessions_per_source = 3\n\
                  binds_per_agent = 1\n";
    let mut world = World::serving(&format!("{limits}{RULES}"));
    world.events.clear();
    world.origin = certified(&["a.web.example"]);
    world.agent("web-1", 1, &[WEB, "www/192.0.2.2:80"]);
    assert!(event(&world, "peer.limited").message.contains("2 bindings, and may have 1"));
    assert_eq!(world.state(WEB), "gone");

    world.pass(seconds(61));
    world.events.clear();
    for agent in ["web-1", "web-2", "web-3", "web-4"] {
        world.agent(agent, 1, &[WEB]);
    }
    assert!(event(&world, "peer.limited").message.contains("sessions_per_identity"));
    assert_eq!(world.agents.len(), 2, "{:?}", world.closed);
    world.events.clear();
    world.origin = certified(&["b.web.example"]);
    world.agent("web-3", 1, &["www/192.0.2.3:80"]);
    world.agent("web-4", 1, &["www/192.0.2.4:80"]);
    assert!(event(&world, "peer.limited").message.contains("sessions_per_source"));
    world.hang_up("web-2");
    world.agent("web-4", 1, &["www/192.0.2.4:80"]);
    assert_eq!(world.agents.len(), 3, "there is room again");
}

#[test]
fn one_that_sends_too_much_is_sent_away_for_a_while_and_told_of_once() {
    let mut world = guarded();
    world.origin = certified(&["a.web.example"]);
    let session = world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(2));
    world.feed(Input::Excess { session });
    let (closed, why) = world.closed.last().unwrap().clone();
    assert_eq!(closed, session);
    assert!(
        why.contains("agent `web-1` of `a.web.example`") && why.contains("1000 messages"),
        "{why}"
    );
    assert_eq!(world.state(WEB), "down", "it is as if its connection had ended");
    for _ in 0..5 {
        let session = world.agent("web-1", 1, &[WEB]);
        assert_eq!(world.closed.last().unwrap().0, session);
        assert!(world.closed.last().unwrap().1.contains("may come back in"));
    }
    assert_eq!(event(&world, "peer.limited").message, why);
    world.pass(seconds(11));
    world.agent("web-1", 2, &[WEB]);
    world.pass(seconds(2));
    assert_eq!(world.state(WEB), "active");
}
