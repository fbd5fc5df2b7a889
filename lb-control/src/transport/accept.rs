//! The listening side of mutual TLS.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier},
    server::TlsStream,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::tls;
use crate::config::TlsSettings;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes that may be under way; connections beyond them are dropped.
const HANDSHAKES: usize = 512;
/// Before the next connection is taken when none can be, for want of files.
const PAUSE: Duration = Duration::from_millis(100);

/// A server's side: it shows `cert`, and wants of each client a certificate
/// that `ca` signed.
///
/// # Errors
/// Names the file that is missing or holds no PEM of its kind, or the pair
/// that does not go together.
pub fn acceptor(tls: &TlsSettings) -> anyhow::Result<TlsAcceptor> {
    let files = tls::Files::read(tls)?;
    let chain = |pem: &[u8]| CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let mut roots = RootCertStore::empty();
    for certificate in chain(&files.ca)? {
        roots.add(certificate).with_context(|| {
            format!("tls.ca: {} holds no certificate of an authority", tls.ca.display())
        })?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .with_context(|| format!("tls.ca: {} cannot be used", tls.ca.display()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(&files.cert)?, PrivateKeyDer::from_pem_slice(&files.key)?)
        .with_context(|| tls::mismatch(tls))?;
    // All that gRPC speaks.
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes connections until `stop`, each once its handshake is done. Of one that
/// fails for what the other side shows, or does not, `refused` is told.
pub fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    refused: impl Fn(SocketAddr, String) + Clone + Send + 'static,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<TlsStream<TcpStream>>> {
    let (to, connections) = mpsc::channel(1);
    let room = Arc::new(Semaphore::new(HANDSHAKES));
    let taking = async move {
        loop {
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("no connection can be taken: {error}");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
            let (acceptor, refused, to) = (acceptor.clone(), refused.clone(), to.clone());
            tokio::spawn(async move {
                match handshake(&acceptor, stream).await {
                    Ok(stream) => drop(to.send(Ok(stream)).await),
                    Err(Some(why)) => refused(from, why),
                    // It went away, or said nothing: whoever only looks whether
                    // the port is open does that.
                    Err(None) => tracing::debug!(%from, "a handshake was not finished"),
                }
                drop(place);
            });
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = taking => {}
        }
    });
    ReceiverStream::new(connections)
}

/// # Errors
/// Why TLS refuses it, where it does.
async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Option<String>> {
    // Heartbeats are small, and wait for nothing.
    stream.set_nodelay(true).map_err(|_| None)?;
    let done = timeout(HANDSHAKE, acceptor.accept(stream)).await.map_err(|_| None)?;
    done.map_err(|error| {
        let refusal = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(refusal.to_string())
    })
}
