//! How two processes reach each other: addresses, connections, mutual TLS.

mod accept;
mod backoff;
mod brief;
mod identity;
mod target;
mod tls;
pub mod unix;

use std::{error::Error, time::Duration};

pub use accept::{accept, acceptor};
use anyhow::Context as _;
pub use backoff::Backoff;
pub use brief::Brief;
pub use identity::{identities, origin};
pub use target::{Target, TargetError};
pub use tls::check_files;
use tonic::transport::{Channel, Endpoint};

use crate::config::TlsSettings;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an idle connection is tried by an HTTP/2 ping (RFC 9113 section
/// 6.7), and how long the answer may take: a peer that vanished without a FIN
/// is noticed after their sum.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to `target`, `HOST:PORT` or `unix:/path` (see [`Target`]). TLS is
/// used over the network where it is given, and never over a unix socket.
///
/// # Errors
/// Says which address it was and what is wrong: its form, a certificate file,
/// nobody listening, no answer within 5 s, a peer that fails TLS.
pub async fn connect(target: &str, tls: Option<&TlsSettings>) -> anyhow::Result<Channel> {
    let target: Target = target.parse()?;
    let endpoint = match (&target, tls) {
        (Target::Unix(path), _) => Endpoint::from_shared(format!("unix:{}", path.display()))?,
        (Target::Tcp { .. }, None) => Endpoint::from_shared(format!("http://{target}"))?,
        (Target::Tcp { host, .. }, Some(tls)) => {
            let config = tls::client_tls(tls, host)?;
            Endpoint::from_shared(format!("https://{target}"))?
                .tls_config(config)
                .with_context(|| tls::mismatch(tls))?
        }
    };
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect()
        .await
        .map_err(|error| anyhow::anyhow!("cannot connect to {target}: {}", cause(&error)))
}

/// The innermost cause of a connection's failure, which is the one that says
/// something, and what to do where that is not plain.
pub fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let hint = if text.contains("InvalidContentType") {
        "the other side does not speak TLS: give it [tls] too, or none to this side"
    } else if text.contains("frame with invalid size") || text.contains("CertificateRequired") {
        "the other side wants TLS with a certificate: add [tls]"
    } else if text.contains("not valid for name") {
        "name what its certificate holds in tls.server_name"
    } else if ["UnknownIssuer", "UnknownCA", "BadSignature", "DecryptError"]
        .iter()
        .any(|sign| text.contains(sign))
    {
        "both sides need certificates of the authority in tls.ca"
    } else {
        return text;
    };
    format!("{text} ({hint})")
}

/// What a failed call says: the connection's own trouble where there is some,
/// else the peer's words.
pub fn call_failure(status: &tonic::Status) -> String {
    match status.source() {
        Some(source) => cause(source),
        None if status.message().is_empty() => status.code().to_string(),
        None => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests;
