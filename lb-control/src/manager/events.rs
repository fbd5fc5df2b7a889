//! The last events, and those who follow them. A follower reads the ring at
//! its own pace, so that a slow one delays nobody; it is told what it missed.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

use crate::{
    core::{Carried, Event},
    model::Name,
    proto::v1,
};

/// Events that a follower takes at a time.
const BATCH: usize = 256;

/// The last events, by number.
#[derive(Debug)]
pub(super) struct EventLog {
    rings: Mutex<Rings>,
    /// Of each ring.
    keep: usize,
    /// The number of the last event.
    last: watch::Sender<u64>,
}

/// What was decided, and what became of it on switches. There may be many
/// switches: what they say does not push out what it is about.
#[derive(Debug, Default)]
struct Rings {
    decisions: VecDeque<v1::Event>,
    outcomes: VecDeque<v1::Event>,
}

impl Rings {
    fn after(&self, number: u64) -> Vec<v1::Event> {
        let after = |ring: &VecDeque<v1::Event>| {
            let from = ring.partition_point(|event| event.sequence <= number);
            ring.iter().skip(from).take(BATCH).cloned().collect::<Vec<_>>()
        };
        let mut events = after(&self.decisions);
        events.extend(after(&self.outcomes));
        events.sort_by_key(|event| event.sequence);
        events.truncate(BATCH);
        events
    }
}

impl EventLog {
    pub(super) fn new(keep: usize) -> Self {
        Self { rings: Mutex::default(), keep: keep.max(1), last: watch::Sender::new(0) }
    }

    pub(super) fn publish(&self, event: Event) {
        self.record(event, SystemTime::now());
    }

    /// At a time of day, which people see and nothing goes by: it may jump.
    fn record(&self, event: Event, time: SystemTime) {
        let Event { sequence, cause, kind, service, backend, switch, message, delta } = event;
        let field = |name: Option<Name>| name.map(String::from).unwrap_or_default();
        let (service, switch) = (field(service), field(switch));
        let backend = backend.map(|backend| backend.to_string()).unwrap_or_default();
        if kind == "delta.live" {
            tracing::debug!(kind, sequence, switch, "{message}");
        } else {
            tracing::info!(kind, sequence, cause, service, backend, switch, "{message}");
        }
        let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_unix_nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = if delta.is_some() { &mut rings.outcomes } else { &mut rings.decisions };
        if ring.len() >= self.keep {
            ring.pop_front();
        }
        ring.push_back(v1::Event {
            sequence,
            time_unix_nanos,
            kind: kind.to_owned(),
            service,
            backend,
            switch_name: switch,
            message,
            cause: cause.unwrap_or(0),
            delta: delta.map(outcome),
        });
        drop(rings);
        self.last.send_replace(sequence);
    }

    /// A reader of the events after `after`. A number that was not reached yet
    /// is from an earlier run of the manager: it stands for all events.
    pub(super) fn read(&self, after: u64) -> Reader {
        let news = self.last.subscribe();
        let last = *news.borrow();
        let after = if after > last { 0 } else { after };
        Reader { after, asked: if after > 0 { after } else { last }, news }
    }

    /// One event, where it is still kept.
    pub(super) fn get(&self, number: u64) -> Option<v1::Event> {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        [&rings.decisions, &rings.outcomes].into_iter().find_map(|ring| {
            let place = ring.binary_search_by_key(&number, |event| event.sequence).ok()?;
            ring.get(place).cloned()
        })
    }
}

fn outcome(Carried { stamp, events, live_after }: Carried) -> v1::DeltaOutcome {
    let nanos = live_after.map(|after| u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
    v1::DeltaOutcome {
        term: stamp.term,
        sequence: stamp.sequence,
        events_after: events.0,
        events_until: events.1,
        live: nanos.is_some(),
        live_after_nanos: nanos.unwrap_or(0),
    }
}

/// A place in the log.
#[derive(Debug)]
pub(super) struct Reader {
    after: u64,
    /// Of events after this one, none may be missed without a word.
    asked: u64,
    news: watch::Receiver<u64>,
}

impl Reader {
    /// What is there and was not read yet; empty when all was.
    pub(super) fn take(&mut self, log: &EventLog) -> Vec<v1::Event> {
        let mut events = log.rings.lock().unwrap_or_else(PoisonError::into_inner).after(self.after);
        let Some(last) = events.last().map(|event| event.sequence) else {
            return events;
        };
        let from = self.after.max(self.asked);
        let first = events.partition_point(|event| event.sequence <= from);
        let due = last.saturating_sub(from);
        let missed = due.saturating_sub(u64::try_from(events.len() - first).unwrap_or(due));
        let numbers = (from + 1..).zip(&events[first..]);
        if missed > 0
            && let Some(gap) = numbers.clone().position(|(due, event)| event.sequence != due)
        {
            let next = &events[first + gap];
            let note = v1::Event {
                sequence: next.sequence - 1,
                time_unix_nanos: next.time_unix_nanos,
                kind: "events.missed".to_owned(),
                message: format!("{missed} event(s) were no longer kept when they were to be read"),
                ..v1::Event::default()
            };
            events.insert(first + gap, note);
        }
        self.after = last;
        events
    }

    /// Waits for events that were not read yet; false when there will be none.
    pub(super) async fn more(&mut self) -> bool {
        self.news.wait_for(|last| *last > self.after).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn event(sequence: u64, message: &str) -> Event {
        Event { sequence, kind: "test", message: message.to_owned(), ..Event::default() }
    }

    fn outcome(sequence: u64, message: &str) -> Event {
        let delta = Some(Carried { stamp: Default::default(), events: (0, 1), live_after: None });
        Event { delta, ..event(sequence, message) }
    }

    fn messages(events: Vec<v1::Event>) -> Vec<String> {
        events.into_iter().map(|event| event.message).collect()
    }

    #[tokio::test]
    async fn a_reader_gets_each_event_once_and_is_told_of_losses() {
        let log = EventLog::new(2);
        let mut reader = log.read(0);
        log.publish(event(1, "a"));
        assert!(reader.more().await);
        assert_eq!(messages(reader.take(&log)), ["a"]);
        assert!(reader.take(&log).is_empty());
        for (number, message) in [(2, "b"), (3, "c"), (4, "d")] {
            log.publish(event(number, message));
        }
        let events = messages(reader.take(&log));
        assert!(events[0].starts_with("1 event(s)"), "{events:?}");
        assert_eq!(events[1..], ["c", "d"]);
        assert_eq!(messages(log.read(3).take(&log)), ["d"]);
        assert_eq!(
            messages(log.read(0).take(&log)),
            ["c", "d"],
            "what is gone was never asked for"
        );
        assert_eq!(messages(log.read(99).take(&log)), ["c", "d"], "a number of an earlier run");
    }

    #[tokio::test]
    async fn a_time_of_day_that_jumps_changes_no_order_and_loses_nothing() {
        const DAY: Duration = Duration::from_secs(86_400);
        let log = EventLog::new(10);
        let mut follower = log.read(0);
        let noon = UNIX_EPOCH + 20_000 * DAY;
        let times = [noon, noon + 400 * DAY, noon - 400 * DAY, UNIX_EPOCH - DAY, noon];
        for (number, time) in (1..).zip(times) {
            log.record(event(number, "of a time"), time);
            assert!(follower.more().await);
            let told = follower.take(&log);
            let days = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
            let [event] = &told[..] else { panic!("{told:?}") };
            assert_eq!(
                (event.sequence, event.time_unix_nanos / 86_400_000_000_000),
                (number, days)
            );
        }
        let numbers: Vec<_> = log.read(0).take(&log).iter().map(|event| event.sequence).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        assert_eq!(log.get(4).map(|event| event.time_unix_nanos), Some(0), "before 1970");
    }

    #[test]
    fn what_switches_say_pushes_no_decision_out_and_a_gap_in_it_is_told() {
        let log = EventLog::new(2);
        log.publish(event(1, "a"));
        let mut reader = log.read(1);
        for number in 2..6 {
            log.publish(outcome(number, &number.to_string()));
        }
        log.publish(event(6, "b"));
        assert_eq!(messages(log.read(0).take(&log)), ["a", "4", "5", "b"]);
        let events = reader.take(&log);
        let numbers: Vec<_> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(numbers, [3, 4, 5, 6]);
        assert!(events[0].message.starts_with("2 event(s)"), "{events:?}");
        assert_eq!(log.get(1).map(|event| event.message), Some("a".to_owned()));
        assert_eq!(log.get(5).map(|event| event.message), Some("5".to_owned()));
        assert_eq!(log.get(3), None);
    }
}
