//! Why things are as they are.
//!
//! Events are numbered. Each names the event that it follows from, where one
//! does, and the outcome of a delta names the events whose decisions it carried:
//! `agent.lost` → `binding.down` → delta 3/17 → live on a switch.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{Carried, Core, Event, Output, switches::Flight};
use crate::model::Name;

/// The numbers of events, and what the next one follows from.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    last: u64,
    /// Of the last event that is not itself the outcome of a delta.
    decided: u64,
    causes: Causes,
    kinds: BTreeMap<&'static str, u64>,
}

/// The last events of what is being handled: of anybody, of a service, of a
/// binding. An event follows from the last of those that speak of the same, or
/// of more.
#[derive(Clone, Debug, Default)]
struct Causes {
    any: Option<u64>,
    service: Option<(Name, u64)>,
    binding: Option<(Name, SocketAddr, u64)>,
}

impl Trail {
    /// Something else is handled from now on.
    pub(super) fn turn(&mut self) {
        self.causes = Causes::default();
    }

    /// The last event that a delta which is sent now carries.
    pub(super) fn decided(&self) -> u64 {
        self.decided
    }

    /// How many events there were, by kind.
    pub(super) fn kinds(&self) -> &BTreeMap<&'static str, u64> {
        &self.kinds
    }

    fn number(&mut self, event: &mut Event) {
        self.last += 1;
        event.sequence = self.last;
        *self.kinds.entry(event.kind).or_default() += 1;
        if event.delta.is_some() {
            return;
        }
        self.decided = self.last;
        let causes = &mut self.causes;
        let of_service =
            causes.service.as_ref().filter(|(service, _)| event.service.as_ref() == Some(service));
        let of_binding = causes.binding.as_ref().filter(|(service, backend, _)| {
            event.service.as_ref() == Some(service) && event.backend == Some(*backend)
        });
        event.cause = [causes.any, of_service.map(|c| c.1), of_binding.map(|c| c.2)]
            .into_iter()
            .flatten()
            .max();
        match (&event.service, event.backend) {
            (Some(service), Some(backend)) => {
                causes.binding = Some((service.clone(), backend, self.last));
            }
            (Some(service), None) => causes.service = Some((service.clone(), self.last)),
            (None, _) => causes.any = Some(self.last),
        }
    }
}

impl Core {
    pub(super) fn publish(&mut self, mut event: Event) {
        self.trail.number(&mut event);
        self.out.push(Output::Publish(event));
    }

    /// A delta that carried decisions is live.
    pub(super) fn tell_live(&mut self, name: &Name, flight: &Flight, after: u64, generation: u64) {
        if flight.decided <= after {
            return; // A step that no event speaks of, such as one of a slow start.
        }
        let took = self.now.saturating_sub(flight.sent_at);
        let (stamp, changes) = (flight.stamp, flight.changes);
        let message = format!(
            "delta {stamp} with {changes} change(s) is live after {:?}, as generation {generation}",
            micros(took)
        );
        let events = (after, flight.decided);
        let delta = Some(Carried { stamp, events, live_after: Some(took) });
        self.publish(Event {
            kind: "delta.live",
            switch: Some(name.clone()),
            message,
            delta,
            ..Event::default()
        });
    }
}

/// Without the digits that nobody reads.
fn micros(duration: Duration) -> Duration {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
