//! What applications say, and what comes of it.

use super::*;

fn drain(cause: &str) -> Availability {
    Availability::Drain { cause: cause.to_owned() }
}

fn leave(cause: &str) -> Availability {
    Availability::Leave { cause: cause.to_owned() }
}

fn failed(cause: &str) -> Availability {
    Availability::Failed { cause: cause.to_owned() }
}

impl World {
    fn says(&mut self, availability: Availability) {
        self.set_agent("web-1", |agent| agent.application.availability = availability);
    }

    fn weighs(&self, binding: &str) -> Weight {
        self.held("edge", binding).expect("it is on the edge").weight
    }
}

#[test]
fn one_that_has_failed_is_out_at_once_and_verified_anew() {
    let mut world = World::serving_web();
    let deltas = world.switches["edge"].deltas.len();
    world.says(failed("the disk is full"));
    assert_eq!(world.switches["edge"].deltas.len(), deltas + 1, "one event, one delta");
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("down", Some(Phase::Drain)));
    assert_eq!(world.view(WEB).reason, "its application has failed: the disk is full");
    world.pass(seconds(10));
    assert_eq!(world.state(WEB), "down", "good checks do not bring it back");
    world.mute = true;
    world.says(Availability::Ready);
    world.pass(seconds(2));
    assert_eq!(world.state(WEB), "down", "what the probe said before it failed counts no more");
    world.mute = false;
    world.pass(seconds(1));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("active", Some(Phase::Serve)));
    let told = ["application.failed", "application.ready"].map(|kind| world.count(kind));
    assert_eq!(told, [1, 1]);
    assert_eq!(world.count("binding.broken"), 0);
}

#[test]
fn connections_of_one_that_has_failed_fare_as_after_a_failed_check() {
    let mut world = World::serving_web();
    world.says(failed("disk"));
    world.pass(seconds(29));
    assert_eq!(world.on("edge", WEB), Some(Phase::Drain));
    world.pass(seconds(2));
    assert_eq!(world.on("edge", WEB), Some(Phase::Break));
    world.pass(seconds(20));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("down", None));
    world.says(Availability::Ready);
    world.pass(seconds(1));
    assert_eq!(world.state(WEB), "active");
}

#[test]
fn one_that_drains_keeps_its_connections_for_as_long_as_it_likes() {
    let mut world = World::serving_web();
    world.says(drain("a backup runs"));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("draining", Some(Phase::Drain)));
    assert_eq!(world.view(WEB).reason, "its application drains: a backup runs");
    assert_eq!(world.view(WEB).deadline_left, None);
    world.set_agent("web-1", |agent| agent.connections = 0);
    world.pass(seconds(600));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("draining", Some(Phase::Drain)));
    world.says(Availability::Ready);
    assert_eq!(world.state(WEB), "active", "it was verified all along");
    assert_eq!(world.count("binding.broken"), 0);
}

#[test]
fn one_that_drains_can_fail_leave_or_be_lost() {
    for (what, state) in [("fail", "down"), ("leave", "draining"), ("lose", "down")] {
        let mut world = World::serving_web();
        world.says(drain(""));
        match what {
            "fail" => world.set_agent("web-1", |agent| agent.health = Err("500".to_owned())),
            "leave" => world.leave("web-1"),
            _ => world.hang_up("web-1"),
        }
        assert_eq!(
            (world.state(WEB), world.on("edge", WEB)),
            (state, Some(Phase::Drain)),
            "{what}"
        );
        world.pass(seconds(100));
        assert_ne!(world.on("edge", WEB), Some(Phase::Drain), "{what}: it has an end now");
    }
}

#[test]
fn one_that_is_not_ready_yet_is_not_bound() {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB]);
    world.says(drain("it has not said yet that it is ready"));
    world.pass(seconds(5));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("pending", None));
    assert!(world.view(WEB).reason.contains("not said yet"), "{}", world.view(WEB).reason);
    world.says(Availability::Ready);
    assert_eq!(world.state(WEB), "active");
}

#[test]
fn one_that_leaves_is_removed_and_comes_back_when_it_is_ready() {
    let mut world = World::serving_web();
    world.says(leave("an upgrade"));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("draining", Some(Phase::Drain)));
    assert_eq!(world.view(WEB).deadline_left, Some(seconds(60)));
    world.set_agent("web-1", |agent| agent.connections = 0);
    world.pass(seconds(2));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("gone", None));
    world.pass(seconds(5));
    assert_eq!(world.state(WEB), "gone", "its heartbeats claim nothing");
    // The agent reconnects meanwhile.
    let application = world.agents["web-1"].application.clone();
    world.agent("web-1", 1, &[WEB]);
    assert_eq!(world.state(WEB), "gone", "nor does its hello");
    world.agents.get_mut("web-1").unwrap().application = application;
    world.pass(seconds(1));
    assert_eq!(world.state(WEB), "gone");
    world.mute = true;
    world.says(Availability::Ready);
    assert_eq!(world.state(WEB), "pending");
    world.mute = false;
    world.pass(seconds(1));
    assert_eq!(world.state(WEB), "active");
}

#[test]
fn one_that_thinks_better_of_leaving_is_verified_anew() {
    let mut world = World::serving_web();
    world.says(leave(""));
    world.mute = true;
    world.says(Availability::Ready);
    world.pass(seconds(3));
    assert_eq!(world.state(WEB), "draining");
    world.mute = false;
    world.pass(seconds(1));
    assert_eq!(world.state(WEB), "active");
    world.pass(seconds(70));
    assert_eq!(world.count("binding.broken"), 0);
}

#[test]
fn a_manager_that_has_just_started_hears_it_with_the_next_heartbeat() {
    let mut world = World::serving_web();
    world.agent("web-2", 1, &[OTHER]);
    world.pass(seconds(2));
    world.says(failed("disk"));
    world.restart();
    world.connect("edge");
    world.agent("web-2", 1, &[OTHER]);
    let session = world.agent("web-1", 1, &[WEB]);
    let report = |availability| BackendReport {
        key: key(WEB),
        health: Ok(()),
        connections: 1,
        load: 0.0,
        application: Application { availability, ..Application::default() },
    };
    let reports = vec![report(failed("disk"))];
    world.agents.get_mut("web-1").unwrap().application.availability = failed("disk");
    let sequence = world.agents["web-1"].sequence + 1;
    let message = FromAgent::Heartbeat(Heartbeat { sequence, reports });
    world.feed(Input::Agent { session, message });
    world.pass(seconds(10));
    assert_ne!(world.on("edge", WEB), Some(Phase::Serve));
    assert_eq!(world.on("edge", OTHER), Some(Phase::Serve));
}

#[test]
fn an_application_sets_its_weight_and_asks_for_a_share_of_it() {
    let mut world = World::serving_web();
    let ask = |world: &mut World, weight, percent| {
        world.set_agent("web-1", |agent| {
            (agent.application.weight, agent.application.percent) = (weight, percent);
        });
    };
    ask(&mut world, Some(40), 100);
    assert_eq!((world.weighs(WEB), world.view(WEB).weight), (40, 40));
    ask(&mut world, Some(40), 25);
    assert_eq!((world.weighs(WEB), world.view(WEB).weight), (10, 40));
    assert_eq!(world.view(WEB).effective_weight, 10);
    ask(&mut world, None, 1);
    assert_eq!((world.weighs(WEB), world.view(WEB).weight), (1, 100));
    ask(&mut world, Some(1), 1);
    assert_eq!(world.weighs(WEB), 1, "a share of something is not nothing");
    ask(&mut world, Some(1), 0);
    assert_eq!(world.weighs(WEB), 0);
    ask(&mut world, Some(65535), 10_000);
    assert_eq!(world.weighs(WEB), 65535);
    let deltas = world.switches["edge"].deltas.len();
    world.pass(seconds(5));
    assert_eq!(world.switches["edge"].deltas.len(), deltas, "repeated words cost nothing");
    world.weight(WEB, 200);
    ask(&mut world, Some(7), 50);
    assert_eq!(world.weighs(WEB), 100, "the operator's weight comes first, the share remains");
    assert_eq!(world.count("binding.weight"), 8);
}

#[test]
fn its_load_is_shown() {
    let mut world = World::serving_web();
    assert_eq!(world.view(WEB).load, Some(0.5));
    world.hang_up("web-1");
    assert_eq!(world.view(WEB).load, None);
}

#[test]
fn what_one_says_of_a_binding_that_another_agent_has_does_nothing() {
    let mut world = World::serving_web();
    world.agent("rival", 1, &[WEB]);
    world.set_agent("rival", |agent| agent.application.availability = failed("mine"));
    world.set_agent("rival", |agent| agent.application.weight = Some(1));
    world.pass(seconds(2));
    assert_eq!((world.state(WEB), world.weighs(WEB)), ("active", 100));
    assert_eq!(world.count("application.failed"), 0);
}

#[test]
fn an_operator_removes_one_that_drains() {
    let mut world = World::serving_web();
    world.says(drain(""));
    world.remove(WEB);
    assert_eq!(world.view(WEB).deadline_left, Some(seconds(60)));
    world.says(Availability::Ready);
    world.pass(seconds(5));
    assert_eq!(world.state(WEB), "draining", "the operator's word comes first");
}

#[test]
fn one_that_has_left_is_drained_where_a_switch_turns_up_with_it() {
    const STATIC: &str = "api/192.0.2.50:8443";
    let mut world = World::learned();
    assert_eq!(world.on("edge", STATIC), Some(Phase::Serve));
    for by_agent in [true, false] {
        world.restart();
        world.mute = true;
        world.agent("shop", 1, &[STATIC]);
        if by_agent {
            world.leave("shop");
        } else {
            let application =
                Application { availability: leave("an upgrade"), ..Application::default() };
            world.set_agent("shop", |agent| agent.application = application);
        }
        assert_eq!(world.state(STATIC), "pending", "the file has it");
        world.connect("edge");
        assert_eq!(
            (world.state(STATIC), world.on("edge", STATIC)),
            ("draining", Some(Phase::Drain))
        );
        assert_eq!(world.view(STATIC).deadline_left, Some(seconds(60)));
    }
}
