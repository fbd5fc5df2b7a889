//! When a binding may serve, and when it may no longer.

use super::*;

const STATIC: &str = "api/192.0.2.50:8443";

#[test]
fn an_agent_is_bound_once_it_and_the_probe_say_healthy() {
    let mut world = World::learned();
    world.mute = true;
    world.agent("web-1", 1, &[WEB]);
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("pending", None));
    world.heartbeat("web-1");
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("pending", None), "not probed yet");
    world.mute = false;
    world.pass(seconds(1));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("active", Some(Phase::Serve)));
    assert_eq!(world.held("edge", WEB).unwrap().weight, 100);
    assert_eq!(world.count("binding.active"), 1);
}

#[test]
fn a_probe_alone_does_not_bind_an_agents_backend() {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB]);
    world.agents.get_mut("web-1").unwrap().health = Err("HTTP 503".to_owned());
    world.pass(seconds(3));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("pending", None));
    assert_eq!(world.view(WEB).reason, "HTTP 503");
    world.set_agent("web-1", |agent| agent.health = Ok(()));
    assert_eq!(world.state(WEB), "active");
}

#[test]
fn without_a_probe_the_agents_word_is_enough() {
    let mut world = World::learned();
    let binding = "trusting/192.0.2.1:25";
    world.agent("mail", 1, &[binding]);
    assert_eq!(world.on("edge", binding), None);
    world.heartbeat("mail");
    assert_eq!(world.on("edge", binding), Some(Phase::Serve));
    assert!(world.probes.values().all(|backend| *backend != key(binding).backend));
}

#[test]
fn a_static_backend_is_bound_after_rise_probes() {
    let mut world = World::new();
    world.pass(seconds(1));
    assert_eq!((world.state(STATIC), world.on("edge", STATIC)), ("pending", None), "rise is 2");
    world.pass(seconds(1));
    assert_eq!(world.held("edge", STATIC), Some(Binding::new(10, Phase::Serve)));
}

#[test]
fn failed_probes_drain_then_break_and_a_static_backend_comes_back() {
    let mut world = World::learned();
    world.kill(STATIC);
    world.pass(seconds(2));
    assert_eq!(world.state(STATIC), "active", "fall is 3");
    world.pass(seconds(1));
    assert_eq!((world.state(STATIC), world.on("edge", STATIC)), ("down", Some(Phase::Drain)));
    assert_eq!(world.view(STATIC).reason, "probe: connection refused");
    world.pass(seconds(30));
    assert_eq!((world.state(STATIC), world.on("edge", STATIC)), ("down", Some(Phase::Break)));
    world.pass(seconds(20));
    assert_eq!((world.state(STATIC), world.on("edge", STATIC)), ("down", None));
    world.revive(STATIC);
    world.pass(seconds(1));
    assert_eq!(world.state(STATIC), "down", "rise is 2");
    world.pass(seconds(1));
    assert_eq!((world.state(STATIC), world.on("edge", STATIC)), ("active", Some(Phase::Serve)));
}

#[test]
fn a_backend_that_recovers_in_time_is_never_broken() {
    let mut world = World::learned();
    world.kill(STATIC);
    world.pass(seconds(5));
    assert_eq!(world.on("edge", STATIC), Some(Phase::Drain));
    world.revive(STATIC);
    world.pass(seconds(60));
    assert_eq!(world.on("edge", STATIC), Some(Phase::Serve));
    assert_eq!(world.count("binding.broken"), 0);
}

#[test]
fn an_unhealthy_word_acts_at_once_and_the_backend_stays_known() {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(2));
    world.set_agent("web-1", |agent| agent.health = Err("HTTP 500".to_owned()));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("down", Some(Phase::Drain)));
    world.pass(seconds(31));
    assert_eq!(world.on("edge", WEB), Some(Phase::Break));
    world.pass(seconds(21));
    assert_eq!(
        (world.state(WEB), world.on("edge", WEB)),
        ("down", None),
        "its agent still asks for it"
    );
    world.set_agent("web-1", |agent| agent.health = Ok(()));
    assert_eq!((world.state(WEB), world.on("edge", WEB)), ("active", Some(Phase::Serve)));
}

#[test]
fn binds_that_do_not_fit_are_refused_and_the_others_honoured() {
    let mut world = World::learned();
    let binds = [WEB, "www/192.0.2.1:8080", "www/[2001:db8::1]:80", "wwww/192.0.2.1:80"];
    let session = world.agent("web-1", 1, &binds);
    world.pass(seconds(2));
    assert_eq!(world.state(WEB), "active");
    let refusals: BTreeMap<_, _> = world
        .told
        .iter()
        .filter(|(to, _)| *to == session)
        .filter_map(|(_, message)| match message {
            ToAgent::Refused { key, reason } => Some((key.to_string(), reason.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(refusals.len(), 3, "each is told once: {refusals:?}");
    for (binding, part) in [
        ("www/192.0.2.1:8080", "must listen on port 80"),
        ("www/[2001:db8::1]:80", "different IP families"),
        ("wwww/192.0.2.1:80", "no service `wwww`; this manager has: api, trusting, www"),
    ] {
        assert!(refusals[binding].contains(part), "{binding}: {}", refusals[binding]);
        assert_eq!(world.state(binding), "gone");
    }
    assert_eq!(world.count("binding.refused"), 3);
}

#[test]
fn a_real_server_of_one_nat_service_is_not_taken_by_another() {
    let mut world = World::learned();
    // Pending counts too: both could be verified at the same moment.
    world.mute = true;
    world.agent("a", 1, &["api/192.0.2.9:25"]);
    world.agent("b", 1, &["trusting/192.0.2.9:25"]);
    assert_eq!(world.state("api/192.0.2.9:25"), "pending");
    assert_eq!(world.state("trusting/192.0.2.9:25"), "gone");
}

#[test]
fn one_agent_speaks_for_a_backend_and_another_may_follow_it() {
    let mut world = World::learned();
    world.agent("first", 1, &[WEB]);
    world.agent("second", 1, &[WEB]);
    world.pass(seconds(2));
    assert_eq!(world.view(WEB).agent, Some(name("first")));
    world.hang_up("first");
    assert_eq!(world.state(WEB), "down");
    world.pass(seconds(2));
    assert_eq!((world.state(WEB), world.view(WEB).agent), ("active", Some(name("second"))));
}

#[test]
fn a_newer_session_of_the_same_agent_replaces_the_older() {
    let mut world = World::learned();
    let other = "www/192.0.2.2:80";
    let older = world.agent("web-1", 1, &[WEB, other]);
    world.pass(seconds(2));
    world.agent("web-1", 1, &[WEB]);
    assert!(world.closed.iter().any(|(session, _)| *session == older), "{:?}", world.closed);
    assert_eq!(world.count("agent.replaced"), 1);
    assert_eq!(world.state(WEB), "active", "its new word counts, and it has not said anything bad");
    assert_eq!(world.state(other), "down", "nobody asks for it any more");
    // What the older one still says, or its end, changes nothing.
    let report = FromAgent::Leave { cause: "late".to_owned() };
    world.feed(Input::Agent { session: older, message: report });
    world.feed(Input::Closed { session: older });
    world.pass(seconds(2));
    assert_eq!(world.state(WEB), "active");
}

#[test]
fn heartbeats_out_of_order_are_ignored_and_reported_once() {
    let mut world = World::learned();
    let session = world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(2));
    let stale = |sequence| {
        let health = Err("old news".to_owned());
        let report = BackendReport {
            key: key(WEB),
            health,
            connections: 0,
            load: 0.0,
            application: Application::default(),
        };
        let message = FromAgent::Heartbeat(Heartbeat { sequence, reports: vec![report] });
        Input::Agent { session, message }
    };
    let last = world.agents["web-1"].sequence;
    for sequence in [0, 1, last, last - 1, last] {
        world.feed(stale(sequence));
    }
    assert_eq!(world.state(WEB), "active");
    assert_eq!(world.count("agent.disordered"), 1);
    world.feed(stale(last + 1000));
    assert_eq!(world.state(WEB), "down", "a gap is no disorder");
}

#[test]
fn a_second_hello_ends_the_session() {
    let mut world = World::learned();
    let session = world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(2));
    let hello = AgentHello { name: name("x"), boot: 1, binds: vec![], interval: seconds(1) };
    world.feed(Input::Agent { session, message: FromAgent::Hello(hello) });
    assert!(world.closed.iter().any(|(closed, _)| *closed == session));
    assert_eq!(world.state(WEB), "down");
}

#[test]
fn a_word_before_the_hello_ends_the_session() {
    let mut world = World::learned();
    let session = SessionId(999);
    world.feed(Input::Agent { session, message: FromAgent::Leave { cause: String::new() } });
    assert!(
        world.closed.iter().any(|(closed, reason)| *closed == session && reason.contains("hello"))
    );
}
