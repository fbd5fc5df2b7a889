//! The server's side of connections that are broken.

use super::{world::closed, *};
use crate::model::ServerEnd;

const WEB: &str = "www/192.0.2.1:80";

/// A world where one agent's backend serves.
fn serving() -> World {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(2));
    assert_eq!(world.state(WEB), "active");
    world.events.clear();
    world
}

/// What agents were asked to close.
fn closes(world: &World) -> Vec<(BindingKey, ServerEnd)> {
    let told = world.told.iter().filter_map(|(_, message)| match message {
        ToAgent::Close { key, end, .. } => Some((key.clone(), end.clone())),
        _ => None,
    });
    told.collect()
}

#[test]
fn an_agent_closes_what_is_broken_and_says_so() {
    let mut world = serving();
    let session = world.agents["web-1"].session;
    world.remove(WEB);
    world.pass(seconds(59));
    assert!(closes(&world).is_empty(), "a drain lets connections end");
    world.pass(seconds(1));
    let end = ServerEnd { local: "203.0.113.10:80".parse().unwrap(), except: Vec::new() };
    assert_eq!(closes(&world)[0], (key(WEB), end), "the server owns the VIP");
    assert_eq!(world.count("connections.closed"), 1);
    let asked = closes(&world).len();
    world.pass(seconds(2));
    assert!(closes(&world).len() >= asked + 4, "with each heartbeat: others may turn up");
    // Nothing to close is nothing to tell, and of others' bindings an agent has nothing to say.
    let told = world.count("connections.closed");
    let last = world.agents["web-1"].sequence;
    world.feed(closed(session, key(WEB), 0, last));
    world.feed(closed(session, key("www/192.0.2.9:80"), 7, last));
    assert_eq!(world.count("connections.closed"), told);
    world.pass(seconds(20));
    let asked = closes(&world).len();
    world.pass(seconds(5));
    assert_eq!((world.state(WEB), closes(&world).len()), ("gone", asked));
}

#[test]
fn what_is_down_for_too_long_is_closed_and_serves_again_only_after_that() {
    let mut world = serving();
    world.set_agent("web-1", |agent| agent.health = Err("HTTP 500".to_owned()));
    world.pass(seconds(29));
    assert_eq!((world.on("edge", WEB), closes(&world).len()), (Some(Phase::Drain), 0));
    world.set_agent("web-1", |agent| agent.slow = true);
    world.pass(millis(1100));
    assert_eq!((world.on("edge", WEB), closes(&world).len()), (Some(Phase::Break), 1));
    world.set_agent("web-1", |agent| agent.health = Ok(()));
    world.pass(millis(700));
    assert_eq!(world.on("edge", WEB), Some(Phase::Break), "it may be closing connections");
    assert_eq!(closes(&world).len(), 1, "one request at a time");
    let session = world.agents["web-1"].session;
    let of_another = world.agents["web-1"].sequence;
    world.feed(closed(session, key(WEB), 3, of_another));
    assert_eq!(world.on("edge", WEB), Some(Phase::Break), "that answers another request");
    world.close("web-1", WEB, 3);
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("active", Some(Phase::Serve)));
}

/// An agent may hear a request late: when its binding is off the switches, its
/// session is over, and even when the manager has died that asked.
#[test]
fn nothing_serves_again_while_a_request_may_still_be_acted_on() {
    // No probe has to speak first.
    const MAIL: &str = "trusting/192.0.2.1:25";
    let slow = || {
        let mut world = World::learned();
        world.agent("web-1", 1, &[MAIL]);
        world.heartbeat("web-1");
        world.set_agent("web-1", |agent| agent.slow = true);
        world.force(MAIL);
        assert_eq!(closes(&world).len(), 1);
        world
    };
    let mut world = slow();
    world.hang_up("web-1");
    world.agent("web-1", 2, &[MAIL]);
    world.pass(millis(900));
    assert_eq!(world.on("edge", MAIL), Some(Phase::Break), "the older session's agent may close");
    world.pass(millis(200));
    assert_eq!((world.state(MAIL), world.on("edge", MAIL)), ("active", Some(Phase::Serve)));

    // Asked anew a moment before the binding is forgotten.
    let mut world = slow();
    world.pass(millis(400));
    world.close("web-1", MAIL, 3);
    world.pass(seconds(19));
    assert_eq!(world.state(MAIL), "broken");
    while world.state(MAIL) != "gone" {
        world.pass(millis(50));
    }
    world.add(MAIL, 100);
    assert_eq!(world.on("edge", MAIL), None, "asked a moment ago");
    world.pass(millis(1000));
    assert_eq!(world.on("edge", MAIL), Some(Phase::Serve));

    let mut world = slow();
    world.restart();
    world.connect("edge");
    world.agent("web-1", 2, &[MAIL]);
    world.pass(millis(900));
    assert_eq!(world.on("edge", MAIL), Some(Phase::Break), "its manager before may have asked");
    world.pass(millis(200));
    assert_eq!((world.state(MAIL), world.on("edge", MAIL)), ("active", Some(Phase::Serve)));
}

#[test]
fn an_agent_that_never_answers_holds_nothing_up_for_ever() {
    let mut world = serving();
    world.set_agent("web-1", |agent| agent.slow = true);
    world.force(WEB);
    world.pass(seconds(20));
    assert_eq!(world.state(WEB), "gone");
    world.add(WEB, 100);
    world.pass(seconds(2));
    assert_eq!(world.state(WEB), "active");
}

#[test]
fn a_new_session_is_asked_anew() {
    let mut world = serving();
    world.set_agent("web-1", |agent| agent.slow = true);
    world.force(WEB);
    world.hang_up("web-1");
    world.pass(seconds(1));
    assert_eq!(closes(&world).len(), 1);
    world.agent("web-1", 1, &[WEB]);
    world.heartbeat("web-1");
    assert_eq!(world.state(WEB), "broken");
    assert_eq!(closes(&world).len(), 1, "the same start of the agent no longer has it");
    let mut world = serving();
    world.hang_up("web-1");
    world.pass(seconds(31));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("down", Some(Phase::Break)));
    world.agent("web-1", 2, &[WEB]);
    world.agents.get_mut("web-1").unwrap().slow = true;
    world.heartbeat("web-1");
    assert_eq!(closes(&world).len(), 1, "what it holds is being broken");
    world.pass(millis(900));
    assert_eq!(world.state(WEB), "down", "not before its answer");
    world.close("web-1", WEB, 0);
    world.pass(seconds(2));
    assert_eq!(world.state(WEB), "active");
}

const SHARED: &str = r#"
[manager]
learning = "5s"
break_linger = "20s"

[[service]]
name = "any"
address = "203.0.113.10:*"
mode = "ipip"

[[service]]
name = "web"
address = "203.0.113.10:80"
mode = "ipip"

[[service]]
name = "names"
address = "203.0.113.10:53"
protocol = "udp"
mode = "ipip"
health = { probe = "none" }

[[service]]
name = "wide"
address = "203.0.113.0/24:80"
mode = "ipip"

[[service]]
name = "shop"
address = "203.0.113.99:443"
mode = "nat"

[[service]]
name = "all"
address = "198.51.100.1:*"
protocol = "tcp+udp"
mode = "nat"
"#;

#[test]
fn connections_of_another_service_are_none_of_it() {
    let mut world = World::serving(SHARED);
    let binds = [
        "any/192.0.2.1:22",
        "web/192.0.2.1:80",
        "names/192.0.2.1:53",
        "wide/192.0.2.1:80",
        "shop/192.0.2.1:8443",
        "shop/192.0.2.1:8444",
        "all/192.0.2.1:22",
    ];
    world.agent("s1", 1, &binds);
    world.pass(seconds(2));
    for bind in binds {
        assert_eq!(world.state(bind), "active", "{bind}");
        world.force(bind);
    }
    let mut ends: Vec<_> = closes(&world)
        .into_iter()
        .map(|(key, ServerEnd { local, except })| {
            let except: Vec<_> = except.iter().map(ToString::to_string).collect();
            format!("{key} {local} but {}", except.join(" "))
        })
        .collect();
    ends.dedup();
    assert_eq!(
        ends,
        [
            // UDP has no connections to close.
            "any/192.0.2.1:22 203.0.113.10:* but 203.0.113.10:80",
            "web/192.0.2.1:80 203.0.113.10:80 but ",
            "wide/192.0.2.1:80 203.0.113.0/24:80 but 203.0.113.10:* 203.0.113.10:80",
            "shop/192.0.2.1:8443 192.0.2.1:8443 but ",
            "shop/192.0.2.1:8444 192.0.2.1:8444 but ",
            // Of `all`, with any port, it would be all that the server has.
        ]
    );
}

/// Behind two of its addresses a server has the VIP once.
#[test]
fn a_server_with_another_binding_in_the_service_is_left_alone() {
    let mut world = World::learned();
    let other = "www/192.0.2.2:80";
    world.agent("web-1", 1, &[WEB, other]);
    world.pass(seconds(2));
    world.force(WEB);
    world.pass(seconds(1));
    assert!(closes(&world).is_empty(), "they may be the other's");
    world.force(other);
    assert_eq!(closes(&world).first().map(|(key, _)| key.clone()), Some(key(other)));
    // And what is being closed is waited for by both.
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB, other]);
    world.agents.get_mut("web-1").unwrap().slow = true;
    world.kill(other);
    world.pass(seconds(2));
    assert_eq!((world.state(WEB), world.state(other)), ("active", "pending"));
    world.pass(millis(700));
    world.force(WEB);
    world.revive(other);
    world.pass(millis(900));
    assert_eq!((world.state(other), closes(&world).len()), ("pending", 1));
    world.close("web-1", WEB, 3);
    assert_eq!(world.state(other), "active");
}

#[test]
fn a_servers_other_address_waits_also_where_the_operator_alone_vouches_for_it() {
    const OTHER: &str = "www/192.0.2.11:80";
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB, OTHER]);
    world.pass(seconds(2));
    world.force(OTHER);
    world.pass(seconds(21));
    assert_eq!(world.state(OTHER), "gone");
    world.set_agent("web-1", |agent| agent.slow = true);
    world.force(WEB);
    assert_eq!(closes(&world).last().map(|(key, _)| key.clone()), Some(key(WEB)));
    // The agent leaves, so that the add is the operator's alone.
    world.leave("web-1");
    world.add(OTHER, 100);
    let probe = world.probes.iter().find(|(_, backend)| **backend == key(OTHER).backend);
    let (probe, backend) = probe.map(|(probe, backend)| (*probe, *backend)).expect("a probe");
    world.probe(probe, backend);
    assert_eq!(world.state(OTHER), "pending", "the agent may be closing what ends there");
    world.close("web-1", WEB, 1);
    assert_eq!(world.state(OTHER), "active");
    // What serves there is nobody's to close.
    let asked = closes(&world).len();
    world.pass(seconds(3));
    assert_eq!(closes(&world).len(), asked);
}

#[test]
fn what_a_switch_is_found_to_serve_waits_too() {
    const OTHER: &str = "www/192.0.2.11:80";
    let mut world = World::learned();
    world.connect("late");
    world.agent("web-1", 1, &[WEB, OTHER]);
    world.pass(seconds(2));
    world.disconnect("late");
    world.hang_up("web-1");
    world.pass(seconds(60));
    world.agent("web-1", 2, &[WEB]);
    world.pass(seconds(2));
    world.set_agent("web-1", |agent| agent.slow = true);
    world.force(WEB);
    assert_eq!(closes(&world).last().map(|(key, _)| key.clone()), Some(key(WEB)));
    world.agent("web-1", 2, &[OTHER]);
    world.connect("late");
    assert_eq!(
        (world.on("edge", OTHER), world.on("late", OTHER)),
        (Some(Phase::Drain), Some(Phase::Drain))
    );
    world.pass(seconds(3));
    assert_eq!(
        (world.on("edge", OTHER), world.on("late", OTHER)),
        (Some(Phase::Serve), Some(Phase::Serve))
    );
}
