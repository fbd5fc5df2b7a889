//! Mutual TLS from PEM files.

use std::{fs, path::Path};

use anyhow::Context as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::config::TlsSettings;

/// Reads the files that a connection will need, so that what is wrong with
/// them is known before.
///
/// # Errors
/// Names the file that is missing or holds no PEM of its kind.
pub fn check_files(tls: &TlsSettings) -> anyhow::Result<()> {
    Files::read(tls).map(drop)
}

/// A client's side; the server's certificate must be for `host`, unless the
/// settings name another.
pub(super) fn client_tls(tls: &TlsSettings, host: &str) -> anyhow::Result<ClientTlsConfig> {
    let name = tls.server_name.as_deref().unwrap_or(host);
    let files = Files::read(tls)?;
    Ok(ClientTlsConfig::new()
        .domain_name(name)
        .ca_certificate(Certificate::from_pem(files.ca))
        .identity(Identity::from_pem(files.cert, files.key)))
}

/// What to say when files that are each well-formed are refused together.
pub(super) fn mismatch(tls: &TlsSettings) -> String {
    format!(
        "tls: certificate {} and key {} do not go together",
        tls.cert.display(),
        tls.key.display()
    )
}

/// The files' text: PEM, of the kind that is wanted.
pub(super) struct Files {
    pub(super) ca: Vec<u8>,
    pub(super) cert: Vec<u8>,
    pub(super) key: Vec<u8>,
}

impl Files {
    pub(super) fn read(tls: &TlsSettings) -> anyhow::Result<Self> {
        let ca = certificates("ca", &tls.ca)?;
        let key = read("key", &tls.key)?;
        PrivateKeyDer::from_pem_slice(&key).with_context(|| {
            format!("tls.key: {} holds no private key in PEM", tls.key.display())
        })?;
        Ok(Self { ca, cert: certificates("cert", &tls.cert)?, key })
    }
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
