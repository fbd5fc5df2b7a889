//! What the operator's commands do.

mod certs;
mod change;
mod check;
mod counters;
mod declare;
mod describe;
mod doctor;
mod events;
mod get;
mod names;
mod notify;
mod status;
mod trace;

pub use self::{
    certs::certs,
    change::{add, drop, remove, thaw, weight},
    check::check,
    counters::counters,
    declare::{apply, diff, export},
    describe::describe,
    doctor::doctor,
    events::events,
    get::get,
    notify::notify,
    status::status,
    trace::trace,
};
use super::{Failure, output::Output};

/// `sluice version`
pub fn version(out: &mut Output) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if out.is_json() {
        out.document(&serde_json::json!({ "version": version }))
    } else {
        out.line(&format!("sluice {version}"))
    }
}
