use super::*;

fn outcome(name: &str, error: &str) -> v1::SwitchOutcome {
    v1::SwitchOutcome {
        name: name.to_owned(),
        live: error.is_empty(),
        live_after_nanos: 180_000,
        error: error.to_owned(),
    }
}

fn view(switches: Vec<v1::SwitchOutcome>) -> ChangeView {
    ChangeReply { message: "www: 50% of new connections refused by reset".to_owned(), switches }
        .into()
}

#[test]
fn live_everywhere() {
    let view = view(vec![outcome("edge1", ""), outcome("edge2", "")]);
    assert_eq!(
        sentence(&view),
        "www: 50% of new connections refused by reset (live on edge1 after 180 µs, edge2 after 180 µs)"
    );
    assert_eq!(not_live(&view), None);
}

#[test]
fn live_somewhere() {
    let view = view(vec![outcome("edge1", ""), outcome("edge2", "not connected")]);
    assert_eq!(
        sentence(&view),
        "www: 50% of new connections refused by reset (live on edge1 after 180 µs)"
    );
    assert_eq!(not_live(&view).unwrap(), "accepted, but not live on edge2: not connected");
}

#[test]
fn live_nowhere() {
    let view = view(Vec::new());
    assert!(!view.live);
    assert_eq!(sentence(&view), "www: 50% of new connections refused by reset");
    assert!(not_live(&view).unwrap().contains("no switch has connected"));
}

#[test]
fn progress_of_a_drain() {
    let mut view = BackendView::from(v1::BackendView {
        service: "www".to_owned(),
        backend: "10.0.0.11:80".to_owned(),
        state: "draining".to_owned(),
        connections: 3,
        deadline_left_nanos: 48_000_000_000,
        ..v1::BackendView::default()
    });
    assert_eq!(
        progress_line(&view),
        "www/10.0.0.11:80 draining: 3 connections, at the most 48s more"
    );
    view.deadline_left_seconds = None;
    view.connections = 1;
    assert_eq!(progress_line(&view), "www/10.0.0.11:80 draining: 1 connection");
}
