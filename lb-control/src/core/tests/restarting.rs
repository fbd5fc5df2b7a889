//! What a manager that has just started does with what it finds.

use super::*;

const STATIC: &str = "api/192.0.2.50:8443";

/// Two agents' backends serve, and a static one.
fn serving() -> World {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB]);
    world.agent("web-2", 1, &[OTHER]);
    world.pass(seconds(3));
    world
}

/// Agents connect again with the boot that they had.
fn reconnect(world: &mut World, agents: &[(&str, &str)]) {
    for (agent, binding) in agents {
        let boot = world.agents.get(*agent).map_or(1, |agent| agent.boot);
        world.agent(agent, boot, &[binding]);
    }
}

#[test]
fn a_restart_with_everybody_there_changes_nothing_on_the_switches() {
    let mut world = serving();
    let before = world.switches["edge"].clone();
    world.restart();
    world.connect("edge");
    reconnect(&mut world, &[("web-1", WEB), ("web-2", OTHER)]);
    world.pass(seconds(20));
    assert_eq!(world.switches["edge"].deltas.len(), before.deltas.len(), "not even one delta");
    assert_eq!(world.switches["edge"].state, before.state);
    for binding in [WEB, OTHER, STATIC] {
        assert_eq!(world.state(binding), "active");
    }
}

#[test]
fn the_order_of_agents_and_switches_does_not_matter() {
    let mut world = serving();
    let before = world.switches["edge"].clone();
    world.restart();
    world.mute = true;
    reconnect(&mut world, &[("web-1", WEB), ("web-2", OTHER)]);
    world.pass(seconds(1));
    assert_eq!(world.state(WEB), "pending", "not probed yet");
    world.connect("edge");
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("unknown", Some(Phase::Serve)));
    world.mute = false;
    world.pass(seconds(20));
    assert_eq!(world.state(WEB), "active");
    assert_eq!(world.switches["edge"].deltas.len(), before.deltas.len());
}

#[test]
fn what_nobody_vouches_for_is_drained_only_after_learning() {
    let mut world = serving();
    world.restart();
    world.connect("edge");
    reconnect(&mut world, &[("web-1", WEB)]);
    world.pass(seconds(4));
    assert_eq!((world.state(OTHER), world.on("edge", OTHER)), ("unknown", Some(Phase::Serve)));
    world.pass(seconds(1));
    assert_eq!((world.state(OTHER), world.on("edge", OTHER)), ("draining", Some(Phase::Drain)));
    assert_eq!(world.count("binding.unvouched"), 1);
    assert_eq!(world.state(WEB), "active");
    world.pass(seconds(60));
    assert_eq!(world.on("edge", OTHER), Some(Phase::Break));
    world.pass(seconds(20));
    assert_eq!((world.state(OTHER), world.on("edge", OTHER)), ("gone", None));
}

#[test]
fn an_agent_that_comes_late_saves_its_backend() {
    let mut world = serving();
    world.restart();
    world.connect("edge");
    reconnect(&mut world, &[("web-2", OTHER)]);
    world.pass(seconds(8));
    assert_eq!(world.on("edge", WEB), Some(Phase::Drain));
    reconnect(&mut world, &[("web-1", WEB)]);
    world.pass(seconds(2));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("active", Some(Phase::Serve)));
}

#[test]
fn a_switch_that_comes_after_learning_brings_nothing_unvouched_back() {
    let mut world = serving();
    world.restart();
    reconnect(&mut world, &[("web-2", OTHER)]);
    world.pass(seconds(6));
    world.connect("edge");
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("draining", Some(Phase::Drain)));
}

#[test]
fn what_was_being_broken_is_not_mended() {
    let mut world = serving();
    world.hang_up("web-1");
    world.pass(seconds(31));
    assert_eq!(world.on("edge", WEB), Some(Phase::Break));
    world.restart();
    world.connect("edge");
    world.pass(seconds(6));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("broken", Some(Phase::Break)));
    world.pass(seconds(20));
    assert_eq!(world.state(WEB), "gone");
}

#[test]
fn a_backend_that_died_meanwhile_is_taken_out() {
    let mut world = serving();
    world.restart();
    world.kill(STATIC);
    world.connect("edge");
    assert_eq!(world.state(STATIC), "unknown");
    world.pass(seconds(3));
    assert_eq!((world.state(STATIC), world.on("edge", STATIC)), ("down", Some(Phase::Drain)));
}

#[test]
fn the_operators_commands_outlive_the_manager() {
    let mut world = serving();
    world.add("www/192.0.2.3:80", 30);
    world.weight(WEB, 7);
    world.drop_share("www", Some("bots"), 40.0);
    world.force(STATIC);
    world.pass(seconds(30));
    let before = world.switches["edge"].state.clone();
    world.restart();
    world.connect("edge");
    reconnect(&mut world, &[("web-1", WEB), ("web-2", OTHER)]);
    world.pass(seconds(30));
    assert_eq!(world.switches["edge"].state, before);
    assert_eq!(world.state(STATIC), "gone");
    assert_eq!(world.held("edge", WEB).unwrap().weight, 7);
}

#[test]
fn a_removal_goes_on_after_a_restart_with_its_own_deadline() {
    let mut world = serving();
    let deadline = Some(seconds(600));
    world.command(Command::Remove { key: key(WEB), force: false, deadline, wait: false });
    world.pass(seconds(5));
    world.restart();
    world.connect("edge");
    reconnect(&mut world, &[("web-1", WEB)]);
    world.pass(seconds(590));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("draining", Some(Phase::Drain)));
    world.pass(seconds(40));
    assert_eq!(world.state(WEB), "gone", "the agent's heartbeats do not bring it back");
}

#[test]
fn a_removal_of_a_backend_without_an_agent_holds_for_the_first_agent_that_comes() {
    let mut world = serving();
    world.restart();
    world.connect("edge");
    // The agent has not connected yet, so that its boot is not known.
    world.remove(WEB);
    reconnect(&mut world, &[("web-1", WEB)]);
    world.pass(seconds(3));
    assert_eq!(world.state(WEB), "draining");
    world.hang_up("web-1");
    world.agent("web-1", 2, &[WEB]);
    world.pass(seconds(3));
    assert_eq!(world.state(WEB), "active", "it was started after the removal");
}

#[test]
fn a_removal_of_what_a_switch_has_brought_back_holds_for_the_agent_that_had_it() {
    let mut world = serving();
    let stale = world.switches["edge"].clone();
    world.force(WEB);
    world.pass(seconds(25));
    assert_eq!(world.state(WEB), "gone");
    // A switch brings it back that was away meanwhile, and the operator asks again.
    world.switches.insert("late".to_owned(), stale);
    world.connect("late");
    world.force(WEB);
    world.hang_up("web-1");
    world.pass(seconds(25));
    assert_eq!(world.state(WEB), "gone");
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(5));
    assert_eq!(world.state(WEB), "gone", "it did not start anew");
    world.agent("web-1", 2, &[WEB]);
    world.pass(seconds(5));
    assert_eq!(world.state(WEB), "active");
}

#[test]
fn what_a_switch_holds_and_the_file_no_longer_allows_goes_at_once() {
    let mut world = serving();
    let edge = world.switches.get_mut("edge").unwrap();
    let mut service = edge.state.services[&name("www")].clone();
    service.name = name("old");
    service.address = "203.0.113.99:80".parse().unwrap();
    edge.state.services.insert(name("old"), service);
    let held = Binding::new(1, Phase::Serve);
    edge.state.bindings.insert(key("old/192.0.2.8:80"), held);
    edge.state.bindings.insert(key("www/192.0.2.8:8080"), held);
    world.restart();
    world.connect("edge");
    let state = &world.switches["edge"].state;
    assert!(!state.services.contains_key(&name("old")));
    assert!(
        !state.bindings.contains_key(&key("www/192.0.2.8:8080")),
        "the port cannot be translated"
    );
    assert_eq!(world.count("binding.misfit"), 1);
    assert_eq!(world.on("edge", WEB), Some(Phase::Serve));
}

#[test]
fn an_intent_that_no_longer_fits_the_file_is_kept_and_shown() {
    let mut intent = Intent { term: 7, ..Intent::default() };
    intent.adds.insert(key("gone/192.0.2.1:80"), 10);
    intent.drops.insert((name("www"), name("nobody")), Policy::default());
    let mut world = World::start(intent.clone());
    world.connect("edge");
    assert_eq!(world.count("intent.ignored"), 2);
    assert_eq!(world.core.status().alarms.len(), 2);
    world.weight(STATIC, 3);
    assert_eq!((&world.disk.adds, &world.disk.drops), (&intent.adds, &intent.drops));
}

#[test]
fn a_file_that_contradicts_itself_is_an_error() {
    let mut settings = settings(CONFIG);
    let www = settings.services[&name("www")].spec.address;
    settings.services.get_mut(&name("api")).unwrap().spec.address = www;
    let error = Core::new(settings, Intent::default()).unwrap_err().to_string();
    assert!(error.contains("already the address of service `api`"), "{error}");
}
