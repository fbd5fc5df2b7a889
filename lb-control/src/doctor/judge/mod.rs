//! From facts to findings. Nothing here looks at the host.

mod decap;
mod device;
mod edge;
mod filter;
mod hops;
mod host;
mod interface;
mod manager;
mod program;
mod server;
mod vip;

use std::fmt;

use super::{facts::Facts, finding::Finding, subject::Subject};

/// Everything there is to say, the worst first.
pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let rooms = [
        host::judge,
        interface::judge,
        program::judge,
        device::judge,
        edge::judge,
        vip::judge,
        hops::judge,
        filter::judge,
        server::judge,
        decap::judge,
        manager::judge,
    ];
    let mut findings: Vec<Finding> =
        rooms.into_iter().flat_map(|judge| judge(subject, facts)).collect();
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// Something that could not be looked at: with more privilege, where some was
/// missing.
fn unknown(
    subject: &Subject,
    facts: &Facts,
    check: &'static str,
    place: &str,
    why: impl fmt::Display,
) -> Finding {
    let finding = Finding::unknown(check, place, why);
    if facts.host.missing_capabilities.is_empty() {
        finding
    } else {
        finding.remedy(subject.again.clone())
    }
}

fn interface(name: &str) -> String {
    format!("interface {name}")
}

fn service(name: impl fmt::Display) -> String {
    format!("service {name}")
}

#[cfg(test)]
mod tests;
