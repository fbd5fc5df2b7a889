//! What an application says of itself, by its agent.

use super::Weight;

/// Whether an application takes new connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Availability {
    /// It does; also when it has said nothing.
    #[default]
    Ready,
    /// None, for as long as it likes; the existing ones go on.
    Drain { cause: String },
    /// It is about to go: its binding is removed gracefully, and comes back when
    /// it is ready.
    Leave { cause: String },
    /// It cannot serve: the same as a failed health check. When it is ready
    /// again, its health is verified anew.
    Failed { cause: String },
}

/// An application's last word. Every heartbeat repeats it, so that a manager
/// that has missed one, or has just started, knows it with the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    pub availability: Availability,
    /// Instead of the weight that its agent has bound it with.
    pub weight: Option<Weight>,
    /// The share of its weight that it can take now, in percent.
    pub percent: u32,
}

impl Application {
    /// The largest [`percent`](Self::percent).
    pub const MOST_PERCENT: u32 = 10_000;
}

impl Default for Application {
    fn default() -> Self {
        Self { availability: Availability::Ready, weight: None, percent: 100 }
    }
}

impl Availability {
    /// `ready`, `drain`, `leave` or `failed`, as an application says it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain { .. } => "drain",
            Self::Leave { .. } => "leave",
            Self::Failed { .. } => "failed",
        }
    }

    /// Why; empty where nothing was said.
    pub fn cause(&self) -> &str {
        match self {
            Self::Ready => "",
            Self::Drain { cause } | Self::Leave { cause } | Self::Failed { cause } => cause,
        }
    }

    /// For people: `its application has failed: the disk is full`.
    pub fn reason(&self) -> String {
        let said = match self {
            Self::Ready => "its application is ready",
            Self::Drain { .. } => "its application drains",
            Self::Leave { .. } => "its application leaves",
            Self::Failed { .. } => "its application has failed",
        };
        match self.cause() {
            "" => said.to_owned(),
            cause => format!("{said}: {cause}"),
        }
    }
}
