//! Why a command did not do what it was asked, as a script sees it.

use std::io;

use crate::config::ConfigError;

/// The exit status is part of the command line's contract.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The reader of our output has had enough: no failure of ours.
    #[error("output closed")]
    Closed,
    /// Refused by the manager, or something here went wrong.
    #[error("{0}")]
    Failed(String),
    /// The configuration file was not taken.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The command line, or what it names, makes no sense.
    #[error("{0}")]
    Usage(String),
    /// No answer because there is no connection.
    #[error("{0}")]
    Unreachable(String),
    /// Accepted, but not live on every switch, or not answered in time.
    #[error("{0}")]
    NotLive(String),
    /// Doctor has found a problem, and has told of it.
    #[error("problems were found")]
    Sick,
    /// Diff has found differences, and has shown them.
    #[error("there are differences")]
    Differs,
}

impl Failure {
    pub fn status(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Failed(_) | Self::Config(_) | Self::Differs => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::NotLive(_) => 4,
            Self::Sick => 5,
        }
    }

    /// What to say on stderr, if anything. What is wrong with a file begins
    /// with the file's own name, as compilers and editors have it.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Closed | Self::Sick | Self::Differs => None,
            Self::Config(error) => Some(error.to_string()),
            _ => Some(format!("sluice: {self}")),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(format!("cannot write: {error}")),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}
