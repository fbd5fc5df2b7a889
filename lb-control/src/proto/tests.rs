mod fuzzed;

use std::{fmt::Debug, time::Duration};

use super::*;
use crate::{
    core::Command,
    model::{
        Affinity, AgentBinding, AgentHello, Application, Availability, BackendCount, BackendReport,
        Binding, BindingKey, Change, ClassCount, ClassSpec, Counters, Delta, Drift, FromAgent,
        FromSwitch, Heartbeat, Hello, Mode, Phase, Policy, ProbeId, ProbeOrder, ProbeOrders,
        ProbePath, Probed, Protocol, ReasonCount, Scope, ServerEnd, ServiceCount, ServiceSpec,
        Share, Stamp, SwitchState, ToAgent, ToSwitch, Udp, Verdict, Vip,
    },
};

fn key(service: &str, backend: &str) -> BindingKey {
    BindingKey { service: service.parse().unwrap(), backend: backend.parse().unwrap() }
}

fn spec(name: &str, address: &str, mode: Mode) -> ServiceSpec {
    let address: Vip = address.parse().unwrap();
    ServiceSpec {
        ring_size: 4099,
        protocol: Protocol::TcpAndUdp,
        affinity: Affinity::Client,
        udp: Udp::Quic,
        udp_idle: 7,
        server_id_bytes: 3,
        echo: true,
        ..ServiceSpec::tcp(name.parse().unwrap(), address, mode)
    }
}

/// A state with every kind of thing in it.
fn state() -> SwitchState {
    let class = ClassSpec {
        name: "bots".parse().unwrap(),
        sources: vec!["198.51.100.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        dscp: vec![0, 46, 63],
    };
    let policy = Policy {
        refuse: Share::from_ppm(123_456).unwrap(),
        verdict: Verdict::Silent,
        scope: Scope::Client,
    };
    let changes = [
        Change::PutClasses(vec![class]),
        Change::PutService(spec("www", "203.0.113.10:80", Mode::L2)),
        Change::PutService(spec("six", "[2001:db8:1::10]:443", Mode::Nat)),
        Change::PutBinding(key("www", "192.0.2.1:80"), Binding::new(0, Phase::Serve)),
        Change::PutBinding(
            key("www", "192.0.2.2:80"),
            Binding {
                server_id: Some("0a1b2c".parse().unwrap()),
                ..Binding::new(65535, Phase::Drain)
            },
        ),
        Change::PutBinding(key("six", "[2001:db8:2::1]:8443"), Binding::new(1, Phase::Break)),
        Change::PutPolicy {
            service: "www".parse().unwrap(),
            class: "bots".parse().unwrap(),
            policy,
        },
        Change::PutPolicy {
            service: "six".parse().unwrap(),
            class: "default".parse().unwrap(),
            policy: Policy { refuse: Share::ALL, ..Policy::default() },
        },
    ];
    let mut state = SwitchState::default();
    changes.iter().for_each(|change| state.apply(change).unwrap());
    state
}

fn counters() -> Counters {
    Counters {
        services: vec![ServiceCount {
            service: "www".parse().unwrap(),
            new_connections: 1,
            refused_reset: 2,
            refused_silent: 3,
            no_backend: 4,
            broken: 5,
            remembered: 6,
            not_remembered: 7,
            moving: true,
        }],
        backends: vec![BackendCount {
            key: key("www", "192.0.2.1:80"),
            packets: 8,
            bytes: 9,
            reply_packets: 10,
            reply_bytes: 11,
            new_connections: 12,
            remembered_flows: 13,
            unreachable: Some("it does not answer".to_owned()),
        }],
        classes: vec![ClassCount { class: "bots".parse().unwrap(), admitted: 14, refused: 15 }],
        reasons: vec![ReasonCount {
            reason: "not_ours".to_owned(),
            fate: "pass".to_owned(),
            packets: 16,
        }],
        generation: 17,
        remembered_flows: 18,
        remembered_capacity: 19,
    }
}

fn round_trip<M, W>(message: M)
where
    W: From<M>,
    M: Clone + Debug + PartialEq + TryFrom<W, Error: Debug>,
{
    assert_eq!(M::try_from(W::from(message.clone())).unwrap(), message);
}

#[test]
fn what_a_switch_says_survives_the_wire() {
    let stamp = Stamp { term: u64::MAX, sequence: 3 };
    let hello = Hello {
        name: "edge".parse().unwrap(),
        stamp,
        generation: 9,
        state: state(),
        description: "xdp native eth0".to_owned(),
        probes: true,
    };
    round_trip::<_, v1::EdgeMessage>(FromSwitch::Hello(hello));
    let live_after = Duration::from_nanos(12_345);
    round_trip::<_, v1::EdgeMessage>(FromSwitch::Applied { stamp, generation: 4, live_after });
    let reason = "no room".to_owned();
    round_trip::<_, v1::EdgeMessage>(FromSwitch::Refused { stamp, reason });
    round_trip::<_, v1::EdgeMessage>(FromSwitch::Counters(counters()));
    let what = "2 rows of BACKENDS".to_owned();
    let drift = Drift { changes: 2, what, repaired: true };
    round_trip::<_, v1::EdgeMessage>(FromSwitch::Drifted(drift));
    round_trip::<_, v1::EdgeMessage>(FromSwitch::Probed(reports()));
}

fn reports() -> Vec<Probed> {
    vec![
        Probed { probe: ProbeId(u64::MAX), outcome: Ok(()), run: 3 },
        Probed { probe: ProbeId(1), outcome: Err("no answer".to_owned()), run: u32::MAX },
    ]
}

fn orders() -> ProbeOrders {
    let path = ProbePath {
        mode: Mode::Gue,
        to: "[2001:db8::10]:80".parse().unwrap(),
        via: "10.0.0.12".parse().unwrap(),
    };
    let order = ProbeOrder {
        probe: ProbeId(7),
        path,
        interval: Duration::from_millis(1500),
        timeout: Duration::from_nanos(1),
        rise: 2,
        fall: 3,
    };
    ProbeOrders { start: vec![order], stop: vec![ProbeId(5), ProbeId(6)] }
}

#[test]
fn probes_survive_the_wire() {
    let orders = orders();
    round_trip::<_, v1::ProbeOrders>(orders.clone());
    let command = v1::EdgeCommand::from(ToSwitch::Probe(orders.clone()));
    assert_eq!(command.kind, Some(v1::edge_command::Kind::Probes(orders.clone().into())));
    for (field, change) in [
        ("start[0].mode", (|order| order.mode = 99) as fn(&mut v1::ProbeOrder)),
        ("start[0].to", |order| order.to = "203.0.113.10".to_owned()),
        ("start[0].via", |order| order.via = "10.0.0.12:80".to_owned()),
    ] {
        let mut wire = v1::ProbeOrders::from(orders.clone());
        change(&mut wire.start[0]);
        assert_eq!(ProbeOrders::try_from(wire).unwrap_err().field, field);
    }
}

#[test]
fn every_change_survives_the_wire() {
    let mut changes = SwitchState::default().diff(&state());
    changes.extend(state().diff(&SwitchState::default()));
    changes.push(Change::DeleteBinding(key("www", "192.0.2.1:80")));
    changes.push(Change::PutClasses(Vec::new()));
    let kinds: std::collections::BTreeSet<_> = changes
        .iter()
        .map(|change| format!("{change:?}").split(['(', ' ']).next().unwrap().to_owned())
        .collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    let delta = Delta { stamp: Stamp { term: 2, sequence: 7 }, changes: changes.into() };
    let command = v1::EdgeCommand::from(ToSwitch::Apply(delta.clone()));
    let Some(v1::edge_command::Kind::Delta(wire)) = command.kind else { panic!("{command:?}") };
    assert_eq!(Delta::try_from(wire).unwrap(), delta);
}

#[test]
fn what_an_agent_says_survives_the_wire() {
    round_trip::<_, v1::AgentMessage>(FromAgent::Hello(AgentHello {
        name: "web-1".parse().unwrap(),
        boot: u64::MAX,
        binds: vec![
            AgentBinding { key: key("www", "192.0.2.1:80"), weight: 100, server_id: None },
            AgentBinding {
                key: key("h3", "192.0.2.1:443"),
                weight: 1,
                server_id: Some("0a1b".parse().unwrap()),
            },
        ],
        interval: Duration::from_millis(250),
    }));
    let report = |health, application| BackendReport {
        key: key("www", "192.0.2.1:80"),
        health,
        connections: 5,
        load: 0.25,
        application,
    };
    let with = |availability| Application { availability, weight: Some(0), percent: 10_000 };
    round_trip::<_, v1::AgentMessage>(FromAgent::Heartbeat(Heartbeat {
        sequence: 3,
        reports: vec![
            report(Ok(()), Application::default()),
            report(Err("HTTP 503".to_owned()), with(Availability::Drain { cause: String::new() })),
            report(Ok(()), with(Availability::Leave { cause: "upgrade".to_owned() })),
            report(Ok(()), with(Availability::Failed { cause: "disk".to_owned() })),
        ],
    }));
    round_trip::<_, v1::AgentMessage>(FromAgent::Leave { cause: "told to".to_owned() });
    let closed =
        FromAgent::Closed { key: key("www", "192.0.2.1:80"), connections: 7, heartbeat: 9 };
    round_trip::<_, v1::AgentMessage>(closed);
}

#[test]
fn what_an_agent_is_told_survives_the_wire() {
    use v1::agent_reply::Kind;
    let key = key("www", "192.0.2.1:80");
    let end = ServerEnd {
        local: "203.0.113.0/24:*".parse().unwrap(),
        except: vec!["203.0.113.10:80".parse().unwrap(), "203.0.113.128/25:*".parse().unwrap()],
    };
    let close = ToAgent::Close { key: key.clone(), end: end.clone(), heartbeat: 9 };
    let notice =
        |end| ToAgent::Notice { key: key.clone(), state: "down", reason: "x".to_owned(), end };
    let kind = |message: ToAgent| v1::AgentReply::from(message).kind.unwrap();
    let back = |end: Option<v1::ServerEnd>| end.map(|end| ServerEnd::try_from(end).unwrap());
    let Kind::Close(close) = kind(close) else { panic!() };
    assert_eq!((close.service.as_str(), close.backend.as_str()), ("www", "192.0.2.1:80"));
    assert_eq!(close.heartbeat, 9);
    assert_eq!(back(close.end), Some(end.clone()));
    for end in [Some(end), None] {
        let Kind::Notice(notice) = kind(notice(end.clone())) else { panic!() };
        assert_eq!((notice.state.as_str(), back(notice.end)), ("down", end));
    }
    let wrong = v1::ServerEnd { local: "203.0.113.10".to_owned(), except: Vec::new() };
    let error = ServerEnd::try_from(wrong).unwrap_err().to_string();
    assert!(error.starts_with("local: `203.0.113.10` is not ADDRESS:PORT"), "{error}");
}

fn hello(change: impl FnOnce(&mut v1::EdgeHello)) -> String {
    let hello = Hello {
        name: "edge".parse().unwrap(),
        stamp: Stamp::default(),
        generation: 0,
        state: state(),
        description: String::new(),
        probes: false,
    };
    let mut message = v1::EdgeMessage::from(FromSwitch::Hello(hello));
    let Some(v1::edge_message::Kind::Hello(hello)) = &mut message.kind else { unreachable!() };
    change(hello);
    FromSwitch::try_from(message).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_with_a_state_is_said_with_its_field() {
    let state =
        |change: fn(&mut v1::SwitchState)| hello(|hello| change(hello.state.as_mut().unwrap()));
    let table = [
        (hello(|hello| hello.name = "Edge".to_owned()), "hello.name: `Edge` is not a name"),
        (hello(|hello| hello.state = None), "hello.state: missing"),
        (
            state(|s| s.services[1].address = "203.0.113.10".to_owned()),
            "hello.state.services[1].address: `203.0.113.10` is not ADDRESS:PORT",
        ),
        (state(|s| s.services[0].mode = 0), "hello.state.services[0].mode: missing, or 0"),
        (state(|s| s.services[0].mode = 99), "hello.state.services[0].mode: missing, or 99"),
        (
            state(|s| s.services[0].protocol = 99),
            "hello.state.services[0].protocol: missing, or 99",
        ),
        (
            state(|s| s.services[0].ring_size = 1 << 21),
            "hello.state.services[0].ring_size: a ring has",
        ),
        (
            state(|s| s.bindings[0].weight = 65_536),
            "hello.state.bindings[0].weight: a weight is 0 to 65535",
        ),
        (state(|s| s.bindings[0].phase = 0), "hello.state.bindings[0].phase: missing, or 0"),
        (state(|s| s.bindings[0].backend.clear()), "hello.state.bindings[0].backend: `` is not"),
        (
            state(|s| s.policies[0].refuse_ppm = 1_000_001),
            "hello.state.policies[0].refuse_ppm: a share is",
        ),
        (state(|s| s.policies[0].verdict = 9), "hello.state.policies[0].verdict: missing, or 9"),
        (state(|s| s.policies[0].scope = -1), "hello.state.policies[0].scope: missing, or -1"),
        (state(|s| s.policies[0].class.clear()), "hello.state.policies[0].class: `` is not a name"),
        (
            state(|s| s.classes[0].sources[0] = "192.0.2.1/8".to_owned()),
            "hello.state.classes[0].sources: `192.0.2.1/8` has bits beyond its length",
        ),
        (
            state(|s| s.classes[0].dscp[0] = 64),
            "hello.state.classes[0].dscp: DSCP is 0 to 63, not 64",
        ),
    ];
    for (error, start) in table {
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn what_is_wrong_with_an_agents_words_is_said_with_its_field() {
    use v1::agent_message::Kind;
    let bind = |weight| v1::BindRequest {
        service: "www".to_owned(),
        backend: "192.0.2.1:80".to_owned(),
        weight,
        server_id: String::new(),
    };
    let hello = v1::AgentHello {
        name: "a".to_owned(),
        boot_id: 1,
        binds: vec![bind(1), bind(1)],
        interval_ms: 250,
    };
    let report = |load| v1::BackendReport {
        service: "www".to_owned(),
        backend: "192.0.2.1:80".to_owned(),
        load,
        ..v1::BackendReport::default()
    };
    let heartbeat =
        |load| Kind::Heartbeat(v1::Heartbeat { sequence: 1, backends: vec![report(load)] });
    let says = |change: &dyn Fn(&mut v1::BackendReport)| {
        let mut report = report(0.0);
        change(&mut report);
        Kind::Heartbeat(v1::Heartbeat { sequence: 1, backends: vec![report] })
    };
    let table = [
        (None, "kind: missing"),
        (
            Some(Kind::Hello(v1::AgentHello { name: "ä".to_owned(), ..hello.clone() })),
            "hello.name: `ä` is not a name",
        ),
        (
            Some(Kind::Hello(v1::AgentHello { interval_ms: 0, ..hello.clone() })),
            "hello.interval_ms: a heartbeat interval is 10 to 60000 ms, not 0",
        ),
        (
            Some(Kind::Hello(v1::AgentHello {
                binds: vec![bind(1), bind(70_000)],
                ..hello.clone()
            })),
            "hello.binds[1].weight: a weight is 0 to 65535, not 70000",
        ),
        (
            Some(Kind::Hello(v1::AgentHello {
                binds: vec![v1::BindRequest { server_id: "x".to_owned(), ..bind(1) }],
                ..hello
            })),
            "hello.binds[0].server_id: `x` is not a server id: write 1 to 8 bytes in hexadecimal",
        ),
        (Some(heartbeat(f64::NAN)), "heartbeat.backends[0].load: a load is 0 or more"),
        (Some(heartbeat(-1.0)), "heartbeat.backends[0].load: a load is 0 or more"),
        (
            Some(says(&|report| report.availability = 9)),
            "heartbeat.backends[0].availability: 9 is none that this version knows",
        ),
        (
            Some(says(&|report| report.weight = Some(70_000))),
            "heartbeat.backends[0].weight: a weight is 0 to 65535, not 70000",
        ),
        (
            Some(says(&|report| report.weight_percent = Some(10_001))),
            "heartbeat.backends[0].weight_percent: a share of a weight is 0 to 10000 percent, not 10001",
        ),
    ];
    for (kind, start) in table {
        let error = FromAgent::try_from(v1::AgentMessage { kind }).unwrap_err().to_string();
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn text_for_people_is_bounded_and_plain() {
    let cause = format!("\u{1b}[31mred\n{}", "x".repeat(10_000));
    let leave = v1::agent_message::Kind::Leave(v1::Leave { cause });
    let message = v1::AgentMessage { kind: Some(leave) };
    let FromAgent::Leave { cause } = FromAgent::try_from(message).unwrap() else { panic!() };
    assert_eq!(cause.len(), 256);
    assert!(cause.starts_with("[31mredxxx"), "{cause}");
}

#[test]
fn commands_are_checked() {
    let request = v1::DropRequest {
        service: "www".to_owned(),
        class: String::new(),
        refuse_ppm: 500_000,
        verdict: 0,
        scope: 0,
    };
    let Ok(Command::Drop { class: None, policy, .. }) = Command::try_from(request.clone()) else {
        panic!()
    };
    assert_eq!(policy, Policy { refuse: Share::from_percent(50.0).unwrap(), ..Policy::default() });
    let bad = v1::DropRequest { refuse_ppm: 2_000_000, ..request };
    assert!(Command::try_from(bad).unwrap_err().to_string().starts_with("refuse_ppm: "));

    let request = v1::RemoveRequest {
        service: "www".to_owned(),
        backend: "192.0.2.1:80".to_owned(),
        force: false,
        deadline_nanos: 5,
        has_deadline: false,
        wait: true,
    };
    let Ok(Command::Remove { deadline: None, wait: true, .. }) = Command::try_from(request.clone())
    else {
        panic!("without has_deadline there is none");
    };
    let given = v1::RemoveRequest { has_deadline: true, ..request };
    let Ok(Command::Remove { deadline, .. }) = Command::try_from(given) else { panic!() };
    assert_eq!(deadline, Some(Duration::from_nanos(5)));
}
