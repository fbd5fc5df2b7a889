//! Switches that are changed behind the manager's back.

use super::*;
use crate::model::Drift;

const ALIEN: &str = "www/192.0.2.99:80";

/// Two switches and two serving backends.
fn serving() -> World {
    let mut world = World::learned();
    world.connect("spare");
    world.agent("web-1", 1, &[WEB]);
    world.agent("web-2", 1, &[OTHER]);
    world.pass(seconds(2));
    world.events.clear();
    world
}

fn drifts(world: &World) -> (u64, Option<DriftView>) {
    let view = world.core.switches(world.now).remove(0);
    assert_eq!(view.name, name("edge"));
    (view.drifts, view.drift)
}

fn is_alarmed(world: &World) -> bool {
    world.core.status().alarms.iter().any(|alarm| alarm.contains("behind the manager's back"))
}

/// The switch holds what it should, and the core knows that it does.
fn converged(world: &World, switch: &str) -> bool {
    let held = &world.switches[switch];
    held.state == *world.core.desired() && held.unanswered.is_empty() && {
        let waits = world.core.totals().waiting;
        waits == 0
    }
}

#[test]
fn what_somebody_changed_is_told_counted_and_undone_by_a_delta() {
    let mut world = serving();
    let before = world.switches["edge"].deltas.len();
    world.tamper("edge", |edge| {
        edge.state.bindings.remove(&key(WEB));
        edge.state.bindings.insert(key(OTHER), Binding::new(7, Phase::Drain));
    });
    assert!(converged(&world, "edge"));
    assert_eq!(world.switches["edge"].deltas.len(), before + 1);
    assert_eq!(world.switches["edge"].deltas.last().unwrap().changes.len(), 2);
    assert_eq!(world.count("switch.drifted"), 1);
    assert_eq!(world.count("switch.connected"), 0, "it was there all the while");
    let told = world.events.iter().find(|event| event.kind == "switch.drifted").unwrap();
    assert_eq!(told.switch, Some(name("edge")));
    for word in ["2 change(s)", "www/192.0.2.1:80 is gone", "in phase drain with weight 7"] {
        assert!(told.message.contains(word), "{}", told.message);
    }
    // The delta that undid it follows from it.
    let live = world.events.iter().find(|event| event.kind == "delta.live").unwrap();
    assert!(live.delta.unwrap().events.1 >= told.sequence);
    world.pass(seconds(12));
    let (times, last) = drifts(&world);
    let last = last.unwrap();
    assert_eq!((times, last.changes, last.age, last.mended), (1, 2, seconds(12), true));
    assert!(is_alarmed(&world), "an operator may look a little later");
    world.pass(seconds(50));
    assert!(!is_alarmed(&world));
    let totals = world.core.totals().switches;
    assert_eq!((totals[0].drifts.times, totals[0].drifts.changes), (1, 2));
    assert_eq!(totals[1].drifts.times, 0, "the other switch is another");
}

#[test]
fn a_read_that_shows_what_it_should_says_nothing() {
    let mut world = serving();
    let before = world.switches["edge"].deltas.len();
    world.tamper("edge", |_| {});
    assert_eq!(world.switches["edge"].deltas.len(), before);
    assert!(world.events.is_empty(), "{:?}", world.events);
    assert_eq!(drifts(&world), (0, None));
    let request = world.weight(WEB, 3);
    assert!(world.reply(request).switches.iter().all(|outcome| outcome.live.is_ok()));
}

#[test]
fn many_differences_are_not_all_named() {
    let mut world = serving();
    world.tamper("edge", |edge| {
        for last in 20..40 {
            let key = key(&format!("www/192.0.2.{last}:80"));
            edge.state.bindings.insert(key, Binding::new(1, Phase::Serve));
        }
    });
    let what = drifts(&world).1.unwrap().what;
    assert!(what.ends_with(", and 17 more"), "{what}");
}

#[test]
fn a_switch_that_lost_everything_is_refilled() {
    let mut world = serving();
    world.tamper("edge", |edge| {
        *edge = FakeSwitch { session: edge.session, ..FakeSwitch::default() }
    });
    assert!(converged(&world, "edge"));
    assert_eq!((world.count("switch.drifted"), world.count("switch.refilled")), (1, 1));
}

#[test]
fn what_nobody_vouches_for_drains_though_nothing_was_lost() {
    let mut world = serving();
    world.tamper("edge", |edge| {
        edge.state.bindings.insert(key(ALIEN), Binding::new(5, Phase::Serve));
        edge.state.bindings.insert(key("www/192.0.2.98:80"), Binding::new(5, Phase::Serve));
    });
    for switch in ["edge", "spare"] {
        assert_eq!(world.on(switch, ALIEN), Some(Phase::Drain), "{switch}");
        assert_eq!(world.on(switch, WEB), Some(Phase::Serve));
    }
    assert!(world.core.totals().frozen.is_empty(), "half of the service is not lost");
    world.pass(seconds(90));
    assert_eq!(world.on("edge", ALIEN), None);
}

#[test]
fn a_refused_version_stays_held_back() {
    let mut world = serving();
    world.switches.get_mut("edge").unwrap().refuses = Some("no room".to_owned());
    world.weight(WEB, 5);
    world.pass(seconds(20));
    // At 0, 1, 3, 7, 15 seconds; next at 31.
    let sent = world.switches["edge"].deltas.len();
    assert_eq!(world.count("switch.refused"), 5);
    for weight in 0..3 {
        world.tamper("edge", |edge| {
            edge.state.bindings.insert(key(OTHER), Binding::new(weight, Phase::Serve));
        });
        world.pass(seconds(2));
    }
    assert_eq!(world.switches["edge"].deltas.len(), sent, "no delta before its time");
    assert_eq!(world.count("switch.drifted"), 3);
    assert!(!drifts(&world).1.unwrap().mended && is_alarmed(&world));
    assert_eq!(world.core.switches(world.now)[0].last_error, "no room");
    world.pass(seconds(10));
    assert_eq!(world.count("switch.refused"), 6);
    world.switches.get_mut("edge").unwrap().refuses = None;
    world.pass(seconds(40));
    assert!(converged(&world, "edge") && drifts(&world).1.unwrap().mended);
    assert_eq!(world.count("switch.accepted"), 1);
}

#[test]
fn a_hello_from_before_the_delta_under_way_crosses_it() {
    let mut world = serving();
    world.switches.get_mut("edge").unwrap().held = true;
    let request = world.weight(WEB, 5);
    // Read before the delta came: the switch applies that to what was changed.
    world.tamper("edge", |edge| {
        edge.state.bindings.remove(&key(OTHER));
    });
    assert_eq!(world.count("switch.drifted"), 1);
    assert_eq!(world.switches["edge"].unanswered.len(), 1, "the delta is still under way");
    assert!(!world.replies.contains_key(&request));
    world.release("edge");
    assert!(converged(&world, "edge"));
    assert!(world.reply(request).switches.iter().all(|outcome| outcome.live.is_ok()));
}

#[test]
fn a_binding_that_the_delta_under_way_takes_out_is_not_found_again() {
    let mut world = serving();
    world.force(WEB);
    world.switches.get_mut("edge").unwrap().held = true;
    world.pass(seconds(21));
    assert_eq!(world.state(WEB), "gone");
    assert!(world.on("edge", WEB).is_some(), "the delta has not come yet");
    world.tamper("edge", |edge| {
        edge.state.bindings.insert(key(OTHER), Binding::new(9, Phase::Serve));
    });
    assert_eq!(world.state(WEB), "gone");
    world.release("edge");
    assert!(converged(&world, "edge"));
    assert_eq!(world.on("edge", WEB), None);
}

#[test]
fn a_delta_that_no_longer_fits_is_made_anew_at_once() {
    let mut world = serving();
    world.switches.get_mut("edge").unwrap().held = true;
    world.weight(WEB, 5);
    world.tamper("edge", |edge| {
        *edge = FakeSwitch {
            session: edge.session,
            held: true,
            unanswered: std::mem::take(&mut edge.unanswered),
            ..FakeSwitch::default()
        };
    });
    world.release("edge");
    assert!(converged(&world, "edge"));
    assert_eq!(world.count("switch.refused"), 0, "it was the drift, and not the change");
    assert_eq!(world.held("edge", WEB).unwrap().weight, 5);
}

#[test]
fn another_managers_stamp_raises_the_term_at_once() {
    let mut world = serving();
    world.switches.get_mut("edge").unwrap().held = true;
    world.weight(WEB, 5);
    world.tamper("edge", |edge| {
        edge.stamp = Stamp { term: 41, sequence: 3 };
        edge.refuses = Some("not newer".to_owned());
    });
    assert_eq!(world.disk.term, 42);
    assert_eq!(world.count("switch.drifted"), 0, "it holds what it should");
    let edge = world.switches.get_mut("edge").unwrap();
    let session = edge.session.unwrap();
    let refusal = edge.answer(session);
    (edge.held, edge.refuses) = (false, None);
    world.feed(refusal);
    assert!(converged(&world, "edge"), "without a pause");
    assert_eq!(world.switches["edge"].stamp.term, 42);
}

#[test]
fn a_switch_that_helps_itself_says_so() {
    let mut world = serving();
    let session = world.switches["edge"].session.unwrap();
    let say = |world: &mut World, what: &str, repaired| {
        let drift = Drift { changes: 2, what: what.to_owned(), repaired };
        world.feed(Input::Switch { session, message: FromSwitch::Drifted(drift) });
    };
    let sent = world.switches["edge"].deltas.len();
    say(&mut world, "2 rows of BACKENDS", true);
    assert_eq!((world.count("switch.drifted"), drifts(&world).0), (1, 1));
    assert_eq!(world.switches["edge"].deltas.len(), sent, "there is nothing to undo");
    // What it cannot mend is an alarm until it can, and told once a minute.
    for _ in 0..15 {
        say(&mut world, "no program on eth0", false);
        world.pass(seconds(10));
    }
    assert_eq!((world.count("switch.drifted"), drifts(&world).0), (4, 16));
    world.pass(seconds(600));
    assert!(is_alarmed(&world) && !drifts(&world).1.unwrap().mended);
    say(&mut world, "no program on eth0", true);
    assert!(drifts(&world).1.unwrap().mended);
    world.pass(seconds(61));
    assert!(!is_alarmed(&world));
}
