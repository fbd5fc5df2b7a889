//! `sluice events`

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{optional, seconds};
use crate::proto::v1;

/// Something that happened.
#[derive(Debug, Serialize)]
pub struct EventView {
    /// Grows by one; `--after` takes it.
    pub sequence: u64,
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// Dotted, such as `binding.active`.
    pub kind: String,
    pub service: Option<String>,
    pub backend: Option<String>,
    pub switch: Option<String>,
    /// For people.
    pub message: String,
    /// Number of the event that this one follows from; `null`: it is nobody's doing.
    pub cause: Option<u64>,
    /// Of `delta.live` and `switch.refused`.
    pub delta: Option<DeltaView>,
}

/// What became of a delta, and what it was about.
#[derive(Debug, Serialize)]
pub struct DeltaView {
    pub term: u64,
    pub sequence: u64,
    /// It carried what the events after the first of these numbers decided, up
    /// to the second.
    pub events_after: u64,
    pub events_until: u64,
    /// From being sent to being acknowledged; `null`: it was refused.
    pub live_after_seconds: Option<f64>,
}

impl From<v1::Event> for EventView {
    fn from(event: v1::Event) -> Self {
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(event.time_unix_nanos);
        Self {
            sequence: event.sequence,
            time: humantime::format_rfc3339_millis(time).to_string(),
            kind: event.kind,
            service: optional(event.service),
            backend: optional(event.backend),
            switch: optional(event.switch_name),
            message: event.message,
            cause: (event.cause > 0).then_some(event.cause),
            delta: event.delta.map(Into::into),
        }
    }
}

impl From<v1::DeltaOutcome> for DeltaView {
    fn from(delta: v1::DeltaOutcome) -> Self {
        Self {
            term: delta.term,
            sequence: delta.sequence,
            events_after: delta.events_after,
            events_until: delta.events_until,
            live_after_seconds: delta.live.then(|| seconds(delta.live_after_nanos)),
        }
    }
}
