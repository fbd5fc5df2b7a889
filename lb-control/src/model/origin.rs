//! Who is at the other end of a session, and from where.

use std::{fmt, net::IpAddr};

/// As far as a peer has proved who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// In this process, or on the local unix socket: the socket's file
    /// permissions have let it in.
    Local,
    /// Nothing is proved: a plain connection.
    #[default]
    Anonymous,
    /// The names of a certificate that the authority has signed: those that are
    /// URIs first, then DNS names, these in lower case.
    Certificate(Vec<String>),
}

impl Identity {
    /// What a rule's pattern is compared with.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Certificate(names) => names,
            Self::Local | Self::Anonymous => &[],
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("a local process"),
            Self::Anonymous => f.write_str("somebody without a certificate"),
            Self::Certificate(names) => match names.first() {
                Some(name) => write!(f, "`{name}`"),
                None => f.write_str("a certificate without a URI or DNS name"),
            },
        }
    }
}

/// Who speaks, and from which address.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub identity: Identity,
    /// None on a unix socket and in this process.
    pub source: Option<IpAddr>,
}

impl Origin {
    /// On the local unix socket, or in this process.
    pub fn local() -> Self {
        Self { identity: Identity::Local, source: None }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.identity)?;
        self.source.map_or(Ok(()), |source| write!(f, " from {source}"))
    }
}
