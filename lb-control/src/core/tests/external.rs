//! Switches that the manager itself connects to, what they cannot do, and what each
//! holds beside what it should.

use super::*;

fn view(world: &World, switch: &str) -> SwitchView {
    let views = world.core.switches(world.now);
    views.into_iter().find(|view| view.name == name(switch)).unwrap()
}

fn is_alarmed(world: &World, what: &str) -> bool {
    world.core.status().alarms.iter().any(|alarm| alarm.contains(what))
}

#[test]
fn a_switch_that_cannot_be_reached_is_an_alarm_with_its_cause_until_it_says_hello() {
    let mut world = World::learned();
    let why = || "connection refused".to_owned();
    for _ in 0..3 {
        world.feed(Input::Unreachable { switch: name("box"), why: why() });
    }
    assert!(is_alarmed(&world, "switch `box` is not connected (connection refused)"));
    assert_eq!(world.count("switch.unreachable"), 1, "the same is told once");
    assert_eq!(view(&world, "box").last_error, why());
    world.connect("box");
    assert_eq!(view(&world, "box").last_error, "");
    assert!(!is_alarmed(&world, "box"));
    // What is heard late of a session that has been followed by another.
    world.feed(Input::Unreachable { switch: name("box"), why: why() });
    assert_eq!(view(&world, "box").last_error, "");
}

#[test]
fn what_a_switch_lacks_is_an_alarm_for_as_long_as_it_does() {
    let mut world = World::learned();
    world.connect("box");
    let session = world.switches["box"].session.unwrap();
    let lacks = |world: &mut World, what: &[&str]| {
        let what = what.iter().map(|&what| what.to_owned()).collect();
        world.feed(Input::Switch { session, message: FromSwitch::Lacks(what) });
    };
    lacks(&mut world, &["it has no UDP"]);
    lacks(&mut world, &["it has no UDP", "it has no IPv6"]);
    assert!(is_alarmed(&world, "switch `box`: it has no UDP"));
    let told = world.events.iter().filter(|event| event.kind == "switch.lacks");
    let told: Vec<_> = told.map(|event| event.message.as_str()).collect();
    assert_eq!(told, ["it has no UDP", "it has no IPv6"], "each is told once");
    assert_eq!(view(&world, "box").lacks.len(), 2);
    lacks(&mut world, &[]);
    assert!(!is_alarmed(&world, "box"));
}

#[test]
fn lag_is_the_time_since_a_switch_last_held_what_it_should() {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(2));
    assert_eq!(view(&world, "edge").lag, None);
    world.switches.get_mut("edge").unwrap().held = true;
    world.weight(WEB, 3);
    world.pass(seconds(2));
    world.weight(WEB, 4);
    world.pass(seconds(1));
    assert_eq!(view(&world, "edge").lag, Some(seconds(3)), "since the first of them");
    world.release("edge");
    world.release("edge");
    assert_eq!(view(&world, "edge").lag, None);
    world.disconnect("edge");
    world.pass(seconds(5));
    assert_eq!(view(&world, "edge").lag, Some(seconds(5)), "nobody knows what it holds");
}

#[test]
fn a_refill_is_shown_with_how_much_it_was() {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB, OTHER]);
    world.pass(seconds(2));
    world.disconnect("edge");
    *world.switches.get_mut("edge").unwrap() = FakeSwitch::default();
    world.connect("edge");
    world.pass(seconds(4));
    let (age, changes) = view(&world, "edge").refill.unwrap();
    assert_eq!(age, seconds(4));
    assert_eq!(changes, world.switches["edge"].deltas[0].changes.len());
    assert_eq!(world.count("switch.refilled"), 1);
}

#[test]
fn what_it_holds_stands_beside_what_it_should() {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB, OTHER]);
    world.pass(seconds(2));
    let beside = |world: &World| {
        let (differences, connected) = world.core.beside(&name("edge")).unwrap();
        let line = |a: &Alteration| {
            format!(
                "{:?} {} {} {}: {} -> {}",
                a.action, a.service, a.what, a.name, a.before, a.after
            )
        };
        (differences.iter().map(line).collect::<Vec<_>>(), connected)
    };
    assert_eq!(beside(&world), (vec![], true));
    world.switches.get_mut("edge").unwrap().held = true;
    world.weight(WEB, 3);
    world.drop_share("www", Some("default"), 20.0);
    world.force(OTHER);
    let (lines, _) = beside(&world);
    assert_eq!(
        lines,
        [
            "Change www backend 192.0.2.1:80: serve, weight 100 -> serve, weight 3",
            "Change www backend 192.0.2.2:80: serve, weight 100 -> break, weight 100",
            "Add www policy default:  -> 20% reset",
        ]
    );
    world.disconnect("edge");
    assert!(!beside(&world).1);
    let error = world.core.beside(&name("nobody")).unwrap_err();
    assert!(error.contains("this manager has: edge"), "{error}");
}
