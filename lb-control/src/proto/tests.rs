//! What is meant survives the wire.

mod fuzzed;
mod wrong;

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

/// An edge that holds it.
fn edge() -> Hello {
    Hello {
        name: "edge".parse().unwrap(),
        stamp: Stamp { term: u64::MAX, sequence: 3 },
        generation: 9,
        state: state(),
        description: "xdp native eth0".to_owned(),
        probes: true,
    }
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
        backends: [("api", "[2001:db8::1]:8443"), ("www", "192.0.2.1:80"), ("www", "192.0.2.2:80")]
            .map(|(service, backend)| BackendCount {
                key: key(service, backend),
                packets: 8,
                bytes: 9,
                reply_packets: 10,
                reply_bytes: 11,
                new_connections: 12,
                remembered_flows: 13,
                unreachable: Some("it does not answer".to_owned()),
            })
            .into(),
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
    let hello = edge();
    let stamp = hello.stamp;
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
