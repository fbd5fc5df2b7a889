//! Where a peer listens.

use std::{
    fmt,
    net::Ipv6Addr,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::model::shown;

/// `HOST:PORT`, where an IPv6 address stands in brackets, or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Unix(PathBuf),
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        port: u16,
    },
}

/// Text that is no [`Target`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not an address to connect to: write HOST:PORT, such as manager.example:7400 or \
     [2001:db8::1]:7400, or unix:/path"
)]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(s: &str) -> Result<Self, TargetError> {
        let error = || TargetError(shown(s));
        if let Some(path) = s.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            // Without slashes twice, so that it is written as it is read.
            let path: PathBuf = Path::new(path).components().collect();
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(error()) };
        }
        let (host, port) = s.rsplit_once(':').ok_or_else(error)?;
        let port = port.parse().ok().filter(|&port| port != 0);
        let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match bracketed {
            Some(address) => address.parse::<Ipv6Addr>().is_ok().then_some(address),
            None => is_host(host).then_some(host),
        };
        match (host, port) {
            (Some(host), Some(port)) => Ok(Self::Tcp { host: host.to_owned(), port }),
            _ => Err(error()),
        }
    }
}

/// An IPv4 address or a name as DNS and hosts files have them.
fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}
