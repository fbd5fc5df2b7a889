//! Names, or all that begin or end alike.

use std::{fmt, str::FromStr};

use serde::Deserialize;

/// A name, or, with `*` as its first or last character, every name that ends or
/// begins with the rest; `*` alone is every name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Pattern {
    Exact(String),
    /// `web-*`
    Begins(String),
    /// `*.example`
    Ends(String),
}

/// Text that is no [`Pattern`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a pattern: write a name, with `*` only as its first or its last character")]
pub struct PatternError(String);

impl Pattern {
    /// Whether `name` is meant.
    pub fn takes(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            // The star stands for something, unless it stands for everything.
            Self::Begins(start) => {
                name.strip_prefix(start.as_str()).is_some_and(|rest| !rest.is_empty())
            }
            Self::Ends(end) => name.strip_suffix(end.as_str()).is_some_and(|rest| !rest.is_empty()),
        }
    }

    /// Whether it ends where one part of an identity ends, so that a part of a
    /// name is not taken for a zone: `*`, `*.zone`, `spiffe://domain/path/*`.
    pub fn is_bounded(&self) -> bool {
        match self {
            Self::Exact(_) => true,
            Self::Begins(start) => start.ends_with('/'),
            Self::Ends(end) => end.is_empty() || end.starts_with('.'),
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        // DNS names have no case, URIs do.
        let text = if text.contains("://") { text.to_owned() } else { text.to_lowercase() };
        let pattern = if let Some(end) = text.strip_prefix('*') {
            Self::Ends(end.to_owned())
        } else if let Some(start) = text.strip_suffix('*') {
            Self::Begins(start.to_owned())
        } else {
            Self::Exact(text.clone())
        };
        let (Self::Exact(rest) | Self::Begins(rest) | Self::Ends(rest)) = &pattern;
        if text.is_empty() || rest.contains('*') {
            return Err(PatternError(super::shown(&text)));
        }
        Ok(pattern)
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Begins(start) => write!(f, "{start}*"),
            Self::Ends(end) => write!(f, "*{end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_takes() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("web.example", &["web.example"], &["xweb.example", "web.example.org", ""]),
            ("*.example", &["a.example", "a.b.example"], &["example", ".example", "aexample"]),
            ("web-*", &["web-1", "web-a.b"], &["web-", "web", "aweb-1"]),
            ("spiffe://s/agent/*", &["spiffe://s/agent/a"], &["spiffe://s/agent", "x"]),
            ("spiffe://s/A", &["spiffe://s/A"], &["spiffe://s/a"]),
            ("WEB.example", &["web.example"], &[]),
            ("*", &["a", "spiffe://s/x"], &[""]),
        ];
        for (pattern, takes, takes_not) in table {
            let pattern: Pattern = pattern.parse().unwrap();
            assert!(takes.iter().all(|name| pattern.takes(name)), "{pattern}");
            assert!(!takes_not.iter().any(|name| pattern.takes(name)), "{pattern}");
        }
    }

    #[test]
    fn only_patterns_are_patterns() {
        for bad in ["", "a*b", "*a*", "**", "a.*.b"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        let bounded = |text: &str| text.parse::<Pattern>().unwrap().is_bounded();
        assert!(["a", "*", "*.zone", "spiffe://s/a/*"].iter().all(|text| bounded(text)));
        assert!(!["*zone", "spiffe://s/a*", "web-*"].iter().any(|text| bounded(text)));
    }
}
