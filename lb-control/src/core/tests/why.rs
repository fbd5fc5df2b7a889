//! Events say what they follow from, and deltas what they carried.

use super::*;

fn event<'a>(world: &'a World, kind: &str) -> &'a Event {
    let mut found = world.events.iter().filter(|event| event.kind == kind);
    let event = found.next_back();
    event.unwrap_or_else(|| panic!("no {kind} in {:#?}", world.events))
}

/// The switches on which what an event decided became live.
fn carried(world: &World, number: u64) -> Vec<&str> {
    let carries = |event: &&Event| {
        event.kind == "delta.live"
            && event.delta.is_some_and(|d| (d.events.0 + 1..=d.events.1).contains(&number))
    };
    let events = world.events.iter().filter(carries);
    events.filter_map(|event| Some(event.switch.as_ref()?.as_str())).collect()
}

#[test]
fn a_loss_can_be_followed_to_every_switch() {
    let mut world = World::on_two_switches();
    world.switches.get_mut("spare").unwrap().held = true;
    world.hang_up("web-1");
    let (lost, down) = (event(&world, "agent.lost"), event(&world, "binding.down"));
    assert_eq!(lost.cause, None);
    assert_eq!(down.cause, Some(lost.sequence));
    let down = down.sequence;
    assert_eq!(carried(&world, down), ["edge"]);
    world.pass(seconds(2));
    world.release("spare");
    assert_eq!(carried(&world, down), ["edge", "spare"]);
    let live = event(&world, "delta.live");
    let delta = live.delta.expect("a delta");
    assert_eq!(delta.live_after, Some(seconds(2)));
    assert_eq!(delta.stamp, world.switches["spare"].stamp);
    assert_eq!(
        live.message,
        format!(
            "delta {} with 1 change(s) is live after 2s, as generation {}",
            delta.stamp, delta.stamp.sequence
        )
    );
    let numbers: Vec<_> = world.events.iter().map(|event| event.sequence).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
}

#[test]
fn what_is_decided_while_a_delta_is_under_way_is_carried_by_the_next() {
    let mut world = World::on_two_switches();
    world.switches.get_mut("edge").unwrap().held = true;
    let mut decided = Vec::new();
    for weight in [1, 2, 3] {
        world.weight(WEB, weight);
        decided.push(event(&world, "binding.weight").sequence);
    }
    world.events.retain(|event| event.switch != Some(name("spare")));
    world.release("edge");
    let outcomes: Vec<_> = world.events.iter().filter_map(|event| event.delta).collect();
    assert_eq!(outcomes.len(), 2, "one for each delta");
    assert_eq!(outcomes[0].events.1, decided[0]);
    assert_eq!(outcomes[1].events, (decided[0], decided[2]));
}

#[test]
fn bindings_of_one_cause_are_told_apart_from_others() {
    let mut world = World::on_two_switches();
    world.agent("web-2", 1, &[OTHER, "trusting/192.0.2.2:25"]);
    world.pass(seconds(30));
    world.events.clear();
    // Both in one report: neither follows from the other.
    let failed = Availability::Failed { cause: "the disk is full".to_owned() };
    world.set_agent("web-2", |agent| agent.application.availability = failed);
    let of = |kind: &str, binding: &str| {
        let key = key(binding);
        let is = |event: &&Event| {
            event.kind == kind
                && event.service == Some(key.service.clone())
                && event.backend == Some(key.backend)
        };
        world.events.iter().find(is).unwrap_or_else(|| panic!("{kind}: {:#?}", world.events))
    };
    for binding in [OTHER, "trusting/192.0.2.2:25"] {
        let said = of("application.failed", binding);
        assert_eq!(said.cause, None);
        assert_eq!(of("binding.down", binding).cause, Some(said.sequence));
    }
}

#[test]
fn steps_that_no_event_speaks_of_are_none() {
    let mut world = World::learned();
    world.agent("mail", 1, &["trusting/192.0.2.1:25"]);
    world.pass(seconds(3));
    world.events.clear();
    let before = world.switches["edge"].deltas.len();
    world.pass(seconds(30));
    assert!(world.switches["edge"].deltas.len() > before + 5, "it starts slowly");
    assert_eq!(world.count("delta.live"), 0, "{:#?}", world.events);
}

#[test]
fn a_refusal_says_what_was_refused_and_the_next_carries_it() {
    let mut world = World::on_two_switches();
    world.disconnect("spare");
    world.switches.get_mut("edge").unwrap().refuses = Some("no room".to_owned());
    world.weight(WEB, 7);
    let decided = event(&world, "binding.weight").sequence;
    let refused = event(&world, "switch.refused").delta.expect("a delta");
    assert_eq!(refused.live_after, None);
    assert!((refused.events.0 + 1..=refused.events.1).contains(&decided), "{refused:?}");
    assert_eq!(carried(&world, decided), Vec::<&str>::new());
    world.switches.get_mut("edge").unwrap().refuses = None;
    world.pass(seconds(3));
    assert_eq!(carried(&world, decided), ["edge"]);
    let totals = world.core.totals();
    let edge = totals.switches.iter().find(|switch| switch.name == name("edge")).unwrap();
    assert_eq!(edge.deltas.refused, 1);
    assert_eq!(edge.deltas.sent, edge.deltas.live + 1);
}

#[test]
fn a_binding_is_described_with_all_that_speaks_of_it() {
    let mut world = World::on_two_switches();
    let inspect = |world: &World| world.core.inspect(&key(WEB), world.now).unwrap();
    let seen = inspect(&world);
    assert_eq!(seen.source, "agent");
    let agent = seen.agent.expect("an agent");
    assert_eq!((agent.name.as_str(), agent.timeout), ("web-1", seconds(1)));
    assert!(agent.heard < seconds(1), "{agent:?}");
    assert_eq!(seen.check, Some(Ok(())));
    let [probe] = &seen.probes[..] else { panic!("one probe: {:?}", seen.probes) };
    assert_eq!((probe.address, probe.last.clone()), (key(WEB).backend, Some(Ok(()))));
    assert!(probe.run >= 1);
    for held in &seen.held {
        assert_eq!(held.binding, world.held(held.switch.as_str(), WEB));
        assert!(held.in_step && held.connected);
        let live = held.live.expect("live since it serves");
        assert_eq!(live.stamp, world.switches[held.switch.as_str()].stamp);
        assert!(live.age > Duration::ZERO && live.age <= seconds(2), "{live:?}");
    }

    world.switches.get_mut("edge").unwrap().held = true;
    world.hang_up("web-1");
    let seen = inspect(&world);
    assert_eq!((seen.source, seen.agent.as_ref(), seen.check), ("nobody", None, None));
    assert_eq!(seen.probes, []);
    let (edge, spare) = (&seen.held[0], &seen.held[1]);
    assert!(!edge.in_step && edge.live.is_none(), "{edge:?}");
    assert_eq!(edge.binding.map(|binding| binding.phase), Some(Phase::Serve));
    assert!(spare.in_step, "{spare:?}");
    assert_eq!(spare.live.map(|live| live.age), Some(Duration::ZERO));

    let error = world.core.inspect(&key(OTHER), world.now).unwrap_err();
    assert!(error.contains("it has: 192.0.2.1:80"), "{error}");
    let error = world.core.inspect(&key("shop/192.0.2.1:80"), world.now).unwrap_err();
    assert!(error.contains("there is no service `shop`"), "{error}");
}

#[test]
fn a_manager_is_ready_when_it_has_learned_saved_and_a_switch_follows() {
    let missing = |world: &World| -> Vec<&str> {
        let unready = world.core.readiness().into_iter().filter(|(_, holds)| holds.is_err());
        unready.map(|(condition, _)| condition).collect()
    };
    let mut world = World::start(Intent { term: 1, ..Intent::default() });
    assert_eq!(missing(&world), ["learned", "switch-in-step"]);
    world.connect("edge");
    world.pass(seconds(6));
    assert_eq!(missing(&world), Vec::<&str>::new());
    world.disk_error = Some("no space".to_owned());
    world.drop_share("www", None, 50.0);
    assert_eq!(missing(&world), ["intent-saved"]);
    world.disk_error = None;
    world.pass(seconds(6));
    assert_eq!(missing(&world), Vec::<&str>::new());
    assert_eq!(world.core.totals().saves_failed, 1);
    // One that is slow for a moment is in step, one that stays away is not.
    world.switches.get_mut("edge").unwrap().held = true;
    world.drop_share("www", None, 10.0);
    assert_eq!(missing(&world), Vec::<&str>::new());
    world.pass(seconds(6));
    assert_eq!(missing(&world), ["switch-in-step"]);
    world.connect("spare");
    assert_eq!(missing(&world), Vec::<&str>::new(), "one is enough");
}
