//! `sluice counters`

use std::collections::HashMap;

use serde::Serialize;

use super::optional;
use crate::proto::v1;

/// Totals since the switches' counters began, or what was added between two
/// looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CountersView {
    pub generation: u64,
    /// Flows remembered now, and the most there can be.
    pub remembered_flows: u64,
    pub remembered_capacity: u64,
    pub services: Vec<ServiceCountView>,
    pub backends: Vec<BackendCountView>,
    pub classes: Vec<ClassCountView>,
    /// Why packets left; zeros too.
    pub reasons: Vec<ReasonView>,
}

/// One line of `sluice counters --watch -o json`.
#[derive(Debug, Serialize)]
pub struct WatchView {
    /// Since the last look.
    pub seconds: f64,
    /// What was added since then: divide by `seconds` for rates.
    pub added: CountersView,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceCountView {
    pub service: String,
    /// New connections let in.
    pub new_connections: u64,
    /// New connections refused by RST, and by silence.
    pub refused_reset: u64,
    pub refused_silent: u64,
    /// Packets answered by RST because no backend owns them.
    pub no_backend: u64,
    /// Packets to broken backends, answered by RST.
    pub broken: u64,
    /// Connections remembered because a change put them at risk.
    pub remembered: u64,
    /// New connections sent to their settled backend for lack of room.
    pub not_remembered: u64,
    pub moving: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendCountView {
    pub service: String,
    pub backend: String,
    pub new_connections: u64,
    /// From clients.
    pub packets: u64,
    pub bytes: u64,
    /// To clients (mode `nat`).
    pub reply_packets: u64,
    pub reply_bytes: u64,
    /// Remembered flows that are not closing.
    pub remembered_flows: u64,
    /// Whether packets can be sent to it, and if not, why.
    pub reachable: bool,
    pub unreachable: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassCountView {
    pub class: String,
    /// New connections.
    pub admitted: u64,
    pub refused: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReasonView {
    pub reason: String,
    /// `forward`, `reset`, `drop` or `pass`.
    pub fate: String,
    pub packets: u64,
}

impl From<v1::Counters> for CountersView {
    fn from(counters: v1::Counters) -> Self {
        let service = |count: v1::ServiceCount| ServiceCountView {
            service: count.service,
            new_connections: count.new_connections,
            refused_reset: count.refused_reset,
            refused_silent: count.refused_silent,
            no_backend: count.no_backend,
            broken: count.broken,
            remembered: count.remembered,
            not_remembered: count.not_remembered,
            moving: count.moving,
        };
        let class = |count: v1::ClassCount| ClassCountView {
            class: count.class,
            admitted: count.admitted,
            refused: count.refused,
        };
        let reason = |count: v1::ReasonCount| ReasonView {
            reason: count.reason,
            fate: count.fate,
            packets: count.packets,
        };
        Self {
            generation: counters.generation,
            remembered_flows: counters.remembered_flows,
            remembered_capacity: counters.remembered_capacity,
            services: counters.services.into_iter().map(service).collect(),
            backends: counters.backends.into_iter().map(Into::into).collect(),
            classes: counters.classes.into_iter().map(class).collect(),
            reasons: counters.reasons.into_iter().map(reason).collect(),
        }
    }
}

impl From<v1::BackendCount> for BackendCountView {
    fn from(count: v1::BackendCount) -> Self {
        Self {
            service: count.service,
            backend: count.backend,
            new_connections: count.new_connections,
            packets: count.packets,
            bytes: count.bytes,
            reply_packets: count.reply_packets,
            reply_bytes: count.reply_bytes,
            remembered_flows: count.remembered_flows,
            reachable: count.reachable,
            unreachable: optional(count.unreachable),
        }
    }
}

impl CountersView {
    /// What was counted of one service.
    pub fn of_service(mut self, service: &str) -> Self {
        self.services.retain(|count| count.service == service);
        self.backends.retain(|count| count.service == service);
        self.classes.clear();
        self.reasons.clear();
        self
    }

    /// What was added since `before`. A counter that went back began anew,
    /// and counts in full. What is a state (flows remembered, reachable,
    /// moving) stays as it is now.
    pub fn since(mut self, before: &Self) -> Self {
        let old = by_key(&before.services, |count| count.service.clone());
        for now in &mut self.services {
            if let Some(old) = old.get(&now.service) {
                added(&mut now.new_connections, old.new_connections);
                added(&mut now.refused_reset, old.refused_reset);
                added(&mut now.refused_silent, old.refused_silent);
                added(&mut now.no_backend, old.no_backend);
                added(&mut now.broken, old.broken);
                added(&mut now.remembered, old.remembered);
                added(&mut now.not_remembered, old.not_remembered);
            }
        }
        let key = |count: &BackendCountView| (count.service.clone(), count.backend.clone());
        let old = by_key(&before.backends, key);
        for now in &mut self.backends {
            if let Some(old) = old.get(&key(now)) {
                added(&mut now.new_connections, old.new_connections);
                added(&mut now.packets, old.packets);
                added(&mut now.bytes, old.bytes);
                added(&mut now.reply_packets, old.reply_packets);
                added(&mut now.reply_bytes, old.reply_bytes);
            }
        }
        let old = by_key(&before.classes, |count| count.class.clone());
        for now in &mut self.classes {
            if let Some(old) = old.get(&now.class) {
                added(&mut now.admitted, old.admitted);
                added(&mut now.refused, old.refused);
            }
        }
        let old = by_key(&before.reasons, |count| count.reason.clone());
        for now in &mut self.reasons {
            if let Some(old) = old.get(&now.reason) {
                added(&mut now.packets, old.packets);
            }
        }
        self
    }
}

fn by_key<T, K: Eq + std::hash::Hash>(counts: &[T], key: impl Fn(&T) -> K) -> HashMap<K, &T> {
    counts.iter().map(|count| (key(count), count)).collect()
}

fn added(now: &mut u64, before: u64) {
    *now = now.checked_sub(before).unwrap_or(*now);
}
