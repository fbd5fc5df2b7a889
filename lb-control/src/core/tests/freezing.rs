//! A service of which too much is lost at once.

use super::*;

const SERVERS: [&str; 4] =
    ["www/192.0.2.1:80", "www/192.0.2.2:80", "www/192.0.2.3:80", "www/192.0.2.4:80"];
const AGENTS: [&str; 4] = ["web-1", "web-2", "web-3", "web-4"];

/// Four agents' backends serve.
fn serving() -> World {
    let mut world = World::learned();
    for (agent, server) in AGENTS.iter().zip(SERVERS) {
        world.agent(agent, 1, &[server]);
    }
    world.pass(seconds(3));
    assert_eq!(states(&world), ["active"; 4]);
    world.events.clear();
    world
}

fn states(world: &World) -> [&'static str; 4] {
    SERVERS.map(|server| world.state(server))
}

fn serve(world: &World) -> [bool; 4] {
    SERVERS.map(|server| world.on("edge", server) == Some(Phase::Serve))
}

fn silence(world: &mut World, agents: &[&str]) {
    for agent in agents {
        world.agents.get_mut(*agent).unwrap().silent = true;
    }
}

fn thaw(world: &mut World) -> RequestId {
    world.command(Command::Thaw { service: name("www") })
}

#[test]
fn half_of_a_service_lost_at_once_is_kept() {
    let mut world = serving();
    world.hang_up("web-1");
    assert_eq!(serve(&world), [false, true, true, true], "one alone is believed");
    world.pass(seconds(1));
    world.set_agent("web-2", |agent| agent.health = Err("HTTP 500".to_owned()));
    assert_eq!(serve(&world), [true; 4]);
    assert_eq!(states(&world), ["unknown", "unknown", "active", "active"]);
    let reason = world.view(SERVERS[0]).reason;
    assert_eq!(reason, "kept, its service is frozen: agent `web-1` is lost: its connection ended");
    assert_eq!(world.count("service.frozen"), 1);
    let alarms = world.core.status().alarms;
    assert!(alarms[0].contains("service `www` is frozen: 2 of 4 bindings were lost"), "{alarms:?}");
    // What is lost now is kept from the beginning, for as long as it takes.
    silence(&mut world, &["web-3", "web-4"]);
    world.pass(seconds(300));
    assert_eq!((serve(&world), world.count("service.frozen")), ([true; 4], 1));
    let told = world.count("binding.unknown");
    world.pass(seconds(10));
    assert_eq!(world.count("binding.unknown"), told, "said once");
}

#[test]
fn what_comes_back_thaws_it() {
    let mut world = serving();
    silence(&mut world, &AGENTS);
    world.pass(seconds(3));
    assert_eq!(serve(&world), [true; 4]);
    let deltas = world.switches["edge"].deltas.len();
    for (agent, server) in AGENTS.iter().zip(SERVERS).take(3) {
        world.agent(agent, 2, &[server]);
    }
    world.pass(seconds(4));
    assert_eq!(states(&world), ["active", "active", "active", "unknown"]);
    assert_eq!(world.count("service.thawed"), 0, "the last may be on its way");
    world.agent("web-4", 2, &[SERVERS[3]]);
    world.pass(seconds(3));
    assert_eq!((states(&world), world.count("service.thawed")), (["active"; 4], 1));
    assert_eq!(world.switches["edge"].deltas.len(), deltas, "no switch has seen any of it");
    assert!(world.core.status().alarms.is_empty());
}

#[test]
fn a_few_that_stay_away_go_after_a_while() {
    let mut world = serving();
    silence(&mut world, &["web-1", "web-2"]);
    world.pass(seconds(3));
    assert_eq!(states(&world), ["unknown", "unknown", "active", "active"]);
    world.agent("web-1", 2, &[SERVERS[0]]);
    world.pass(seconds(4));
    assert_eq!(serve(&world), [true; 4]);
    world.pass(seconds(5));
    assert_eq!(states(&world), ["active", "down", "active", "active"]);
    assert_eq!((serve(&world)[1], world.count("service.thawed")), (false, 1));
}

#[test]
fn the_operator_thaws_it() {
    let mut world = serving();
    let request = thaw(&mut world);
    assert!(world.refusal(request).message.contains("`www` is not frozen"));
    silence(&mut world, &["web-1", "web-2"]);
    world.pass(seconds(3));
    let request = thaw(&mut world);
    assert_eq!(world.reply(request).message, "www is thawed; 2 binding(s) that are missing go");
    assert_eq!(serve(&world), [false, false, true, true]);
    assert_eq!(states(&world), ["down", "down", "active", "active"], "and it does not freeze anew");
    world.pass(seconds(60));
    assert_eq!(states(&world), ["gone", "gone", "active", "active"]);
    let request = world.command(Command::Thaw { service: name("nothing") });
    assert_eq!(world.refusal(request).kind, RefusalKind::NotFound);
}

#[test]
fn what_is_asked_for_is_no_loss() {
    let mut world = serving();
    for agent in ["web-1", "web-2"] {
        world.leave(agent);
    }
    world.remove(SERVERS[2]);
    assert_eq!(serve(&world), [false, false, false, true]);
    // Nor does being frozen stop any of it.
    let mut world = serving();
    silence(&mut world, &["web-1", "web-2"]);
    world.pass(seconds(3));
    world.leave("web-3");
    world.force(SERVERS[0]);
    assert_eq!(serve(&world), [false, true, false, true]);
}

#[test]
fn one_after_the_other_and_one_machine_are_believed() {
    let mut world = serving();
    for agent in AGENTS {
        world.hang_up(agent);
        world.pass(seconds(6));
    }
    assert_eq!(serve(&world), [false; 4]);
    let mut world = World::learned();
    let ports = ["www/192.0.2.1:80", "api/192.0.2.1:8443", "api/192.0.2.1:8444"];
    world.agent("both", 1, &ports);
    world.kill("api/192.0.2.50:8443");
    world.pass(seconds(10));
    world.hang_up("both");
    assert_eq!(ports.map(|port| world.on("edge", port)), [Some(Phase::Drain); 3]);
}

#[test]
fn a_manager_that_starts_where_it_hears_nobody_takes_nothing_down() {
    let mut world = serving();
    world.restart();
    world.connect("edge");
    world.agent("web-1", 1, &[SERVERS[0]]);
    world.pass(seconds(60));
    assert_eq!((serve(&world), world.count("service.frozen")), ([true; 4], 1));
    let reason = world.view(SERVERS[1]).reason;
    assert_eq!(reason, "kept, its service is frozen: nobody vouches for it");
    thaw(&mut world);
    assert_eq!(states(&world), ["active", "draining", "draining", "draining"]);
    // The same when the edge comes late.
    let mut world = serving();
    world.restart();
    world.agent("web-1", 1, &[SERVERS[0]]);
    world.pass(seconds(8));
    world.connect("edge");
    world.pass(seconds(60));
    assert_eq!(serve(&world), [true; 4]);
    // One that nobody vouches for is another matter.
    let mut world = serving();
    world.restart();
    world.connect("edge");
    for (agent, server) in AGENTS.iter().zip(SERVERS).take(3) {
        world.agent(agent, 1, &[server]);
    }
    world.pass(seconds(10));
    assert_eq!(serve(&world), [true, true, true, false]);
}

#[test]
fn probes_that_all_fail_at_once_are_not_believed() {
    let mut world = World::learned();
    for server in SERVERS {
        world.add(server, 100);
    }
    world.pass(seconds(3));
    assert_eq!(states(&world), ["active"; 4]);
    for server in SERVERS {
        world.kill(server);
    }
    world.pass(seconds(30));
    assert_eq!(serve(&world), [true; 4]);
    for server in SERVERS {
        world.revive(server);
    }
    world.pass(seconds(4));
    assert_eq!((states(&world), world.count("service.thawed")), (["active"; 4], 1));
}

#[test]
fn what_does_not_serve_is_not_missed() {
    // A manager starts, and finds a binding that was being broken.
    let mut world = serving();
    let edge = world.switches.get_mut("edge").unwrap();
    edge.state.bindings.get_mut(&key(SERVERS[0])).unwrap().phase = Phase::Break;
    world.restart();
    for (agent, server) in AGENTS.iter().zip(SERVERS) {
        world.agent(agent, 1, &[server]);
    }
    for agent in ["web-1", "web-2"] {
        world.set_agent(agent, |agent| agent.health = Err("HTTP 500".to_owned()));
    }
    world.pass(millis(500));
    world.connect("edge");
    world.pass(seconds(2));
    assert_eq!(world.count("service.frozen"), 0);
    assert_eq!(serve(&world), [false, false, true, true]);
}

#[test]
fn what_is_found_of_an_agent_that_leaves_is_no_loss() {
    let mut world = serving();
    world.connect("other");
    world.disconnect("other");
    world.leave("web-1");
    world.pass(seconds(90));
    assert_eq!(world.state(SERVERS[0]), "gone");
    world.connect("other");
    assert_eq!(world.state(SERVERS[0]), "draining");
    world.set_agent("web-2", |agent| agent.health = Err("HTTP 500".to_owned()));
    assert_eq!(world.count("service.frozen"), 0);
    assert_eq!(serve(&world), [false, false, true, true]);
}

#[test]
fn a_thaw_of_what_is_not_frozen_changes_nothing() {
    let mut world = serving();
    world.hang_up("web-1");
    let request = thaw(&mut world);
    assert!(world.refusal(request).message.contains("`www` is not frozen"));
    world.hang_up("web-2");
    assert_eq!(world.count("service.frozen"), 1, "both losses count");
}
