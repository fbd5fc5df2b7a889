//! Probes by edges, through the path that clients' packets take.

use super::*;
use crate::model::{ProbeId, Probed};

const STATIC: &str = "api/192.0.2.50:8443";

impl World {
    /// A switch that probes connects.
    fn connect_prober(&mut self, switch: &str) {
        self.switches.entry(switch.to_owned()).or_default().able = true;
        self.connect(switch);
    }

    /// No packet of clients comes from a switch to a host, or each does again.
    fn block(&mut self, switch: &str, binding: &str, blocked: bool) {
        let way = (switch.to_owned(), key(binding).backend.ip());
        if blocked {
            self.blocked.insert(way);
        } else {
            self.blocked.remove(&way);
        }
    }

    fn asks(&self, switch: &str, binding: &str) -> Option<ProbeId> {
        let via = key(binding).backend.ip();
        let mut probes = self.switches[switch].probes.iter();
        probes.find(|(_, (order, ..))| order.path.via == via).map(|(&probe, _)| probe)
    }
}

/// A manager with one switch, which probes, and an agent that vouches for [`WEB`].
fn probed() -> World {
    let mut world = World::start(Intent { term: 1, ..Intent::default() });
    world.connect_prober("edge");
    world.pass(seconds(6));
    world.agent("web-1", 1, &[WEB]);
    world
}

#[test]
fn a_backend_is_bound_only_after_an_edge_has_found_the_way_to_it() {
    let mut world = probed();
    world.block("edge", WEB, true);
    world.pass(seconds(10));
    let view = world.view(WEB);
    assert_eq!((view.state, view.reason.as_str()), ("pending", "probe by edge `edge`: no answer"));
    assert_eq!(view.verified_by.as_deref(), Some("l2 by edge"));
    assert_eq!(world.held("edge", WEB), None);
    assert!(world.probes.is_empty(), "the manager leaves it to the edge: {:?}", world.probes);
    world.block("edge", WEB, false);
    world.pass(seconds(1));
    assert_eq!(world.held("edge", WEB).map(|binding| binding.phase), Some(Phase::Serve));
}

#[test]
fn a_way_that_is_lost_takes_the_backend_out_after_enough_failures() {
    let mut world = probed();
    world.pass(seconds(2));
    world.block("edge", WEB, true);
    world.pass(seconds(2));
    assert_eq!(world.view(WEB).state, "active");
    world.pass(seconds(1));
    assert_eq!(world.view(WEB).state, "down");
    assert_eq!(world.held("edge", WEB).map(|binding| binding.phase), Some(Phase::Drain));
}

#[test]
fn the_order_is_the_way_of_clients_and_says_how_often() {
    let world = probed();
    let probe = world.asks("edge", WEB).expect("a probe");
    let (order, ..) = world.switches["edge"].probes[&probe];
    assert_eq!(order.path.to_string(), "203.0.113.10:80 through l2 to 192.0.2.1");
    assert_eq!((order.interval, order.timeout), (seconds(1), seconds(1)));
    assert_eq!((order.rise, order.fall), (1, 3));
    let probe = world.asks("edge", STATIC).expect("a probe");
    let (order, ..) = world.switches["edge"].probes[&probe];
    assert_eq!(order.path.to, "192.0.2.50:8443".parse().unwrap());
    assert_eq!((order.rise, order.fall), (2, 3));
}

#[test]
fn of_several_edges_most_decide() {
    let mut world = probed();
    for edge in ["east", "west"] {
        world.connect_prober(edge);
    }
    world.pass(seconds(3));
    assert_eq!(world.view(WEB).verified_by.as_deref(), Some("l2 by east, edge, west"));
    world.block("east", WEB, true);
    world.pass(seconds(5));
    assert_eq!(world.view(WEB).state, "active", "one is outvoted");
    let alarm = "switch `east` finds no way to 1 backend(s) that others see well, www/192.0.2.1:80";
    assert!(world.core.status().alarms.iter().any(|one| one.starts_with(alarm)));
    world.block("west", WEB, true);
    world.pass(seconds(4));
    assert_eq!(world.view(WEB).state, "down");
    assert!(!world.core.status().alarms.iter().any(|one| one.starts_with("switch")));
    // One of the two goes, and of a tie the good word counts.
    world.disconnect("west");
    assert_eq!(world.view(WEB).state, "active");
    world.disconnect("edge");
    assert_eq!(world.view(WEB).state, "down", "the only one left has no way to it");
}

#[test]
fn each_backend_has_a_few_edges_and_each_edge_a_few_backends() {
    let mut world = probed();
    let binds: Vec<_> = (1..=60).map(|host| format!("www/192.0.2.{host}:80")).collect();
    let binds: Vec<_> = binds.iter().map(String::as_str).collect();
    world.agent("many", 1, &binds);
    let edges: Vec<_> = (0..9).map(|edge| format!("edge-{edge}")).collect();
    for edge in &edges {
        world.connect_prober(edge);
    }
    let all = world.switches.values().map(|switch| switch.probes.len()).sum::<usize>();
    assert_eq!(all, 3 * 61);
    for (edge, switch) in &world.switches {
        assert!((6..=36).contains(&switch.probes.len()), "{edge}: {}", switch.probes.len());
    }
    let before = world.core.last_probe;
    let had = world.switches["edge-4"].probes.len() as u64;
    world.disconnect("edge-4");
    assert_eq!(world.core.last_probe - before, had, "others take over what it had, and no more");
}

#[test]
fn an_edge_that_comes_says_nothing_before_it_is_sure() {
    let mut world = probed();
    world.pass(seconds(2));
    world.block("late", WEB, true);
    world.connect_prober("late");
    world.disconnect("edge");
    assert_eq!(world.view(WEB).state, "active", "the last word stands");
    world.pass(seconds(2));
    assert_eq!(world.view(WEB).state, "active");
    world.pass(seconds(1));
    assert_eq!(world.view(WEB).state, "down");
}

#[test]
fn without_an_edge_that_can_the_manager_probes_the_backends_own_address() {
    let mut world = probed();
    world.pass(seconds(2));
    world.disconnect("edge");
    assert_eq!(world.probes.len(), 2);
    assert_eq!(world.view(WEB).verified_by.as_deref(), Some("backend"));
    world.kill(WEB);
    world.pass(seconds(3));
    let view = world.view(WEB);
    assert_eq!((view.state, view.reason.as_str()), ("down", "probe: connection refused"));
    world.revive(WEB);
    world.connect("plain");
    world.pass(seconds(1));
    assert_eq!(world.view(WEB).state, "active", "a switch that cannot probe changes nothing");
}

#[test]
fn what_no_edge_has_yet_is_verified_through_the_path_before_the_first_one_gets_it() {
    let mut world = World::start(Intent { term: 1, ..Intent::default() });
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(6));
    assert_eq!(world.view(WEB).state, "active", "the manager has verified it");
    world.block("edge", WEB, true);
    world.connect_prober("edge");
    world.pass(seconds(10));
    assert!(world.switches["edge"].deltas.iter().all(|delta| {
        !delta.changes.iter().any(
            |change| matches!(change, crate::model::Change::PutBinding(k, _) if *k == key(WEB)),
        )
    }));
    assert_eq!(world.view(WEB).state, "pending");
    world.block("edge", WEB, false);
    world.pass(seconds(1));
    assert_eq!(world.held("edge", WEB).map(|binding| binding.phase), Some(Phase::Serve));
}

#[test]
fn what_an_edge_has_goes_on_until_the_path_has_failed() {
    let mut world = World::learned();
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(2));
    world.block("new", WEB, true);
    world.connect_prober("new");
    assert_eq!(world.view(WEB).state, "active");
    world.pass(seconds(2));
    assert_eq!(world.view(WEB).state, "active");
    world.pass(seconds(1));
    assert_eq!(world.view(WEB).state, "down");
}

#[test]
fn what_went_off_the_edges_comes_back_only_through_the_path() {
    let config = r#"
        [manager]
        down_grace = "1s"
        break_linger = "1s"

        [[service]]
        name = "www"
        address = "203.0.113.10:80"
        mode = "l2"
        health = { rise = 10, fall = 10 }
    "#;
    let mut world = World::serving(config);
    world.agent("web-1", 1, &[WEB]);
    world.pass(seconds(12));
    world.connect_prober("new");
    assert_eq!(world.view(WEB).state, "active", "the manager's word stands for what edges have");
    world.set_agent("web-1", |agent| agent.health = Err("full".to_owned()));
    world.pass(seconds(3));
    assert_eq!((world.held("edge", WEB), world.held("new", WEB)), (None, None));
    world.set_agent("web-1", |agent| agent.health = Ok(()));
    world.pass(seconds(2));
    assert_eq!(world.view(WEB).state, "down", "no edge is sure yet");
    world.pass(seconds(8));
    assert_eq!(world.view(WEB).state, "active");
}

#[test]
fn an_edge_speaks_for_its_own_probes_alone() {
    let mut world = probed();
    world.block("edge", WEB, true);
    world.pass(seconds(1));
    world.connect("liar");
    let probe = world.asks("edge", WEB).expect("a probe");
    let session = world.switches["liar"].session.unwrap();
    let lie = Probed { probe, outcome: Ok(()), run: 9 };
    world.feed(Input::Switch { session, message: FromSwitch::Probed(vec![lie]) });
    world.feed(Input::Probed { probe, outcome: Ok(()) });
    assert_eq!(world.view(WEB).state, "pending");
    world.block("edge", WEB, false);
    world.report("edge");
    assert_eq!(world.view(WEB).state, "active");
}

#[test]
fn an_application_that_comes_back_is_verified_from_zero() {
    let mut world = probed();
    world.pass(seconds(5));
    let first = world.asks("edge", WEB).expect("a probe");
    let failed = Availability::Failed { cause: "disk".to_owned() };
    world.set_agent("web-1", |agent| agent.application.availability = failed);
    assert_eq!(world.view(WEB).state, "down");
    world.set_agent("web-1", |agent| agent.application.availability = Availability::Ready);
    assert_eq!(world.view(WEB).state, "down");
    assert_ne!(world.asks("edge", WEB), Some(first));
    let session = world.switches["edge"].session.unwrap();
    let late = Probed { probe: first, outcome: Ok(()), run: 99 };
    world.feed(Input::Switch { session, message: FromSwitch::Probed(vec![late]) });
    assert_eq!(world.view(WEB).state, "down", "what was stopped has nothing to say");
    world.report("edge");
    assert_eq!(world.view(WEB).state, "active");
}

#[test]
fn probes_end_with_the_binding() {
    let mut world = probed();
    world.pass(seconds(2));
    assert!(world.asks("edge", WEB).is_some());
    world.remove(WEB);
    assert_eq!(world.asks("edge", WEB), None);
}

#[test]
fn the_file_may_leave_it_to_the_manager() {
    let service = |health: &str| {
        format!(
            "[manager]\nlearning = \"5s\"\n[[service]]\nname = \"www\"\n\
             address = \"203.0.113.10:80\"\nmode = \"l2\"\nhealth = {health}\n\
             backend = [{{ address = \"192.0.2.1:80\" }}]\n"
        )
    };
    for (health, by_edge) in [
        ("{}", true),
        ("{ probe = \"path\" }", true),
        ("{ probe = \"path\", port = 81 }", true),
        ("{ probe = \"backend\" }", false),
        ("{ probe = \"tcp\" }", false),
        ("{ port = 81 }", false),
    ] {
        let mut world = World::serving(&service(health));
        world.connect_prober("edge-2");
        assert_eq!(world.asks("edge-2", WEB).is_some(), by_edge, "{health}");
        assert_eq!(world.probes.is_empty(), by_edge, "{health}");
    }
}
