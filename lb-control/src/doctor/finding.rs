//! What doctor has to say.

use std::fmt;

/// How bad it is; the worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Packets do not arrive, or will not.
    Problem,
    /// They may not, or arrive slowly; or something could not be looked at.
    Warning,
    /// Worth knowing.
    Note,
    /// Looked at, and well.
    Ok,
}

impl Severity {
    /// Its name, as tables and programs have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Ok => "ok",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// What was looked at, such as `rp_filter`: a name that stays.
    pub check: &'static str,
    /// Such as `interface eth0`, `service www`, `backend 10.0.0.11:80`, `host`.
    pub place: String,
    /// For people.
    pub what: String,
    /// What to do: a command to paste, where there is one.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(severity: Severity, check: &'static str, place: &str, what: String) -> Self {
        Self { severity, check, place: place.to_owned(), what, remedy: None }
    }

    pub(super) fn problem(check: &'static str, place: &str, what: impl Into<String>) -> Self {
        Self::new(Severity::Problem, check, place, what.into())
    }

    pub(super) fn warning(check: &'static str, place: &str, what: impl Into<String>) -> Self {
        Self::new(Severity::Warning, check, place, what.into())
    }

    pub(super) fn note(check: &'static str, place: &str, what: impl Into<String>) -> Self {
        Self::new(Severity::Note, check, place, what.into())
    }

    pub(super) fn ok(check: &'static str, place: &str, what: impl Into<String>) -> Self {
        Self::new(Severity::Ok, check, place, what.into())
    }

    /// It could not be looked at.
    pub(super) fn unknown(check: &'static str, place: &str, why: impl fmt::Display) -> Self {
        Self::new(Severity::Warning, check, place, format!("could not be looked at: {why}"))
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}
