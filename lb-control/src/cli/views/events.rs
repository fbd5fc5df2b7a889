//! `sluice events`

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::optional;
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
        }
    }
}
