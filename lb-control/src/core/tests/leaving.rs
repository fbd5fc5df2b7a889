//! Lost agents, orderly leaves and the end of a drain.

use super::*;

#[test]
fn missed_heartbeats_drain_at_once_and_break_after_the_grace() {
    let mut world = World::serving_web();
    world.set_agent("web-1", |agent| agent.silent = true);
    world.pass(Duration::from_millis(950));
    assert_eq!(world.state(WEB), "active", "four heartbeats of 250 ms may be missed");
    world.pass(Duration::from_millis(50));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("down", Some(Phase::Drain)));
    assert_eq!(world.count("agent.lost"), 1);
    assert_eq!(world.view(WEB).reason, "agent `web-1` is lost: silent for 1s");
    world.pass(seconds(30));
    assert_eq!(world.on("edge", WEB), Some(Phase::Break));
    world.pass(seconds(20));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("gone", None));
    assert!(world.probes.values().all(|backend| *backend != key(WEB).backend), "no probe is left");
}

#[test]
fn a_stream_that_ends_without_a_leave_is_a_loss_at_once() {
    let mut world = World::serving_web();
    world.hang_up("web-1");
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("down", Some(Phase::Drain)));
}

#[test]
fn an_agent_that_comes_back_in_time_serves_again() {
    let mut world = World::serving_web();
    world.hang_up("web-1");
    world.pass(seconds(5));
    world.agent("web-1", 2, &[WEB]);
    assert_eq!(world.on("edge", WEB), Some(Phase::Drain), "not before it is verified anew");
    world.pass(seconds(60));
    assert_eq!(world.on("edge", WEB), Some(Phase::Serve));
    assert_eq!(world.count("binding.broken"), 0);
}

#[test]
fn a_leave_drains_until_no_connection_is_left() {
    let mut world = World::serving_web();
    world.leave("web-1");
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("draining", Some(Phase::Drain)));
    assert_eq!(world.view(WEB).deadline_left, Some(seconds(60)));
    world.pass(seconds(10));
    assert_eq!(world.state(WEB), "draining", "three connections are left");
    world.set_agent("web-1", |agent| agent.connections = 0);
    assert!(world.view(WEB).removable);
    world.pass(Duration::from_millis(900));
    assert_eq!(world.state(WEB), "draining", "a handshake may be under way");
    world.pass(Duration::from_millis(200));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("gone", None));
    assert_eq!(world.count("binding.broken"), 0);
    world.pass(seconds(5));
    assert_eq!(world.state(WEB), "gone", "heartbeats of one that leaves bind nothing");
}

#[test]
fn a_connection_that_appears_during_a_drain_is_waited_for() {
    let mut world = World::serving_web();
    world.leave("web-1");
    world.set_agent("web-1", |agent| agent.connections = 0);
    world.pass(Duration::from_millis(500));
    world.set_agent("web-1", |agent| agent.connections = 1);
    world.pass(seconds(20));
    assert_eq!(world.state(WEB), "draining");
    assert!(!world.view(WEB).removable);
}

#[test]
fn a_drain_that_is_not_live_everywhere_does_not_end_early() {
    let mut world = World::serving_web();
    world.switches.get_mut("edge").unwrap().held = true;
    world.leave("web-1");
    world.set_agent("web-1", |agent| agent.connections = 0);
    world.pass(seconds(10));
    assert_eq!(world.state(WEB), "draining", "the switch may still send it connections");
    world.release("edge");
    world.pass(seconds(2));
    assert_eq!(world.state(WEB), "gone");
}

#[test]
fn a_drain_breaks_what_remains_at_its_deadline() {
    let mut world = World::serving_web();
    world.leave("web-1");
    world.pass(seconds(59));
    assert_eq!(world.on("edge", WEB), Some(Phase::Drain));
    world.pass(seconds(1));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("broken", Some(Phase::Break)));
    world.pass(seconds(20));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("gone", None));
}

#[test]
fn an_agent_that_left_with_no_connection_is_done() {
    let mut world = World::serving_web();
    world.leave("web-1");
    world.set_agent("web-1", |agent| agent.connections = 0);
    world.hang_up("web-1");
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("gone", None));
    assert_eq!(world.count("agent.left"), 1);
    assert_eq!(world.count("agent.lost"), 0);
}

#[test]
fn an_agent_that_left_with_connections_drains_on() {
    let mut world = World::serving_web();
    world.leave("web-1");
    world.hang_up("web-1");
    world.pass(seconds(50));
    assert_eq!(world.state(WEB), "draining");
    world.pass(seconds(10));
    assert_eq!(world.state(WEB), "broken");
}

#[test]
fn a_server_lost_while_it_drains_is_broken_like_any_lost_server() {
    let mut world = World::serving_web();
    world.remove(WEB);
    world.hang_up("web-1");
    world.pass(seconds(29));
    assert_eq!(world.on("edge", WEB), Some(Phase::Drain));
    world.pass(seconds(1));
    assert_eq!(world.on("edge", WEB), Some(Phase::Break));
}

#[test]
fn an_agent_that_starts_anew_ends_its_leave() {
    let mut world = World::serving_web();
    world.leave("web-1");
    world.hang_up("web-1");
    world.pass(seconds(5));
    world.agent("web-1", 2, &[WEB]);
    world.pass(seconds(2));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("active", Some(Phase::Serve)));
}

#[test]
fn a_reconnect_of_the_same_boot_does_not_end_a_leave() {
    let mut world = World::serving_web();
    world.leave("web-1");
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(5));
    assert_eq!(world.state(WEB), "draining");
}

#[test]
fn a_static_backend_survives_its_agent() {
    let mut world = World::serving_web();
    let binding = "api/192.0.2.50:8443";
    world.agent("api-1", 1, &[binding]);
    world.pass(seconds(3));
    assert_eq!(world.view(binding).agent, Some(name("api-1")));
    world.hang_up("api-1");
    assert_eq!(world.state(binding), "active", "the file and the probe vouch for it");
    assert_eq!(world.view(binding).agent, None);
}

#[test]
fn an_agent_that_leaves_asks_for_nothing_more() {
    let mut world = World::serving_web();
    let other = "api/192.0.2.50:8443";
    world.leave("web-1");
    world.agent("web-1", 1, &[WEB, other]);
    world.pass(seconds(3));
    assert_eq!((world.state(other), world.view(other).agent), ("active", None));
}

#[test]
fn an_agent_is_told_in_the_words_of_its_contract() {
    let mut world = World::serving_web();
    world.force(WEB);
    world.pass(seconds(25));
    let states: Vec<_> = world
        .told
        .iter()
        .filter_map(|(_, message)| match message {
            ToAgent::Notice { state, .. } => Some(*state),
            _ => None,
        })
        .collect();
    assert_eq!(states, ["pending", "active", "down", "removed"]);
}
