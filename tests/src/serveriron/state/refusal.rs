//! Why the box does not do a thing.

use std::fmt;

/// A refused change. Displayed, it is what follows `Error - ` on the command
/// line: the wording is ours, since the facts have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A table has no room.
    Full(&'static str),
    /// Nothing has this name.
    Unknown { what: &'static str, name: String },
    /// Another has this already.
    Taken { what: &'static str, value: String, by: String },
    /// Not bound.
    NotBound(String),
    /// Out of range.
    Value { what: &'static str, value: String },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(table) => write!(f, "the table of {table} is full"),
            Self::Unknown { what, name } => write!(f, "there is no {what} {name}"),
            Self::Taken { what, value, by } => write!(f, "{what} {value} belongs to {by}"),
            Self::NotBound(binding) => write!(f, "{binding} is not bound"),
            Self::Value { what, value } => write!(f, "{value} is no {what}"),
        }
    }
}

impl std::error::Error for Refusal {}
