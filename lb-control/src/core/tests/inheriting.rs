//! What a manager takes over from the one before it, whose agents may still be
//! closing connections: for as long, nothing begins to serve on any switch.

use super::*;
use crate::model::{CLOSE_WITHIN, Policy, Share};

/// No probe has to speak first.
const MAIL: &str = "trusting/192.0.2.1:25";
const STATIC: &str = "www/192.0.2.9:80";

/// A manager dies that was breaking a binding: `edge` has heard of that, `late`
/// has missed it. Its agent is well again, and has not answered.
fn half_broken() -> World {
    let mut world = World::learned();
    world.connect("late");
    world.agent("mail-1", 1, &[MAIL]);
    world.pass(seconds(1));
    world.disconnect("late");
    world.set_agent("mail-1", |agent| {
        (agent.slow, agent.health) = (true, Err("HTTP 500".to_owned()));
    });
    world.pass(seconds(31));
    assert_eq!(
        (world.on("edge", MAIL), world.on("late", MAIL)),
        (Some(Phase::Break), Some(Phase::Serve))
    );
    let asked = |(_, message): &(_, ToAgent)| matches!(message, ToAgent::Close { .. });
    assert!(world.told.iter().any(asked));
    world.agents.get_mut("mail-1").unwrap().health = Ok(());
    world.restart();
    world
}

/// The agent's next session.
fn back(world: &mut World) {
    world.agent("mail-1", 1, &[MAIL]);
    world.heartbeat("mail-1");
}

#[test]
fn what_one_switch_has_missed_serves_on_there_and_begins_nowhere_else() {
    let mut world = half_broken();
    world.connect("late");
    world.connect("edge");
    world.connect("empty");
    back(&mut world);
    let weight = world.weight(MAIL, 7);
    world.pass(millis(900));
    assert_eq!(world.state(MAIL), "active");
    assert_eq!(world.held("late", MAIL), Some(Binding::new(7, Phase::Serve)), "it never ceased");
    assert_eq!(world.on("edge", MAIL), Some(Phase::Break), "what begins would be closed");
    assert_eq!(world.on("empty", MAIL), None);
    assert!(!world.replies.contains_key(&weight), "it is not live on all of them");
    world.pass(millis(100));
    for switch in ["late", "edge", "empty"] {
        assert_eq!(world.held(switch, MAIL), Some(Binding::new(7, Phase::Serve)), "{switch}");
    }
    let done = world.reply(weight);
    assert!(done.switches.len() == 3 && done.switches.iter().all(|one| one.live.is_ok()));
}

#[test]
fn what_else_there_is_for_such_a_switch_is_not_held_up() {
    let mut world = half_broken();
    world.connect("late");
    world.connect("edge");
    back(&mut world);
    world.pass(millis(100));
    let refuse = world.drop_share("trusting", None, 50.0);
    let place = (name("trusting"), name("default"));
    for switch in ["late", "edge"] {
        assert!(world.switches[switch].state.policies.contains_key(&place), "{switch}");
    }
    assert_eq!(world.on("edge", MAIL), Some(Phase::Break));
    assert!(!world.replies.contains_key(&refuse), "`edge` has not all yet");
    world.pass(seconds(1));
    assert!(world.reply(refuse).switches.iter().all(|one| one.live.is_ok()));
}

#[test]
fn what_somebody_changes_there_meanwhile_is_undone_at_once() {
    let mut world = half_broken();
    world.connect("late");
    world.connect("edge");
    back(&mut world);
    world.pass(millis(100));
    let place = (name("trusting"), name("default"));
    world.tamper("edge", |edge| {
        let policy = Policy { refuse: Share::ALL, ..Policy::default() };
        edge.state.policies.insert(place.clone(), policy);
    });
    assert!(!world.switches["edge"].state.policies.contains_key(&place));
    assert_eq!(world.on("edge", MAIL), Some(Phase::Break), "that still waits");
}

/// It drains on the one, and is being broken on the other.
#[test]
fn what_is_found_draining_waits_too() {
    let mut world = half_broken();
    let drain = Binding::new(100, Phase::Drain);
    world.switches.get_mut("late").unwrap().state.bindings.insert(key(MAIL), drain);
    world.connect("late");
    world.connect("edge");
    back(&mut world);
    world.pass(millis(900));
    assert_eq!((world.state(MAIL), world.on("late", MAIL)), ("unknown", Some(Phase::Drain)));
    world.pass(millis(200));
    assert_eq!((world.state(MAIL), world.on("late", MAIL)), ("active", Some(Phase::Serve)));
}

#[test]
fn what_an_operator_added_waits_for_an_agent_that_is_not_back_yet() {
    let mut world = World::learned();
    world.add(STATIC, 100);
    world.pass(seconds(4));
    assert_eq!(world.on("edge", STATIC), Some(Phase::Serve));
    world.switches.get_mut("edge").unwrap().state.bindings.remove(&key(STATIC));
    world.restart();
    world.connect("edge");
    let probes = world.probes.clone();
    let (probe, backend) =
        probes.into_iter().find(|(_, backend)| *backend == key(STATIC).backend).unwrap();
    (0..3).for_each(|_| world.probe(probe, backend));
    world.pass(millis(900));
    assert_eq!((world.state(STATIC), world.on("edge", STATIC)), ("pending", None));
    world.pass(millis(100));
    assert_eq!((world.state(STATIC), world.on("edge", STATIC)), ("active", Some(Phase::Serve)));
}

#[test]
fn a_first_manager_inherits_nothing_unless_a_switch_knows_another() {
    let first = || World::start(Intent { term: 1, ..Intent::default() });
    let mut world = first();
    world.connect("edge");
    back(&mut world);
    assert_eq!(world.on("edge", MAIL), Some(Phase::Serve));
    // The intent of the one before was lost.
    let mut world = first();
    let stamp = Stamp { term: 3, sequence: 9 };
    world.switches.insert("edge".to_owned(), FakeSwitch { stamp, ..FakeSwitch::default() });
    world.connect("edge");
    back(&mut world);
    world.pass(CLOSE_WITHIN - millis(100));
    assert_eq!(world.on("edge", MAIL), None);
    world.pass(millis(100));
    assert_eq!(world.on("edge", MAIL), Some(Phase::Serve));
}
