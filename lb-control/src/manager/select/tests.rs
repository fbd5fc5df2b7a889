use super::*;
use crate::core::{Carried, Event};
use crate::model::Stamp;

fn event(sequence: u64, cause: Option<u64>, kind: &'static str, of: (&str, &str, &str)) -> Event {
    let (service, backend, switch) = of;
    Event {
        sequence,
        cause,
        kind,
        service: service.parse().ok(),
        backend: backend.parse().ok(),
        switch: switch.parse().ok(),
        ..Event::default()
    }
}

fn live(sequence: u64, switch: &str, events: (u64, u64)) -> Event {
    let delta = Some(Carried { stamp: Stamp::default(), events, live_after: None });
    Event { delta, ..event(sequence, None, "delta.live", ("", "", switch)) }
}

const A: &str = "192.0.2.1:80";
const B: &str = "192.0.2.2:80";

fn log() -> EventLog {
    let log = EventLog::new(100);
    for event in [
        event(1, None, "agent.lost", ("", "", "")),
        event(2, Some(1), "binding.down", ("www", A, "")),
        event(3, None, "agent.lost", ("", "", "")),
        event(4, Some(3), "binding.down", ("www", B, "")),
        live(5, "edge1", (1, 2)),
        live(6, "edge2", (1, 4)),
        live(7, "edge1", (2, 4)),
        event(8, None, "service.thawed", ("www", "", "")),
        event(9, None, "binding.down", ("api", A, "")),
        event(10, None, "binding.pending", ("www", A, "")),
        live(11, "edge1", (8, 10)),
        event(12, None, "switch.full", ("", "", "edge2")),
    ] {
        log.publish(event);
    }
    log
}

fn selected(request: v1::EventsRequest) -> Vec<u64> {
    let log = log();
    let mut selection = Selection::new(&request).unwrap();
    let events = selection.take(log.read(0).take(&log), &log);
    events.iter().map(|event| event.sequence).collect()
}

#[test]
fn what_led_to_a_state_and_what_carried_it_belongs_together() {
    let request = |service: &str, backend: &str, switch: &str| v1::EventsRequest {
        service: service.to_owned(),
        backend: backend.to_owned(),
        switch_name: switch.to_owned(),
        ..v1::EventsRequest::default()
    };
    let table = [
        (request("", "", ""), vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        (request("www", A, ""), vec![1, 2, 5, 6, 8, 10]),
        (request("www", B, ""), vec![3, 4, 6, 7, 8]),
        (request("", A, ""), vec![1, 2, 5, 6, 9, 10, 11]),
        (request("www", A, "edge1"), vec![1, 2, 5, 8, 10]),
        (request("", "", "edge2"), vec![6, 12]),
        (request("shop", "", ""), vec![]),
    ];
    for (request, numbers) in table {
        assert_eq!(selected(request.clone()), numbers, "{request:?}");
    }
    assert!(Selection::new(&request("www", "nowhere", "")).is_err());
}

#[test]
fn a_cause_of_an_earlier_batch_is_fetched_once() {
    let log = log();
    let all = log.read(0).take(&log);
    let request = v1::EventsRequest { backend: A.to_owned(), ..v1::EventsRequest::default() };
    let mut selection = Selection::new(&request).unwrap();
    let (first, rest) = all.split_at(1);
    assert!(selection.take(first.to_vec(), &log).is_empty(), "nobody knows yet what it leads to");
    let (second, rest) = rest.split_at(1);
    let numbers = |events: Vec<v1::Event>| events.iter().map(|e| e.sequence).collect::<Vec<_>>();
    assert_eq!(numbers(selection.take(second.to_vec(), &log)), [1, 2]);
    let again = v1::Event { sequence: 13, ..second[0].clone() };
    assert_eq!(numbers(selection.take(vec![again], &log)), [13]);
    assert_eq!(numbers(selection.take(rest.to_vec(), &log)), [5, 6, 9, 10, 11]);
}
