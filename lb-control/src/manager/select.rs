//! Which events somebody asks for. Who asks for a backend's events wants to know
//! why it is as it is: what they follow from, and the deltas that carried them,
//! belong to it.

use std::collections::BTreeSet;

use super::events::EventLog;
use crate::proto::{WireError, v1};

/// Events that a delta's outcome may still speak of.
const MOST: usize = 1024;
/// Kinds of events of bindings that leave the switches as they are.
const SILENT: [&str; 5] = [
    "binding.pending",
    "binding.refused",
    "binding.misfit",
    "binding.damped",
    "connections.closed",
];

/// Takes what is asked for out of what there is.
#[derive(Debug, Default)]
pub(super) struct Selection {
    service: String,
    backend: String,
    switch: String,
    /// Numbers of the last events that were chosen and changed what switches hold.
    decided: BTreeSet<u64>,
    /// Numbers of the last events that were handed out.
    given: BTreeSet<u64>,
}

impl Selection {
    /// # Errors
    /// The request names something that is no name.
    pub(super) fn new(request: &v1::EventsRequest) -> Result<Self, WireError> {
        let (service, backend, switch) = request.wanted()?;
        Ok(Self { service, backend, switch, ..Self::default() })
    }

    /// What of a batch is asked for, in order. A cause that was in an earlier
    /// batch is fetched from the log and comes first.
    pub(super) fn take(&mut self, batch: Vec<v1::Event>, log: &EventLog) -> Vec<v1::Event> {
        if self.service.is_empty() && self.backend.is_empty() && self.switch.is_empty() {
            return batch;
        }
        let mut chosen = BTreeSet::new();
        for event in &batch {
            if self.wants(event) {
                chosen.insert(event.sequence);
                if event.delta.is_none() && !SILENT.contains(&event.kind.as_str()) {
                    remember(&mut self.decided, event.sequence);
                }
            }
        }
        for event in batch.iter().rev() {
            if chosen.contains(&event.sequence) && event.cause > 0 {
                chosen.insert(event.cause);
            }
        }
        let before = batch.first().map_or(0, |event| event.sequence);
        let earlier = chosen.range(..before).filter(|number| !self.given.contains(*number));
        let mut events: Vec<_> = earlier.filter_map(|number| log.get(*number)).collect();
        events.extend(batch.into_iter().filter(|event| chosen.contains(&event.sequence)));
        for event in &events {
            remember(&mut self.given, event.sequence);
        }
        events
    }

    fn wants(&self, event: &v1::Event) -> bool {
        if event.kind == "events.missed" {
            return true;
        }
        let elsewhere = !event.switch_name.is_empty() && event.switch_name != self.switch;
        if !self.switch.is_empty() && elsewhere {
            return false;
        }
        if self.service.is_empty() && self.backend.is_empty() {
            return event.switch_name == self.switch;
        }
        if let Some(delta) = &event.delta {
            let about = delta.events_after + 1..=delta.events_until;
            return delta.events_after < delta.events_until
                && self.decided.range(about).next().is_some();
        }
        let of_service = self.service.is_empty() || event.service == self.service;
        let of_backend = self.backend.is_empty()
            || event.backend == self.backend
            || (event.backend.is_empty() && !self.service.is_empty());
        of_service && of_backend
    }
}

fn remember(numbers: &mut BTreeSet<u64>, number: u64) {
    numbers.insert(number);
    if numbers.len() > MOST {
        numbers.pop_first();
    }
}

#[cfg(test)]
mod tests;
