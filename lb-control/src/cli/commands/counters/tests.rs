use super::*;
use crate::proto::v1;

/// Counters after `seconds` of steady traffic.
fn after(seconds: u64) -> CountersView {
    let backend = |backend: &str, rate: u64| v1::BackendCount {
        service: "www".to_owned(),
        backend: backend.to_owned(),
        packets: 1000 * rate * seconds,
        bytes: 1024 * 1000 * rate * seconds,
        new_connections: rate * seconds,
        reachable: true,
        ..v1::BackendCount::default()
    };
    let reason = |reason: &str, fate: &str, packets: u64| v1::ReasonCount {
        reason: reason.to_owned(),
        fate: fate.to_owned(),
        packets,
    };
    v1::Counters {
        services: vec![v1::ServiceCount {
            service: "www".to_owned(),
            new_connections: 4 * seconds,
            refused_reset: seconds,
            ..v1::ServiceCount::default()
        }],
        backends: vec![backend("10.0.0.11:80", 1), backend("10.0.0.12:80", 3)],
        classes: vec![v1::ClassCount {
            class: "default".to_owned(),
            admitted: 4 * seconds,
            refused: seconds,
        }],
        reasons: vec![reason("forward_new", "forward", 4 * seconds), reason("fragment", "drop", 0)],
        generation: 7,
        remembered_flows: 0,
        remembered_capacity: 262_144,
    }
    .into()
}

#[test]
fn totals() {
    assert_eq!(
        render(&after(10), None, false),
        "\
SERVICE  NEW  RESET  SILENT  NO BACKEND  BROKEN
www       40     10       0           0       0

BACKEND           NEW  SHARE  PACKETS    BYTES
www/10.0.0.11:80   10  25.0%    10000  9.8 MiB
www/10.0.0.12:80   30  75.0%    30000   29 MiB

CLASS    ADMITTED  REFUSED
default        40       10

PACKETS         FATE  COUNT
forward_new  forward     40

Generation 7; 0 of 262144 flows remembered.
"
    );
}

#[test]
fn zeros_are_for_wide_screens() {
    assert!(render(&after(10), None, true).contains("fragment"));
}

#[test]
fn rates() {
    let added = after(12).since(&after(10));
    assert_eq!(added.services[0].new_connections, 8);
    let text = render(&added, Some(2.0), false);
    assert!(text.contains("www      4.0    1.0       0"), "{text}");
    assert!(text.contains("2.9 MiB/s"), "{text}");
}

#[test]
fn counters_that_began_anew() {
    let added = after(3).since(&after(10));
    assert_eq!(added.services[0].new_connections, 12);
    assert_eq!(added.reasons[0].packets, 12);
}

#[test]
fn nothing_yet() {
    let empty = CountersView::from(v1::Counters::default());
    assert_eq!(render(&empty, None, false), "No switch has reported counters yet.\n");
}
