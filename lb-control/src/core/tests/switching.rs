//! What switches are told, and when.

use super::*;
use crate::model::{BackendCount, Change, Counters, ToSwitch};

#[test]
fn every_switch_holds_what_is_desired() {
    let world = World::on_two_switches();
    for switch in world.switches.values() {
        assert_eq!(switch.state, *world.core.desired());
        assert_eq!(switch.stamp.term, 1);
    }
}

#[test]
fn an_empty_switch_is_refilled_by_one_delta() {
    let mut world = World::on_two_switches();
    world.connect("third");
    assert_eq!(world.switches["third"].state, *world.core.desired());
    assert_eq!(world.switches["third"].deltas.len(), 1);
    assert_eq!(world.count("switch.refilled"), 1);
}

#[test]
fn a_switch_that_missed_changes_is_reconciled() {
    let mut world = World::on_two_switches();
    world.disconnect("spare");
    world.drop_share("www", None, 50.0);
    assert_ne!(world.switches["spare"].state, *world.core.desired());
    world.connect("spare");
    assert_eq!(world.switches["spare"].state, *world.core.desired());
    assert_eq!(world.count("switch.reconciled"), 1);
    assert_eq!(world.count("switch.refilled"), 0);
}

#[test]
fn changes_made_while_a_delta_is_under_way_go_together_into_the_next() {
    let mut world = World::on_two_switches();
    world.switches.get_mut("edge").unwrap().held = true;
    let before = world.switches["edge"].deltas.len();
    for weight in [1, 2, 3, 4] {
        world.weight(WEB, weight);
    }
    assert_eq!(world.switches["edge"].deltas.len(), before + 1);
    world.release("edge");
    assert_eq!(world.switches["edge"].deltas.len(), before + 2);
    assert_eq!(world.held("edge", WEB).unwrap().weight, 4);
    let stamps: Vec<_> = world.switches["edge"].deltas.iter().map(|delta| delta.stamp).collect();
    assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
}

#[test]
fn what_is_heard_at_once_is_one_delta_for_each_switch() {
    let mut world = World::on_two_switches();
    let core = &mut world.core;
    for weight in [1, 2, 3, 4] {
        let command = Command::SetWeight { key: key(WEB), weight };
        let request = RequestId(1000 + u64::from(weight));
        let input = Input::Operator { request, by: world.origin.clone(), command };
        let outputs = core.hear(input, world.now);
        let is_told = |output: &Output| matches!(output, Output::ToSwitch { .. });
        assert!(!outputs.iter().any(is_told), "{outputs:?}");
    }
    let deltas: Vec<_> = core
        .settle()
        .into_iter()
        .filter_map(|output| match output {
            Output::ToSwitch { session, message: ToSwitch::Apply(delta) } => Some((session, delta)),
            _ => None,
        })
        .collect();
    let sessions: BTreeSet<_> = deltas.iter().map(|(session, _)| *session).collect();
    assert_eq!((deltas.len(), sessions.len()), (2, 2), "{deltas:?}");
    for (_, delta) in deltas {
        let changes: Vec<_> = delta.changes.iter().collect();
        let [Change::PutBinding(of, binding)] = changes[..] else { panic!("{changes:?}") };
        assert_eq!((of, binding.weight), (&key(WEB), 4));
    }
    assert_eq!(core.settle(), [], "nothing was heard since");
}

#[test]
fn an_answer_waits_for_every_connected_switch() {
    let mut world = World::on_two_switches();
    world.disconnect("spare");
    world.connect("third");
    world.switches.get_mut("third").unwrap().held = true;
    let request = world.weight(WEB, 5);
    world.pass(seconds(2));
    assert!(!world.replies.contains_key(&request));
    world.release("third");
    let outcomes: BTreeMap<_, _> =
        world.reply(request).switches.iter().map(|s| (s.name.as_str(), &s.live)).collect();
    assert_eq!(outcomes["edge"], &Ok(Duration::ZERO));
    assert_eq!(outcomes["third"], &Ok(seconds(2)));
    assert!(outcomes["spare"].as_ref().is_err_and(|error| error.starts_with("not connected")));
}

#[test]
fn an_answer_does_not_wait_for_ever() {
    let mut world = World::on_two_switches();
    world.switches.get_mut("spare").unwrap().held = true;
    let request = world.weight(WEB, 5);
    world.pass(seconds(10));
    let done = world.reply(request);
    let spare = done.switches.iter().find(|outcome| outcome.name == name("spare")).unwrap();
    assert_eq!(spare.live, Err("not acknowledged yet".to_owned()));
    assert!(world.core.status().alarms.iter().any(|alarm| alarm.contains("does not acknowledge")));
}

#[test]
fn without_a_switch_the_answer_comes_at_once_and_says_so() {
    let mut world = World::start(Intent::default());
    let request = world.drop_share("www", None, 10.0);
    assert!(world.reply(request).message.contains("no switch is connected"));
    world.connect("edge");
    assert_eq!(world.switches["edge"].state.policies.len(), 3);
}

#[test]
fn a_refused_delta_is_told_and_tried_again_with_growing_pauses() {
    let mut world = World::on_two_switches();
    world.switches.get_mut("edge").unwrap().refuses = Some("no room".to_owned());
    let before = world.switches["edge"].deltas.len();
    let request = world.weight(WEB, 5);
    let done = world.reply(request);
    assert_eq!(done.switches[0].live, Err("no room".to_owned()));
    assert!(done.switches[1].live.is_ok(), "the other switch has it");
    assert!(world.core.status().alarms.iter().any(|alarm| alarm.contains("no room")));
    assert_eq!(world.core.switches(world.now)[0].last_error, "no room");
    world.pass(seconds(60));
    // At 0, 1, 3, 7, 15, 31 seconds.
    assert_eq!(world.switches["edge"].deltas.len() - before, 6);
    assert_eq!(world.count("switch.refused"), 6);
    world.switches.get_mut("edge").unwrap().refuses = None;
    world.pass(seconds(60));
    assert_eq!(world.switches["edge"].state, *world.core.desired());
    assert_eq!(world.count("switch.accepted"), 1);
    assert!(world.core.status().alarms.is_empty());
}

#[test]
fn only_what_is_refused_again_waits_longer() {
    let mut world = World::on_two_switches();
    world.switches.get_mut("edge").unwrap().refuses = Some("no room".to_owned());
    for weight in 1..20 {
        world.weight(WEB, weight);
    }
    world.switches.get_mut("edge").unwrap().refuses = None;
    world.pass(seconds(1));
    assert_eq!(world.switches["edge"].state, *world.core.desired());
}

#[test]
fn a_new_change_does_not_wait_for_the_pause_after_a_refusal() {
    let mut world = World::on_two_switches();
    world.switches.get_mut("edge").unwrap().refuses = Some("no room".to_owned());
    world.weight(WEB, 5);
    world.pass(seconds(20));
    world.switches.get_mut("edge").unwrap().refuses = None;
    let request = world.weight(WEB, 6);
    assert!(world.reply(request).switches.iter().all(|outcome| outcome.live.is_ok()));
}

#[test]
fn answers_to_deltas_of_an_earlier_session_are_ignored() {
    let mut world = World::on_two_switches();
    let edge = world.switches.get_mut("edge").unwrap();
    edge.held = true;
    let session = edge.session.unwrap();
    world.weight(WEB, 5);
    let stamp = Stamp { term: 1, sequence: 1 };
    for message in [
        FromSwitch::Applied { stamp, generation: 1, live_after: Duration::ZERO },
        FromSwitch::Refused { stamp, reason: "late".to_owned() },
    ] {
        world.feed(Input::Switch { session, message });
    }
    assert_eq!(world.switches["edge"].unanswered.len(), 1);
    assert_eq!(world.count("switch.refused"), 0);
    world.release("edge");
    assert_eq!(world.held("edge", WEB).unwrap().weight, 5);
}

#[test]
fn a_switch_that_has_seen_a_higher_term_raises_ours() {
    let mut world = World::on_two_switches();
    world.disconnect("spare");
    world.switches.get_mut("spare").unwrap().stamp = Stamp { term: 41, sequence: 3 };
    world.connect("spare");
    assert_eq!(world.disk.term, 42, "saved too");
    assert_eq!(world.count("manager.term"), 1);
    world.weight(WEB, 5);
    for switch in ["edge", "spare"] {
        assert_eq!(world.held(switch, WEB).unwrap().weight, 5);
        assert_eq!(world.switches[switch].stamp.term, 42);
    }
}

#[test]
fn a_switch_with_a_stamp_of_our_term_that_we_did_not_give_raises_it() {
    let mut world = World::on_two_switches();
    let stamp = Stamp { term: 1, sequence: 1_000 };
    world.switches.insert("third".to_owned(), FakeSwitch { stamp, ..FakeSwitch::default() });
    world.connect("third");
    assert_eq!(world.switches["third"].stamp, Stamp { term: 2, sequence: 1 });
}

#[test]
fn a_second_switch_of_the_same_name_is_sent_away() {
    let mut world = World::on_two_switches();
    let session = SessionId(999);
    let hello = Hello {
        name: name("edge"),
        stamp: Stamp::default(),
        generation: 0,
        state: SwitchState::default(),
        description: "impostor".to_owned(),
        probes: false,
    };
    world.feed(Input::Switch { session, message: FromSwitch::Hello(hello) });
    assert!(world.closed.iter().any(|(closed, _)| *closed == session));
    world.feed(Input::Closed { session });
    world.weight(WEB, 5);
    assert_eq!(world.held("edge", WEB).unwrap().weight, 5, "the first one goes on");
}

#[test]
fn switches_that_are_gone_are_remembered() {
    let mut world = World::on_two_switches();
    world.disconnect("spare");
    let views = world.core.switches(world.now);
    let connected: Vec<_> = views.iter().map(|view| (view.name.as_str(), view.connected)).collect();
    assert_eq!(connected, [("edge", true), ("spare", false)]);
    let status = world.core.status();
    assert_eq!((status.switches_connected, status.switches_total), (1, 2));
    assert!(status.alarms.iter().any(|alarm| alarm.contains("`spare` is not connected")));
}

#[test]
fn counters_are_summed_over_switches() {
    use crate::model::{ClassCount, Counters};
    let mut world = World::on_two_switches();
    for (switch, admitted) in [("edge", 3), ("spare", 4)] {
        let classes = vec![ClassCount { class: name("bots"), admitted, refused: 1 }];
        let session = world.switches[switch].session.unwrap();
        let counters = Counters { classes, remembered_flows: 2, ..Counters::default() };
        world.feed(Input::Switch { session, message: FromSwitch::Counters(counters) });
    }
    let sum = world.core.counters(None).unwrap();
    assert_eq!((sum.classes[0].admitted, sum.classes[0].refused, sum.remembered_flows), (7, 2, 4));
    assert_eq!(world.core.counters(Some(&name("spare"))).unwrap().classes[0].admitted, 4);
    assert_eq!(world.core.class_views()[0].admitted, 7);
    let error = world.core.counters(Some(&name("nix"))).unwrap_err();
    assert_eq!(error, "there is no switch `nix`; this manager has: edge, spare");
}

#[test]
fn one_delta_carries_what_changes_together() {
    let mut world = World::on_two_switches();
    world.agent("two", 1, &[OTHER, "www/192.0.2.3:80"]);
    world.pass(seconds(2));
    let before = world.switches["edge"].deltas.len();
    world.hang_up("two");
    // Each of the two is an output of the same input.
    assert_eq!(world.switches["edge"].deltas.len(), before + 1);
    assert_eq!(world.switches["edge"].deltas.last().unwrap().changes.len(), 2);
}

#[test]
fn a_switch_that_can_remember_no_more_is_an_alarm_until_it_can() {
    let mut world = World::on_two_switches();
    let table =
        [(95, 0, 0), (96, 1, 0), (100, 1, 0), (91, 1, 0), (90, 1, 1), (95, 1, 1), (96, 2, 1)];
    for (remembered_flows, full, roomy) in table {
        let counters =
            Counters { remembered_flows, remembered_capacity: 100, ..Counters::default() };
        world.feed_counters("edge", counters);
        let told = (world.count("switch.full"), world.count("switch.roomy"));
        assert_eq!(told, (full, roomy), "{remembered_flows}");
        let alarm = format!("switch `edge`: it remembers {remembered_flows} of 100 flows");
        let alarms = world.core.status().alarms;
        let raised = alarms.iter().any(|line| line.starts_with(&alarm));
        assert_eq!(raised, full > roomy, "{alarms:?}");
    }
}

#[test]
fn a_backend_that_a_switch_cannot_reach_is_shown_with_the_reason() {
    let mut world = World::on_two_switches();
    let counts = |unreachable: Option<&str>| Counters {
        backends: vec![BackendCount {
            key: key(WEB),
            packets: 0,
            bytes: 0,
            reply_packets: 0,
            reply_bytes: 0,
            new_connections: 0,
            remembered_flows: 0,
            unreachable: unreachable.map(str::to_owned),
        }],
        ..Counters::default()
    };
    world.feed_counters("edge", counts(None));
    world.feed_counters("spare", counts(Some("interface eth1 is down")));
    let why = world.view(WEB).unreachable.unwrap();
    assert!(why.contains("`spare`") && why.contains("interface eth1 is down"), "{why}");
    let alarms = world.core.status().alarms;
    assert!(alarms.iter().any(|alarm| alarm.contains("eth1 is down")), "{alarms:?}");
    let sum = world.core.counters(None).unwrap();
    assert_eq!(sum.backends[0].unreachable.as_deref(), Some("interface eth1 is down"));
    // What a switch said before it was lost says nothing of now.
    world.disconnect("spare");
    assert_eq!(world.view(WEB).unreachable, None);
    world.connect("spare");
    world.feed_counters("spare", counts(None));
    assert_eq!(world.view(WEB).unreachable, None);
    assert!(world.core.status().alarms.is_empty());
}
