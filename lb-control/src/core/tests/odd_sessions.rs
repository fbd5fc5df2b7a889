//! Sessions that are not as they should be: two agents with one name, words
//! that come late, twice or from the past, clocks that jump.

use super::*;

fn hello(boot: u64) -> FromAgent {
    let bind = crate::model::AgentBinding { key: key(WEB), weight: 100, server_id: None };
    let interval = Duration::from_millis(250);
    FromAgent::Hello(AgentHello { name: name("web-1"), boot, binds: vec![bind], interval })
}

fn report(sequence: u64, health: Result<(), String>) -> FromAgent {
    let application = Application::default();
    let report = BackendReport { key: key(WEB), health, connections: 0, load: 0.0, application };
    FromAgent::Heartbeat(Heartbeat { sequence, reports: vec![report] })
}

impl World {
    /// Somebody who is none of the world's agents.
    fn stranger(&mut self, message: FromAgent) -> SessionId {
        let session = SessionId(self.number());
        self.feed(Input::Agent { session, message });
        session
    }

    fn why_closed(&self, session: SessionId) -> Option<&str> {
        let closed = self.closed.iter().find(|(closed, _)| *closed == session);
        closed.map(|(_, reason)| reason.as_str())
    }
}

#[test]
fn a_second_agent_of_one_name_is_refused_while_the_first_is_heard() {
    let mut world = World::serving_web();
    for _ in 0..3 {
        let session = world.stranger(hello(2));
        let why = world.why_closed(session).expect("it is refused");
        assert!(why.starts_with("another agent named `web-1` is connected and heard"), "{why}");
        assert!(why.contains("`name` in [agent]") && why.contains("after 1s"), "{why}");
        world.feed(Input::Closed { session });
        world.pass(seconds(1));
    }
    assert_eq!(world.count("agent.refused"), 1, "it is told once");
    assert_eq!(world.state(WEB), "active", "the first has not noticed");
    assert_eq!(world.count("agent.lost") + world.count("agent.replaced"), 0);
    let alarm = "two agents are named `web-1`: give each a name of its own";
    assert!(world.core.status().alarms.contains(&alarm.to_owned()));
    world.pass(seconds(31));
    assert!(world.core.status().alarms.is_empty(), "{:?}", world.core.status().alarms);
}

#[test]
fn a_server_that_was_rebooted_is_back_once_its_former_self_is_silent() {
    let mut world = World::serving_web();
    world.set_agent("web-1", |agent| agent.silent = true);
    world.pass(Duration::from_millis(900));
    let early = world.stranger(hello(2));
    assert!(world.why_closed(early).is_some());
    world.pass(Duration::from_millis(100));
    world.agent("web-1", 2, &[WEB]);
    world.pass(seconds(1));
    assert_eq!(world.state(WEB), "active");
}

#[test]
fn an_agent_that_is_started_anew_is_back_at_once() {
    // Killed: its connection has ended. Leaving: it makes room.
    for killed in [true, false] {
        let mut world = World::serving_web();
        if killed {
            world.hang_up("web-1");
        } else {
            world.leave("web-1");
        }
        let session = world.agent("web-1", 2, &[WEB]);
        assert_eq!(world.why_closed(session), None);
        world.pass(seconds(1));
        assert_eq!((world.state(WEB), world.count("agent.refused")), ("active", 0));
    }
}

#[test]
fn a_hello_that_is_repeated_takes_over_and_repeated_heartbeats_vouch_for_nothing() {
    let mut world = World::serving_web();
    let sequence = world.agents["web-1"].sequence;
    let older = world.agents["web-1"].session;
    world.agents.clear();
    let replayed = world.stranger(hello(1));
    assert!(world.why_closed(older).unwrap().contains("replaced by a newer session"));
    for _ in 0..3 {
        for old in 1..=sequence {
            let message = report(old, Err("old news".to_owned()));
            world.feed(Input::Agent { session: replayed, message });
        }
        world.pass(Duration::from_millis(400));
    }
    assert_eq!(world.count("agent.lost"), 1, "what is repeated is no sign of life");
    assert_eq!(world.view(WEB).reason, "agent `web-1` is lost: silent for 1s");
    // After its end too.
    let again = world.stranger(hello(1));
    world.feed(Input::Agent { session: again, message: report(sequence, Ok(())) });
    assert_eq!((world.state(WEB), world.count("agent.disordered")), ("down", 2));
    world.feed(Input::Agent { session: again, message: report(sequence + 1, Ok(())) });
    assert_eq!(world.state(WEB), "down", "what the probe said was forgotten with the agent");
    world.feed(Input::Agent { session: again, message: report(sequence + 2, Ok(())) });
    world.pass(Duration::from_millis(900));
    assert_eq!(world.state(WEB), "active", "and it has spoken anew");
}

#[test]
fn heartbeats_that_come_late_together_are_taken_in_order() {
    let mut world = World::serving_web();
    let (session, last) = (world.agents["web-1"].session, world.agents["web-1"].sequence);
    world.set_agent("web-1", |agent| agent.silent = true);
    world.pass(Duration::from_millis(900));
    // The newest first, then what it has overtaken.
    for (sequence, health) in
        [(last + 4, Ok(())), (last + 2, Err("old".to_owned())), (last + 3, Err("old".to_owned()))]
    {
        world.feed(Input::Agent { session, message: report(sequence, health) });
    }
    world.pass(Duration::from_millis(900));
    assert_eq!(world.state(WEB), "active");
    assert_eq!(world.count("agent.disordered"), 1);
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let mut world = World::serving_web();
    let before = world.core.next_wakeup();
    let state = world.core.desired().clone();
    let outputs = world.core.handle(Input::Tick, Duration::ZERO);
    assert_eq!(outputs, Vec::new());
    assert_eq!((world.core.next_wakeup(), world.core.desired()), (before, &state));
    // Nor is a heartbeat at an earlier moment taken for a shorter silence.
    let (session, last) = (world.agents["web-1"].session, world.agents["web-1"].sequence);
    let message = report(last + 1, Ok(()));
    drop(world.core.handle(Input::Agent { session, message }, Duration::ZERO));
    assert_eq!(world.core.next_wakeup(), before.map(|_| world.now + seconds(1)));
}

#[test]
fn a_clock_that_leaps_ahead_loses_nobody_whose_heartbeat_is_here() {
    let mut world = World::serving_web();
    // The manager's host stood still for an hour; what came meanwhile is heard
    // before time passes.
    world.now += seconds(3600);
    world.heartbeat("web-1");
    world.feed(Input::Tick);
    assert_eq!((world.state(WEB), world.count("agent.lost")), ("active", 0));
    world.now += seconds(3600);
    world.feed(Input::Tick);
    assert_eq!((world.state(WEB), world.count("agent.lost")), ("down", 1));
}

/// Whatever decides has no calendar: time is what the surroundings hand in, and
/// theirs is `Instant`, which no change of the clock moves.
#[test]
fn nothing_that_decides_asks_for_the_time_of_day() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut looked = 0;
    let mut rooms = vec![sources.join("core"), sources.join("agent"), sources.join("manager")];
    while let Some(place) = rooms.pop() {
        if place.is_dir() {
            rooms.extend(std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        // It writes down when events happened.
        if place.ends_with("manager/events.rs")
            || place.components().any(|c| c.as_os_str() == "tests")
        {
            continue;
        }
        let text = std::fs::read_to_string(&place).unwrap();
        assert!(
            !text.contains("SystemTime") && !text.contains("UNIX_EPOCH"),
            "{}",
            place.display()
        );
        looked += 1;
    }
    assert!(looked > 30, "{looked} files");
}
