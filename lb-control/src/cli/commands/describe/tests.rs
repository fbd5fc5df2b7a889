use super::*;
use crate::proto::v1;

fn events() -> Vec<EventView> {
    let event = |sequence, kind: &str, cause, delta| v1::Event {
        sequence,
        time_unix_nanos: 1_000_000_000 * sequence,
        kind: kind.to_owned(),
        message: format!("message {sequence}"),
        cause,
        delta,
        ..v1::Event::default()
    };
    let delta = v1::DeltaOutcome {
        term: 3,
        sequence: 17,
        events_after: 4,
        events_until: 6,
        live: true,
        live_after_nanos: 412_000,
    };
    let events = [
        event(5, "agent.lost", 0, None),
        event(6, "binding.down", 5, None),
        event(7, "delta.live", 0, Some(delta)),
    ];
    events.map(EventView::from).into()
}

fn down() -> v1::BackendDescription {
    let binding =
        v1::Binding { weight: 50, phase: v1::Phase::Drain.into(), ..v1::Binding::default() };
    v1::BackendDescription {
        view: Some(v1::BackendView {
            service: "www".to_owned(),
            backend: "10.0.0.11:80".to_owned(),
            weight: 100,
            effective_weight: 50,
            state: "down".to_owned(),
            reason: "agent `s1` is lost: its connection ended".to_owned(),
            since_nanos: 12_500_000_000,
            connections: 7,
            ..v1::BackendView::default()
        }),
        source: "nobody".to_owned(),
        held: vec![
            v1::HeldView {
                switch_name: "edge1".to_owned(),
                connected: true,
                in_step: true,
                binding: Some(binding),
                live: Some(v1::LiveView {
                    term: 3,
                    sequence: 17,
                    generation: 21,
                    age_nanos: 12_400_000_000,
                    after_nanos: Some(412_000),
                }),
                counts: Some(v1::BackendCount {
                    packets: 9,
                    bytes: 2048,
                    new_connections: 3,
                    reachable: true,
                    ..v1::BackendCount::default()
                }),
            },
            v1::HeldView { switch_name: "edge2".to_owned(), ..v1::HeldView::default() },
        ],
        ..v1::BackendDescription::default()
    }
}

#[test]
fn a_backend_on_a_page() {
    assert_eq!(
        backend_page(&BackendDescription::new(down(), events())),
        "\
Service:      www
Address:      10.0.0.11:80
State:        down, for 12s
Reason:       agent `s1` is lost: its connection ended
Weight:       100, of which switches hold 50
Comes from:   nobody
Agent:        -
Check:        -
Application:  -
Probe:        -
Connections:  7
Load:         -

Switches:
SWITCH  STATE    HOLDS             SINCE  LIVE AFTER  DELTA  GENERATION  NEW  PACKETS  BYTES
edge1   in step  drain, weight 50  12s    412 µs      3/17   21          3    9        2.0 KiB
edge2   lost     nothing           -      -           -      -           -    -        -

Last events:
TIME                      KIND          SERVICE  BACKEND  SWITCH  MESSAGE
1970-01-01T00:00:05.000Z  agent.lost    -        -        -       message 5
1970-01-01T00:00:06.000Z  binding.down  -        -        -       message 6
1970-01-01T00:00:07.000Z  delta.live    -        -        -       message 7
"
    );
}

#[test]
fn who_vouches_for_a_backend_and_what_they_say() {
    let word = |cause: &str| v1::HealthWord { healthy: cause.is_empty(), cause: cause.to_owned() };
    let description = v1::BackendDescription {
        agent: Some(v1::AgentView {
            name: "s1".to_owned(),
            heard_nanos: 180_000_000,
            timeout_nanos: 1_000_000_000,
            binds: 2,
            leaving: true,
        }),
        check: Some(word("status 503")),
        application: Some(v1::ApplicationView {
            word: "drain".to_owned(),
            cause: "a backup runs".to_owned(),
            weight: Some(7),
            weight_percent: 50,
        }),
        probe: Some(v1::ProbeView {
            address: "10.0.0.11:81".to_owned(),
            last: Some(word("")),
            run: 4,
        }),
        ..down()
    };
    let page = backend_page(&BackendDescription::new(description, Vec::new()));
    for line in [
        "Agent:        s1, heard 180 ms ago, lost after 1.00 s, leaves\n",
        "Check:        unhealthy: status 503\n",
        "Application:  drain: a backup runs, weight 7, 50% of its weight\n",
        "Probe:        10.0.0.11:81: healthy, 4 in a row\n",
        "\nLast events:\nnone\n",
    ] {
        assert!(page.contains(line), "{line:?} is not in\n{page}");
    }
}

#[test]
fn a_switch_on_a_page() {
    let switch = v1::SwitchView {
        name: "edge1".to_owned(),
        description: "xdp native eth0".to_owned(),
        connected: true,
        generation: 12,
        term: 3,
        sequence_sent: 9,
        sequence_live: 8,
        last_live_nanos: 180_000,
        last_error: String::new(),
        lacks: Vec::new(),
        lag_nanos: Some(90_000_000_000),
        refill_age_nanos: Some(5_000_000_000),
        refill_changes: 1000,
        drifts: 2,
        drift: Some(v1::DriftView {
            age_nanos: 12_000_000_000,
            changes: 1,
            what: "www/10.0.0.11:80 is gone".to_owned(),
            mended: true,
        }),
    };
    let lost = v1::BackendCount {
        service: "www".to_owned(),
        backend: "10.0.0.11:80".to_owned(),
        unreachable: "eth1 is down".to_owned(),
        ..v1::BackendCount::default()
    };
    let counters = v1::Counters { backends: vec![lost], ..v1::Counters::default() };
    let page = switch_page(&SwitchDescription {
        switch: switch.into(),
        counters: counters.into(),
        alarms: vec!["one".to_owned(), "two".to_owned()],
        events: Vec::new(),
    });
    for line in [
        "Last delta:   3/8, 1 behind, live after 180 µs\n",
        "Drift:        1 change 12s ago, 2 in all: www/10.0.0.11:80 is gone\n",
        "Error:        none\n",
        "Unreachable:  www/10.0.0.11:80: eth1 is down\n",
        "Alarms:       one\n              two\n",
        "Moving:       none\n",
        "\nServices:\nnone\n",
    ] {
        assert!(page.contains(line), "{line:?} is not in\n{page}");
    }
}

#[test]
fn json_is_a_contract() {
    let json = serde_json::to_value(BackendDescription::new(down(), events())).unwrap();
    assert_eq!(json["state"], "down");
    assert_eq!(json["agent_session"], serde_json::Value::Null);
    assert_eq!(
        json["switches"][0]["live"],
        serde_json::json!({
            "term": 3, "sequence": 17, "generation": 21, "since_seconds": 12.4,
            "live_after_seconds": 0.000412
        })
    );
    assert_eq!(json["switches"][1]["phase"], serde_json::Value::Null);
    assert_eq!(json["events"][1]["cause"], 5);
    assert_eq!(
        json["events"][2]["delta"],
        serde_json::json!({
            "term": 3, "sequence": 17, "events_after": 4, "events_until": 6,
            "live_after_seconds": 0.000412
        })
    );
}
