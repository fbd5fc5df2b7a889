//! The last events, and those who follow them. A follower reads the ring at
//! its own pace, so that a slow one delays nobody; it is told what it missed.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

use crate::{core::Event, model::Name, proto::v1};

/// Events that a follower takes at a time.
const BATCH: usize = 256;

/// A ring of numbered events.
#[derive(Debug)]
pub(super) struct EventLog {
    ring: Mutex<VecDeque<v1::Event>>,
    keep: usize,
    /// The number of the last event.
    last: watch::Sender<u64>,
}

impl EventLog {
    pub(super) fn new(keep: usize) -> Self {
        Self { ring: Mutex::default(), keep: keep.max(1), last: watch::Sender::new(0) }
    }

    pub(super) fn publish(&self, event: Event) {
        let Event { kind, service, backend, switch, message } = event;
        let field = |name: Option<Name>| name.map(String::from).unwrap_or_default();
        let (service, switch) = (field(service), field(switch));
        let backend = backend.map(|backend| backend.to_string()).unwrap_or_default();
        tracing::info!(kind, service, backend, switch, "{message}");
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_unix_nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = *self.last.borrow() + 1;
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
        });
        drop(ring);
        self.last.send_replace(sequence);
    }

    /// A reader of the events after `after`. A number that was not reached yet
    /// is from an earlier run of the manager: it stands for all events.
    pub(super) fn read(&self, after: u64) -> Reader {
        let news = self.last.subscribe();
        let after = if after > *news.borrow() { 0 } else { after };
        Reader { after, started: after > 0, news }
    }
}

/// A place in the ring.
#[derive(Debug)]
pub(super) struct Reader {
    after: u64,
    /// Something was read or asked for, so that a gap is a loss.
    started: bool,
    news: watch::Receiver<u64>,
}

impl Reader {
    /// What is there and was not read yet; empty when all was.
    pub(super) fn take(&mut self, log: &EventLog) -> Vec<v1::Event> {
        let ring = log.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let from = ring.partition_point(|event| event.sequence <= self.after);
        let mut events: Vec<_> = ring.iter().skip(from).take(BATCH).cloned().collect();
        drop(ring);
        let Some((first, last)) =
            events.first().zip(events.last()).map(|(a, b)| (a.sequence, b.sequence))
        else {
            return events;
        };
        if self.started && first > self.after + 1 {
            let missed = first - self.after - 1;
            events.insert(
                0,
                v1::Event {
                    sequence: first - 1,
                    time_unix_nanos: events[0].time_unix_nanos,
                    kind: "events.missed".to_owned(),
                    message: format!(
                        "{missed} event(s) were no longer kept when they were to be read"
                    ),
                    ..v1::Event::default()
                },
            );
        }
        self.after = last;
        self.started = true;
        events
    }

    /// Waits for events that were not read yet; false when there will be none.
    pub(super) async fn more(&mut self) -> bool {
        self.news.wait_for(|last| *last > self.after).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Event {
        Event { kind: "test", message: message.to_owned(), ..Event::default() }
    }

    fn messages(events: Vec<v1::Event>) -> Vec<String> {
        events.into_iter().map(|event| event.message).collect()
    }

    #[tokio::test]
    async fn a_reader_gets_each_event_once_and_is_told_of_losses() {
        let log = EventLog::new(2);
        let mut reader = log.read(0);
        log.publish(event("a"));
        assert!(reader.more().await);
        assert_eq!(messages(reader.take(&log)), ["a"]);
        assert!(reader.take(&log).is_empty());
        for message in ["b", "c", "d"] {
            log.publish(event(message));
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
}
