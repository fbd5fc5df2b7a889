//! What `-o json` prints: the fields here, by these names, are a contract with
//! programs. Fields may be added, none is renamed or removed. Times are in
//! seconds, as numbers with a fraction; what does not apply is `null`.

mod change;
mod counters;
mod declare;
mod describe;
mod doctor;
mod events;
mod lists;
mod notify;
mod status;

use std::time::Duration;

pub use self::{
    change::{ChangeView, OutcomeView},
    counters::{BackendCountView, CountersView, WatchView},
    declare::{ApplyView, ComparisonView},
    describe::{BackendDescription, HeldView, ServiceDescription, SwitchDescription, WordView},
    doctor::DoctorView,
    events::EventView,
    lists::{BackendView, ClassView, DriftView, PolicyView, RefillView, ServiceView, SwitchView},
    notify::NotifyView,
    status::StatusView,
};

/// Nanoseconds of the contract as seconds.
fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}

/// An empty string of the contract means that there is none.
fn optional(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
