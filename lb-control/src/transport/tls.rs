//! Mutual TLS from PEM files.

use std::{fs, path::Path};

use anyhow::Context as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, Server, ServerTlsConfig};

use crate::config::TlsSettings;

/// A server's side: it shows `cert`, and wants of each client a certificate
/// that `ca` signed.
///
/// # Errors
/// Names the file that is missing or holds no PEM of its kind, or the pair
/// that does not go together.
pub fn server_tls(tls: &TlsSettings) -> anyhow::Result<ServerTlsConfig> {
    let config = ServerTlsConfig::new().identity(identity(tls)?).client_ca_root(authority(tls)?);
    // The configuration is only looked into when a server takes it: better
    // now, while the files' names are at hand.
    Server::builder().tls_config(config.clone()).with_context(|| mismatch(tls))?;
    Ok(config)
}

/// Reads the files that a connection will need, so that what is wrong with
/// them is known before.
///
/// # Errors
/// Names the file that is missing or holds no PEM of its kind.
pub fn check_files(tls: &TlsSettings) -> anyhow::Result<()> {
    authority(tls)?;
    identity(tls)?;
    Ok(())
}

/// A client's side; the server's certificate must be for `host`, unless the
/// settings name another.
pub(super) fn client_tls(tls: &TlsSettings, host: &str) -> anyhow::Result<ClientTlsConfig> {
    let name = tls.server_name.as_deref().unwrap_or(host);
    Ok(ClientTlsConfig::new()
        .domain_name(name)
        .ca_certificate(authority(tls)?)
        .identity(identity(tls)?))
}

/// What to say when files that are each well-formed are refused together.
pub(super) fn mismatch(tls: &TlsSettings) -> String {
    format!(
        "tls: certificate {} and key {} do not go together",
        tls.cert.display(),
        tls.key.display()
    )
}

fn authority(tls: &TlsSettings) -> anyhow::Result<Certificate> {
    Ok(Certificate::from_pem(certificates("ca", &tls.ca)?))
}

fn identity(tls: &TlsSettings) -> anyhow::Result<Identity> {
    let key = read("key", &tls.key)?;
    PrivateKeyDer::from_pem_slice(&key)
        .with_context(|| format!("tls.key: {} holds no private key in PEM", tls.key.display()))?;
    Ok(Identity::from_pem(certificates("cert", &tls.cert)?, key))
}

/// A file's text, with at least one certificate and no broken one in it.
fn certificates(field: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    let pem = read(field, path)?;
    let none = || format!("tls.{field}: {} holds no certificate in PEM", path.display());
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().with_context(none)?;
    anyhow::ensure!(!found.is_empty(), none());
    Ok(pem)
}

fn read(field: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("tls.{field}: cannot read {}", path.display()))
}
