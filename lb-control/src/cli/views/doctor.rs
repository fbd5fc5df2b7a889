//! `sluice doctor`

use serde::Serialize;

use crate::doctor::finding::{Finding, Severity};

/// What doctor has found, the worst first.
#[derive(Debug, Serialize)]
pub struct DoctorView {
    /// What the host was taken for.
    pub looked_at: String,
    pub problems: usize,
    pub warnings: usize,
    /// Those that are well only when all were asked for.
    pub findings: Vec<FindingView>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct FindingView {
    /// `problem`, `warning`, `note` or `ok`.
    pub severity: &'static str,
    /// What was looked at, such as `rp_filter`.
    pub check: &'static str,
    /// Such as `interface eth0`, `service www`, `backend 10.0.0.11`, `host`.
    #[serde(rename = "where")]
    pub place: String,
    /// For people.
    pub what: String,
    /// What to do; most are commands to paste.
    pub remedy: Option<String>,
}

impl DoctorView {
    pub fn new(looked_at: String, findings: Vec<Finding>, all: bool) -> Self {
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        Self {
            looked_at,
            problems: count(Severity::Problem),
            warnings: count(Severity::Warning),
            findings: findings
                .into_iter()
                .filter(|finding| all || finding.severity != Severity::Ok)
                .map(FindingView::from)
                .collect(),
        }
    }
}

impl From<Finding> for FindingView {
    fn from(finding: Finding) -> Self {
        let Finding { severity, check, place, what, remedy } = finding;
        Self { severity: severity.name(), check, place, what, remedy }
    }
}
