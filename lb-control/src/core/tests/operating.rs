//! The operator's commands.

use super::*;

const STATIC: &str = "api/192.0.2.50:8443";

/// A world where one agent's backend serves.
fn serving() -> World {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(2));
    world
}

#[test]
fn an_added_backend_serves_once_it_is_probed_and_the_answer_says_so() {
    let mut world = World::learned();
    let request = world.add(WEB, 50);
    assert_eq!(world.on("edge", WEB), None);
    assert!(!world.replies.contains_key(&request), "not before it is live");
    world.pass(seconds(1));
    assert_eq!(world.held("edge", WEB), Some(Binding::new(50, Phase::Serve)));
    let done = world.reply(request);
    assert_eq!(done.message, "added www/192.0.2.1:80 with weight 50");
    assert!(matches!(done.switches[..], [SwitchOutcome { live: Ok(_), .. }]), "{done:?}");
    assert_eq!(world.disk.adds, BTreeMap::from([(key(WEB), 50)]));
}

#[test]
fn an_added_backend_that_is_down_is_kept_and_the_answer_says_why() {
    let mut world = World::learned();
    world.kill(WEB);
    let request = world.add(WEB, 50);
    world.pass(seconds(3));
    let done = world.reply(request);
    assert!(done.message.contains("when it is healthy: probe: connection refused"), "{done:?}");
    world.pass(seconds(60));
    assert_eq!(world.state(WEB), "pending");
    world.revive(WEB);
    world.pass(seconds(1));
    assert_eq!(world.state(WEB), "active");
}

#[test]
fn an_add_is_answered_when_its_patience_is_over() {
    let mut world = World::learned();
    world.mute = true;
    let request = world.add(WEB, 50);
    world.pass(seconds(10));
    let done = world.reply(request);
    assert!(done.message.contains("not serving yet: waiting for its health"), "{done:?}");
}

#[test]
fn commands_that_cannot_be_carried_out_change_nothing_and_say_what_to_do() {
    let mut world = serving();
    world.pass(seconds(2));
    let before = (world.core.desired().clone(), world.disk.clone());
    let table: &[(RequestId, RefusalKind, &str)] = &[
        (
            world.add("web/192.0.2.1:80", 1),
            RefusalKind::NotFound,
            "no service `web`; this manager has: api, trusting, www",
        ),
        (world.add("www/[2001:db8::1]:80", 1), RefusalKind::Invalid, "different IP families"),
        (world.add(WEB, 1), RefusalKind::Exists, "use `sluice weight www 192.0.2.1:80 N`"),
        (world.add("trusting/192.0.2.7:25", 1), RefusalKind::Invalid, "only an agent can vouch"),
        (
            world.remove("www/192.0.2.9:80"),
            RefusalKind::NotFound,
            "no backend 192.0.2.9:80; it has: 192.0.2.1:80",
        ),
        (world.weight("api/192.0.2.9:80", 1), RefusalKind::NotFound, "it has: 192.0.2.50:8443"),
        (world.drop_share("web", None, 5.0), RefusalKind::NotFound, "no service `web`"),
        (
            world.drop_share("www", Some("bot"), 5.0),
            RefusalKind::NotFound,
            "no class `bot`; this manager has: bots, default",
        ),
    ];
    for (request, kind, part) in table {
        let refusal = world.refusal(*request);
        assert_eq!(refusal.kind, *kind, "{refusal}");
        assert!(refusal.message.contains(part), "{refusal}");
    }
    assert_eq!((world.core.desired().clone(), world.disk.clone()), before);
}

#[test]
fn a_graceful_removal_drains_breaks_and_is_gone() {
    let mut world = serving();
    let request = world.remove(WEB);
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("draining", Some(Phase::Drain)));
    assert!(world.reply(request).message.contains("the others have 60s"));
    world.pass(seconds(60));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("broken", Some(Phase::Break)));
    world.pass(seconds(20));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("gone", None));
}

#[test]
fn a_removal_keeps_to_the_commands_own_deadline() {
    let mut world = serving();
    let deadline = Some(seconds(5));
    world.command(Command::Remove { key: key(WEB), force: false, deadline, wait: false });
    world.pass(seconds(4));
    assert_eq!(world.on("edge", WEB), Some(Phase::Drain));
    world.pass(seconds(1));
    assert_eq!(world.on("edge", WEB), Some(Phase::Break));
}

#[test]
fn a_removal_ends_early_when_no_connection_is_left() {
    let mut world = serving();
    world.remove(WEB);
    world.set_agent("web-1", |agent| agent.connections = 0);
    world.pass(seconds(2));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("gone", None));
}

#[test]
fn a_forced_removal_breaks_at_once() {
    let mut world = serving();
    let request = world.force(WEB);
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("broken", Some(Phase::Break)));
    assert!(world.reply(request).message.contains("its connections are reset"));
    world.pass(seconds(20));
    assert_eq!(world.state(WEB), "gone");
}

#[test]
fn force_cuts_a_drain_short() {
    let mut world = serving();
    world.remove(WEB);
    world.pass(seconds(5));
    world.force(WEB);
    assert_eq!(world.on("edge", WEB), Some(Phase::Break));
}

#[test]
fn a_waiting_removal_is_answered_when_the_server_can_be_taken_away() {
    let wait = |force| Command::Remove { key: key(WEB), force, deadline: None, wait: true };
    let mut world = serving();
    let request = world.command(wait(false));
    world.pass(seconds(59));
    assert!(!world.replies.contains_key(&request), "no patience runs out while it drains");
    assert!(!world.view(WEB).removable);
    world.set_agent("web-1", |agent| agent.connections = 0);
    world.pass(Duration::from_millis(900));
    assert!(world.view(WEB).removable, "no connection is left, and nobody is in a hurry");
    assert!(!world.replies.contains_key(&request));
    world.pass(Duration::from_millis(150));
    let message = &world.reply(request).message;
    assert_eq!(message, "www/192.0.2.1:80 is gone: its server can be taken away");

    let mut world = serving();
    let (first, second) = (world.command(wait(false)), world.command(wait(true)));
    for request in [first, second] {
        let message = &world.reply(request).message;
        assert_eq!(message, "www/192.0.2.1:80 is broken: its server can be taken away");
    }

    let mut world = serving();
    world.switches.get_mut("edge").unwrap().held = true;
    world.set_agent("web-1", |agent| agent.slow = true);
    let request = world.command(wait(true));
    world.pass(seconds(5));
    assert!(!world.replies.contains_key(&request), "the switch may still send it packets");
    world.release("edge");
    world.pass(seconds(5));
    assert!(!world.replies.contains_key(&request), "its agent is closing connections");
    world.close("web-1", WEB, 3);
    assert!(world.reply(request).message.contains("can be taken away"));
}

#[test]
fn a_waiting_removal_is_answered_when_it_is_undone() {
    let mut world = serving();
    let request =
        world.command(Command::Remove { key: key(WEB), force: false, deadline: None, wait: true });
    world.add(WEB, 100);
    assert_eq!(world.reply(request).message, "www/192.0.2.1:80 was brought back meanwhile");
}

#[test]
fn a_removed_agents_backend_stays_away_until_the_agent_starts_anew() {
    let mut world = serving();
    world.force(WEB);
    world.pass(seconds(25));
    assert_eq!(world.state(WEB), "gone", "twenty heartbeats later");
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(3));
    assert_eq!(world.state(WEB), "gone", "the same start of the agent, connected again");
    world.hang_up("web-1");
    world.agent("web-1", 2, &[WEB]);
    world.pass(seconds(3));
    assert_eq!(world.state(WEB), "active");
    assert!(world.disk.removals.is_empty());
}

#[test]
fn a_removed_agents_backend_comes_back_by_add() {
    let mut world = serving();
    world.force(WEB);
    world.pass(seconds(25));
    let request = world.add(WEB, 7);
    world.pass(seconds(2));
    assert_eq!(world.held("edge", WEB), Some(Binding::new(7, Phase::Serve)));
    assert_eq!(world.view(WEB).agent, Some(name("web-1")), "its agent vouches for it, as before");
    assert!(world.reply(request).message.starts_with("added"));
    assert_eq!(world.disk.weights, BTreeMap::from([(key(WEB), 7)]));
    world.hang_up("web-1");
    assert_eq!(world.state(WEB), "down", "no static binding was left behind");
}

#[test]
fn adding_what_drains_brings_it_back() {
    let mut world = serving();
    world.remove(WEB);
    world.pass(seconds(5));
    world.add(WEB, 100);
    world.pass(seconds(2));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("active", Some(Phase::Serve)));
    assert_eq!(world.disk, Intent { term: 1, ..Intent::default() }, "nothing is overridden");
    world.pass(seconds(120));
    assert_eq!(world.state(WEB), "active", "the deadline is forgotten");
}

#[test]
fn adding_what_was_lost_makes_it_static() {
    let mut world = serving();
    world.hang_up("web-1");
    world.add(WEB, 30);
    world.pass(seconds(2));
    assert_eq!(world.held("edge", WEB), Some(Binding::new(30, Phase::Serve)));
    assert_eq!(world.disk.adds, BTreeMap::from([(key(WEB), 30)]));
}

#[test]
fn a_static_backend_of_the_file_can_be_removed_and_added_again() {
    let mut world = World::learned();
    world.force(STATIC);
    world.pass(seconds(30));
    assert_eq!(world.state(STATIC), "gone");
    assert!(world.disk.removals.contains_key(&key(STATIC)), "the file still has it");
    world.add(STATIC, 11);
    world.pass(seconds(2));
    assert_eq!(world.held("edge", STATIC), Some(Binding::new(11, Phase::Serve)));
    assert!(world.disk.removals.is_empty());
}

#[test]
fn an_added_backend_that_was_removed_leaves_nothing_behind() {
    let mut world = World::learned();
    world.add(WEB, 50);
    world.pass(seconds(1));
    world.force(WEB);
    world.pass(seconds(30));
    assert_eq!(world.state(WEB), "gone");
    assert_eq!(world.disk, Intent { term: 1, ..Intent::default() });
}

#[test]
fn a_weight_overrides_the_agent_and_is_kept() {
    let mut world = serving();
    let request = world.weight(WEB, 0);
    assert_eq!(world.held("edge", WEB), Some(Binding::new(0, Phase::Serve)));
    assert_eq!(
        world.reply(request).message,
        "www/192.0.2.1:80 has weight 0: it takes no new connections"
    );
    world.agent("web-1", 2, &[WEB]);
    world.pass(seconds(3));
    assert_eq!(world.held("edge", WEB).unwrap().weight, 0);
    assert_eq!(world.disk.weights, BTreeMap::from([(key(WEB), 0)]));
}

#[test]
fn a_weight_for_what_is_being_removed_is_refused() {
    let mut world = serving();
    world.remove(WEB);
    let request = world.weight(WEB, 5);
    assert_eq!(world.refusal(request).kind, RefusalKind::Precondition);
    assert!(world.refusal(request).message.contains("sluice add www 192.0.2.1:80 --weight 5"));
}

#[test]
fn a_drop_is_for_one_class_or_all_and_is_kept() {
    let mut world = World::learned();
    let refused = |world: &World, service: &str, class: &str| {
        let policies = &world.switches["edge"].state.policies;
        policies.get(&(name(service), name(class))).map_or(0.0, |policy| policy.refuse.percent())
    };
    assert_eq!(refused(&world, "api", "bots"), 25.0, "from the file");
    let request = world.drop_share("www", Some("bots"), 50.0);
    assert_eq!(refused(&world, "www", "bots"), 50.0);
    assert_eq!(refused(&world, "www", "default"), 0.0);
    assert!(world.reply(request).message.contains("refuses 50 %"), "{:?}", world.reply(request));
    world.drop_share("www", None, 12.5);
    assert_eq!((refused(&world, "www", "bots"), refused(&world, "www", "default")), (12.5, 12.5));
    assert_eq!(world.disk.drops.len(), 2);
    world.drop_share("www", None, 0.0);
    assert_eq!((refused(&world, "www", "bots"), refused(&world, "www", "default")), (0.0, 0.0));
    assert!(world.disk.drops.is_empty());
    // Nothing, where the file has something, is an override.
    world.drop_share("api", Some("bots"), 0.0);
    assert_eq!(refused(&world, "api", "bots"), 0.0);
    assert_eq!(world.disk.drops.len(), 1);
}

#[test]
fn an_intent_that_cannot_be_saved_is_said_and_tried_again() {
    let mut world = serving();
    world.disk_error = Some("no space left".to_owned());
    let request = world.weight(WEB, 9);
    assert!(world.reply(request).message.contains("NOT SAVED"), "{:?}", world.reply(request));
    assert_eq!(world.held("edge", WEB).unwrap().weight, 9, "live all the same");
    assert!(world.core.status().alarms.iter().any(|alarm| alarm.contains("no space left")));
    world.pass(seconds(20));
    assert_eq!(world.count("intent.unsaved"), 1, "one event for one trouble");
    world.disk_error = None;
    world.pass(seconds(5));
    assert_eq!(world.disk.weights, BTreeMap::from([(key(WEB), 9)]));
    assert_eq!(world.count("intent.saved"), 1);
    assert!(world.core.status().alarms.is_empty(), "{:?}", world.core.status().alarms);
}

#[test]
fn an_answer_waits_for_the_disk_and_the_switches_do_not() {
    let mut world = serving();
    world.disk_hangs = true;
    let request = world.weight(WEB, 9);
    assert_eq!(world.held("edge", WEB).unwrap().weight, 9);
    world.pass(seconds(7));
    assert!(!world.replies.contains_key(&request));
    world.pass(seconds(1));
    assert!(world.reply(request).message.contains("not saved yet"), "{:?}", world.reply(request));
    world.disk_hangs = false;
    let request = world.weight(WEB, 10);
    assert_eq!(world.reply(request).message, "www/192.0.2.1:80 has weight 10");
}
