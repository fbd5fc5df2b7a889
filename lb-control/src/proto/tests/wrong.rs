//! What is wrong with a message is said with its field.

use super::*;

fn hello(change: impl FnOnce(&mut v1::EdgeHello)) -> String {
    let mut message = v1::EdgeMessage::from(FromSwitch::Hello(edge()));
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
fn what_is_wrong_with_a_count_is_said_with_its_place() {
    let wrong = |change: fn(&mut v1::Counters)| {
        let mut counters = v1::Counters::from(&counters());
        change(&mut counters);
        Counters::try_from(counters).unwrap_err().to_string()
    };
    let table = [
        (wrong(|c| c.backends[2].backend.clear()), "backends[2].backend: `` is not ADDRESS:PORT"),
        (wrong(|c| c.backends[0].service.clear()), "backends[0].service: `` is not a name"),
        (wrong(|c| c.backends[2].service.push('!')), "backends[2].service: `www!` is not a name"),
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
