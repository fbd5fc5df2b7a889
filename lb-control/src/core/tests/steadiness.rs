//! Backends that come and go over and over, and backends that start slowly.

use super::*;

const FLAPPING: &str = r#"
[manager]
learning = "5s"
flap_damping = { losses = 3, window = "60s", hold = "10s", most = "15s" }
[[service]]
name = "www"
address = "203.0.113.10:80"
mode = "l2"
"#;

const SLOW: &str = r#"
[manager]
learning = "5s"
[[service]]
name = "www"
address = "203.0.113.10:80"
mode = "l2"
slow_start = { duration = "10s", from_percent = 20, steps = 4 }
"#;

/// Two agents' backends serve.
fn two(config: &str) -> World {
    let mut world = World::serving(config);
    world.agent("web-1", 1, &[WEB]);
    world.agent("web-2", 1, &[OTHER]);
    world.pass(seconds(15));
    assert_eq!((world.state(WEB), world.state(OTHER)), ("active", "active"));
    world.events.clear();
    world
}

impl World {
    /// It is lost, comes back, and is well again.
    fn flap(&mut self, boot: u64) {
        self.hang_up("web-1");
        self.agent("web-1", boot, &[WEB]);
        self.pass(seconds(2));
    }
}

#[test]
fn one_that_flaps_is_held_out_longer_and_longer_and_keeps_its_connections() {
    let mut world = two(FLAPPING);
    world.flap(2);
    world.flap(3);
    assert_eq!(world.state(WEB), "active", "two losses are no flapping");
    world.flap(4);
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("draining", Some(Phase::Drain)));
    assert_eq!(world.view(WEB).hold_left, Some(seconds(8)));
    assert!(world.view(WEB).reason.starts_with("it flaps"), "{}", world.view(WEB).reason);
    assert_eq!(world.count("binding.damped"), 1);
    world.pass(seconds(7));
    assert_eq!(world.state(WEB), "draining");
    world.pass(seconds(1));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("active", Some(Phase::Serve)));
    assert_eq!(world.view(WEB).hold_left, None);
    // Once more, and it is out for twice as long, but no longer than the most.
    world.flap(5);
    assert_eq!(world.view(WEB).hold_left, Some(seconds(13)));
    world.pass(seconds(13));
    assert_eq!(world.state(WEB), "active");
    assert_eq!(world.count("binding.broken"), 0);
    // It was well for the window: forgiven, and forgotten.
    world.pass(seconds(61));
    assert!(world.core.flaps.is_empty());
    world.flap(6);
    assert_eq!(world.state(WEB), "active");
}

#[test]
fn one_that_leaves_and_comes_back_over_and_over_flaps_too() {
    let mut world = two(FLAPPING);
    for boot in 2..5 {
        world.leave("web-1");
        world.hang_up("web-1");
        world.agent("web-1", boot, &[WEB]);
        world.pass(seconds(2));
    }
    assert_eq!(world.count("binding.damped"), 1);
    assert_eq!(world.state(WEB), "draining");
}

#[test]
fn what_the_operator_does_is_no_flapping() {
    let mut world = two(FLAPPING);
    for _ in 0..5 {
        world.remove(WEB);
        world.pass(seconds(1));
        world.add(WEB, 100);
        world.pass(seconds(2));
        assert_eq!(world.state(WEB), "active");
    }
}

#[test]
fn one_that_flaps_is_better_than_none() {
    let mut world = two(FLAPPING);
    for boot in 2..5 {
        world.flap(boot);
    }
    assert_eq!(world.state(WEB), "draining");
    world.hang_up("web-2");
    assert_eq!((world.state(WEB), world.state(OTHER)), ("active", "down"));
    world.agent("web-2", 2, &[OTHER]);
    world.pass(seconds(2));
    assert_eq!((world.state(WEB), world.state(OTHER)), ("active", "active"), "and it stays");
    // Alone from the beginning.
    let mut world = World::serving(FLAPPING);
    for boot in 1..8 {
        world.agent("web-1", boot, &[WEB]);
        world.pass(seconds(2));
        assert_eq!(world.state(WEB), "active");
        world.hang_up("web-1");
    }
}

#[test]
fn damping_can_be_switched_off() {
    let config = FLAPPING.replace("losses = 3", "losses = 0");
    let mut world = two(&config);
    for boot in 2..10 {
        world.flap(boot);
        assert_eq!(world.state(WEB), "active");
    }
}

#[test]
fn weight_grows_in_steps_after_a_start() {
    let mut world = World::serving(SLOW);
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(1));
    let begun = world.now;
    let mut seen = Vec::new();
    let deltas = world.switches["edge"].deltas.len();
    while world.now < begun + seconds(12) {
        let weight = world.held("edge", WEB).unwrap().weight;
        if seen.last().is_none_or(|(_, last)| *last != weight) {
            seen.push(((world.now - begun).as_millis(), weight));
        }
        world.pass(Duration::from_millis(50));
    }
    assert_eq!(seen, [(0, 20), (2500, 40), (5000, 60), (7500, 80), (10_000, 100)]);
    assert_eq!(world.switches["edge"].deltas.len(), deltas + 4, "a delta for each step");
    assert_eq!(world.view(WEB).weight, 100);
}

#[test]
fn a_slow_start_follows_the_weight_and_begins_anew_after_a_loss() {
    let mut world = World::serving(SLOW);
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(6));
    assert_eq!(world.held("edge", WEB).unwrap().weight, 60);
    world.weight(WEB, 200);
    assert_eq!(world.held("edge", WEB).unwrap().weight, 120);
    assert_eq!((world.view(WEB).weight, world.view(WEB).effective_weight), (200, 120));
    world.weight(WEB, 0);
    assert_eq!(world.held("edge", WEB).unwrap().weight, 0, "nothing stays nothing");
    world.weight(WEB, 2);
    world.pass(seconds(10));
    world.set_agent("web-1", |agent| agent.health = Err("500".to_owned()));
    world.set_agent("web-1", |agent| agent.health = Ok(()));
    assert_eq!(world.held("edge", WEB).unwrap().weight, 1, "a fifth of 2, and not nothing");
}

#[test]
fn one_that_a_new_manager_finds_serving_does_not_start_slowly() {
    let mut world = two(SLOW);
    let disk = Intent { term: 1, ..Intent::default() };
    world.disk = disk;
    let mut world = World::restarted(SLOW, world);
    world.connect("edge");
    world.agent("web-1", 1, &[WEB]);
    world.agent("web-2", 1, &[OTHER]);
    for _ in 0..40 {
        world.pass(Duration::from_millis(50));
        assert_eq!(world.held("edge", WEB).unwrap().weight, 100);
    }
    assert_eq!(world.state(WEB), "active");
}
