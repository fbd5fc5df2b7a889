//! When a draining binding has no connection left: the operator need not wait
//! for the deadline, and the switches can forget it.

use std::time::Duration;

use super::{Core, bindings::State};
use crate::model::{BackendCount, BindingKey, Name, Udp};

/// How long there must have been no connection. A connection whose handshake
/// was under way when the drain became live is in no count yet.
const SETTLE: Duration = Duration::from_secs(1);

impl Core {
    /// Somebody who can know has spoken of a binding's connections.
    pub(super) fn note_drain(&mut self, key: &BindingKey) {
        let Some(record) = self.bindings.get(key) else {
            return;
        };
        if !matches!(record.state, State::Draining { .. }) {
            return;
        }
        let quiet = self.live_everywhere(record.version) && self.none_left(key);
        let (now, reason) = (self.now, format!("{}; no connection is left", record.reason));
        let Some(record) = self.bindings.get_mut(key) else {
            return;
        };
        record.quiet_since = quiet.then(|| record.quiet_since.unwrap_or(now));
        if record.quiet_since.is_some_and(|since| now - since >= SETTLE) {
            self.retire(key, &reason);
        }
    }

    /// A switch's counters came.
    pub(super) fn note_counters(&mut self, switch: &Name) {
        let Some(counters) = self.switches.get(switch).and_then(|switch| switch.counters.as_ref())
        else {
            return;
        };
        let is_counted = |key: &&BindingKey| {
            counters.backends.binary_search_by(|count| count.key.cmp(key)).is_ok()
        };
        let keys: Vec<_> = self.draining.iter().filter(is_counted).cloned().collect();
        for key in keys {
            self.note_packets(&key);
            self.note_drain(&key);
        }
    }

    /// Notes when a switch last sent packets to a draining binding.
    fn note_packets(&mut self, key: &BindingKey) {
        let packets = self.counts(key).flatten().map(|count| count.packets).sum();
        let now = self.now;
        if let Some(record) = self.bindings.get_mut(key)
            && record.spoke.is_none_or(|(before, _)| before != packets)
        {
            record.spoke = Some((packets, now));
        }
    }

    /// Whether a draining binding has no connection left: of TCP as its agent
    /// counts them, or else the switches; of UDP as the switches do.
    pub(super) fn none_left(&self, key: &BindingKey) -> bool {
        let (Some(record), Some(spec)) = (self.bindings.get(key), self.spec(key)) else {
            return false;
        };
        let claim = || self.agents.get(record.agent.as_ref()?)?.binds.get(key);
        let tcp = || match self.server_end(key).and_then(|_| claim()) {
            Some(claim) => claim.connections == Some(0),
            None => self.switches_forgot(key),
        };
        let udp = || match spec.udp {
            // The backend's flows have moved.
            Udp::Stateless => true,
            Udp::Tracked => self.counts(key).all(|c| c.is_some_and(|c| c.remembered_flows == 0)),
            // A server id leads to the backend with nothing remembered.
            Udp::Quic => record.spoke.is_some_and(|(_, since)| {
                self.now - since >= Duration::from_secs(spec.udp_idle.into())
            }),
        };
        (!spec.protocol.has_tcp() || tcp()) && (!spec.protocol.has_udp() || udp())
    }

    /// Every switch says that no flow can belong to a draining binding: its
    /// service is at rest again and remembers none. While a service moves,
    /// connections that nobody remembers may still be the binding's.
    fn switches_forgot(&self, key: &BindingKey) -> bool {
        let moving = |service: &Name| {
            let counters = self.switches.values().filter_map(|switch| switch.counters.as_ref());
            let mut counts = counters.flat_map(|counters| &counters.services);
            counts.any(|count| count.service == *service && count.moving)
        };
        !moving(&key.service)
            && self.counts(key).all(|count| count.is_some_and(|c| c.remembered_flows == 0))
    }

    /// What each switch has counted of a binding; None where it has not counted
    /// since the binding became what it is.
    fn counts(&self, key: &BindingKey) -> impl Iterator<Item = Option<&BackendCount>> {
        let version = self.bindings.get(key).map_or(u64::MAX, |record| record.version);
        self.switches.values().map(move |switch| {
            let counters = switch.counters.as_ref().filter(|_| switch.counted >= version)?;
            let place = counters.backends.binary_search_by(|count| count.key.cmp(key)).ok()?;
            counters.backends.get(place)
        })
    }

    /// Whether no switch sends a removed binding's server anything any more.
    pub(super) fn is_removable(&self, key: &BindingKey) -> bool {
        self.bindings.get(key).is_some_and(|record| match record.state {
            State::Draining { .. } => record.quiet_since.is_some(),
            State::Broken { .. } => {
                !self.closing.contains_key(key) && self.live_everywhere(record.version)
            }
            _ => false,
        })
    }

    /// Whether every known switch has that version of `desired` live. One that
    /// is out of reach may still send new connections.
    fn live_everywhere(&self, version: u64) -> bool {
        self.switches.values().all(|switch| switch.session.is_some() && switch.live >= version)
    }
}
