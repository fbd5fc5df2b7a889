//! When a draining binding has no connection left: the operator need not wait
//! for the deadline, and the switches can forget it.

use std::time::Duration;

use super::{Core, bindings::State};
use crate::model::{BindingKey, Name};

/// How long there must have been no connection. A connection whose handshake
/// was under way when the drain became live is in no count yet.
const SETTLE: Duration = Duration::from_secs(1);

impl Core {
    /// Somebody who can know says whether a binding has connections.
    pub(super) fn note_connections(&mut self, key: &BindingKey, none_left: bool) {
        let Some(record) = self.bindings.get(key) else {
            return;
        };
        if !matches!(record.state, State::Draining { .. }) {
            return;
        }
        let quiet = none_left && self.live_everywhere(record.version);
        let (now, reason) = (self.now, format!("{}; no connection is left", record.reason));
        let Some(record) = self.bindings.get_mut(key) else {
            return;
        };
        record.quiet_since = quiet.then(|| record.quiet_since.unwrap_or(now));
        if record.quiet_since.is_some_and(|since| now - since >= SETTLE) {
            self.retire(key, &reason);
        }
    }

    /// A switch's counters came: they speak for bindings without an agent.
    pub(super) fn note_counters(&mut self, switch: &Name) {
        let Some(counters) = self.switches.get(switch).and_then(|switch| switch.counters.as_ref())
        else {
            return;
        };
        let draining = |key: &&BindingKey| {
            let record = self.bindings.get(key);
            record.is_some_and(|r| r.agent.is_none() && matches!(r.state, State::Draining { .. }))
        };
        let keys: Vec<_> =
            counters.backends.iter().map(|count| &count.key).filter(draining).cloned().collect();
        for key in keys {
            let none_left = self.switches_forgot(&key);
            self.note_connections(&key, none_left);
        }
    }

    /// Every switch says that no flow can belong to a draining binding: its
    /// service is at rest again and remembers none. While a service moves,
    /// connections that nobody remembers may still be the binding's.
    fn switches_forgot(&self, key: &BindingKey) -> bool {
        let Some(version) = self.bindings.get(key).map(|record| record.version) else {
            return false;
        };
        self.switches.values().all(|switch| {
            let Some(counters) = switch.counters.as_ref() else {
                return false;
            };
            let moving =
                counters.services.iter().any(|count| count.service == key.service && count.moving);
            let flows = counters
                .backends
                .iter()
                .find(|count| count.key == *key)
                .map(|c| c.remembered_flows);
            switch.counted >= version && !moving && flows == Some(0)
        })
    }

    /// Whether every known switch has that version of `desired` live. One that
    /// is out of reach may still send new connections.
    fn live_everywhere(&self, version: u64) -> bool {
        self.switches.values().all(|switch| switch.session.is_some() && switch.live >= version)
    }
}
