//! A command line over SSH.

use std::{borrow::Cow, io, net::SocketAddr, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use russh::{
    Channel, ChannelMsg, Preferred, cipher,
    client::{self, AuthResult, Handle, Msg},
    kex,
    keys::{
        Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate,
        ssh_key::Fingerprint,
    },
    mac,
};

use super::{super::super::secret::Secret, wire::Wire};

/// How wide the terminal is said to be: so that no line is wrapped.
const COLUMNS: u32 = 511;
const ROWS: u32 = 1000;

/// How the box is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostKey {
    /// By this key.
    Fingerprint(Fingerprint),
    /// By a file of OpenSSH's form, which has its address.
    KnownHosts(PathBuf),
    /// By nothing: whoever answers is believed.
    Any,
}

/// How one shows who one is.
pub(super) enum Proof {
    Password(Secret),
    /// A private key's file, and its passphrase.
    Key(PathBuf, Option<Secret>),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Ssh(#[from] russh::Error),
    #[error("{0}")]
    Key(#[from] russh::keys::Error),
    #[error("{0}")]
    HostKey(String),
    #[error("it refuses the login of `{user}` by {method} (it takes: {takes})")]
    Refused { user: String, method: &'static str, takes: String },
}

struct Verifier {
    address: SocketAddr,
    known: HostKey,
}

impl client::Handler for Verifier {
    type Error = Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Error> {
        self.verify(&key.public_key()).map(|()| true)
    }
}

impl Verifier {
    fn verify(&self, key: &PublicKey) -> Result<(), Error> {
        let shown = key.fingerprint(HashAlg::Sha256);
        match &self.known {
            HostKey::Any => Ok(()),
            HostKey::Fingerprint(known) if key.fingerprint(known.algorithm()) == *known => Ok(()),
            HostKey::Fingerprint(known) => Err(Error::HostKey(format!(
                "its host key is {shown}, and should be {known}: somebody else answers, or it has \
                 a new key; if that is so, set host_key"
            ))),
            HostKey::KnownHosts(path) => {
                let (host, port) = (self.address.ip().to_string(), self.address.port());
                match russh::keys::known_hosts::check_known_hosts_path(&host, port, key, path) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(Error::HostKey(format!(
                        "{} has no key of {host} like the one it shows, {shown}: if that is its \
                         key, add it there, or set host_key",
                        path.display()
                    ))),
                    Err(error) => Err(Error::HostKey(format!(
                        "its host key {shown} is not the one in {}: {error}",
                        path.display()
                    ))),
                }
            }
        }
    }
}

struct Ssh {
    channel: Channel<Msg>,
    /// The session ends with it.
    _session: Handle<Verifier>,
}

#[async_trait]
impl Wire for Ssh {
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        loop {
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => {
                    into.extend_from_slice(&data);
                    if !data.is_empty() {
                        return Ok(());
                    }
                }
                Some(ChannelMsg::Eof | ChannelMsg::Close) | None => return Ok(()),
                Some(ChannelMsg::Failure) => {
                    return Err(io::Error::other("it opens no shell"));
                }
                Some(_) => {}
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.channel.data(bytes).await.map_err(io::Error::other)
    }
}

/// Connects, logs in and opens a shell. `legacy`: algorithms that are broken too, where
/// the box has no better ones.
///
/// # Errors
/// See [`Error`].
pub(super) async fn connect(
    address: SocketAddr,
    known: HostKey,
    user: &str,
    proof: Proof,
    legacy: bool,
) -> Result<Box<dyn Wire>, Error> {
    let preferred = if legacy { with_legacy() } else { Preferred::DEFAULT };
    let config = client::Config { preferred, nodelay: true, ..client::Config::default() };
    let verifier = Verifier { address, known };
    let mut session = client::connect(Arc::new(config), address, verifier).await?;
    let (method, answer) = match proof {
        Proof::Password(password) => {
            ("password", session.authenticate_password(user, password.reveal()).await?)
        }
        Proof::Key(path, passphrase) => {
            let passphrase = passphrase.as_ref().map(Secret::reveal);
            let key = russh::keys::load_secret_key(path, passphrase)?;
            let hash = match key.algorithm() {
                Algorithm::Rsa { .. } => session.best_supported_rsa_hash().await?.flatten(),
                _ => None,
            };
            let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
            ("key", session.authenticate_publickey(user, key).await?)
        }
    };
    if let AuthResult::Failure { remaining_methods, .. } = answer {
        let takes: Vec<&str> = remaining_methods.iter().map(Into::into).collect();
        let takes = if takes.is_empty() { "nothing".to_owned() } else { takes.join(", ") };
        return Err(Error::Refused { user: user.to_owned(), method, takes });
    }
    let channel = session.channel_open_session().await?;
    channel.request_pty(false, "vt100", COLUMNS, ROWS, 0, 0, &[]).await?;
    channel.request_shell(false).await?;
    Ok(Box::new(Ssh { channel, _session: session }))
}

/// What boxes of that time have.
fn with_legacy() -> Preferred {
    fn more<T: Clone>(have: &[T], more: &[T]) -> Cow<'static, [T]> {
        have.iter().chain(more).cloned().collect()
    }
    let usual = Preferred::DEFAULT;
    Preferred {
        kex: more(&usual.kex, &[kex::DH_G14_SHA1, kex::DH_GEX_SHA1, kex::DH_G1_SHA1]),
        key: more(&usual.key, &[Algorithm::Dsa]),
        cipher: more(
            &usual.cipher,
            &[cipher::AES_256_CBC, cipher::AES_128_CBC, cipher::TRIPLE_DES_CBC],
        ),
        mac: more(&usual.mac, &[mac::HMAC_SHA1]),
        ..usual
    }
}
