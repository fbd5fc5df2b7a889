//! `[switch.options]` of `serveriron-snmp`.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use async_snmp::{
    Auth, AuthProtocol, DesSaltState, PersistedDesSaltState, PrivProtocol, UsmConfig,
};
use serde::Deserialize;

use super::super::{super::secret::SecretSource, options::Common};

/// The shortest password of SNMPv3 (RFC 3414, 11.2).
const SHORTEST: usize = 8;

/// As they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    /// Where its agent is: address and port, which is 161 as a rule.
    address: SocketAddr,
    /// `"2c"`, which everybody on the way can read and repeat, or `"3"`.
    version: Version,
    /// v2c: the first line of this file, or an environment variable, is a community that
    /// may write.
    community_file: Option<PathBuf>,
    community_env: Option<String>,
    /// v3: a user who authenticates and encrypts, by passwords of 8 bytes or more.
    user: Option<String>,
    /// v3: `"sha"` (default), `"sha256"`, `"sha512"` or `"md5"`.
    auth: Option<AuthBy>,
    auth_password_file: Option<PathBuf>,
    auth_password_env: Option<String>,
    /// v3: `"aes"` (default) or `"des"`.
    privacy: Option<PrivacyBy>,
    priv_password_file: Option<PathBuf>,
    priv_password_env: Option<String>,
    /// Largest weight that it is given. Default 65000.
    max_weight: Option<u32>,
    /// Names of virtual servers that are made, by service. Default: as the service.
    #[serde(default)]
    virtual_servers: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Version {
    #[serde(rename = "2c")]
    V2c,
    #[serde(rename = "3")]
    V3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AuthBy {
    Md5,
    Sha,
    Sha256,
    Sha512,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PrivacyBy {
    Des,
    Aes,
}

/// How to get in.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub address: SocketAddr,
    pub by: By,
}

#[derive(Clone, Debug)]
pub(super) enum By {
    Community(SecretSource),
    User { user: String, auth: (AuthBy, SecretSource), privacy: (PrivacyBy, SecretSource) },
}

impl Options {
    /// # Errors
    /// Says what is wrong with them, and what to write.
    pub fn check(self) -> Result<(Access, Common), String> {
        let common = Common::new(self.virtual_servers, self.max_weight)?;
        let community = SecretSource::of("community", self.community_file, self.community_env)?;
        let auth =
            SecretSource::of("auth_password", self.auth_password_file, self.auth_password_env)?;
        let privacy =
            SecretSource::of("priv_password", self.priv_password_file, self.priv_password_env)?;
        let by = match self.version {
            Version::V2c => {
                let of_v3 = [
                    ("user", self.user.is_some()),
                    ("auth", self.auth.is_some()),
                    ("auth_password_file", auth.is_some()),
                    ("privacy", self.privacy.is_some()),
                    ("priv_password_file", privacy.is_some()),
                ];
                if let Some((name, _)) = of_v3.iter().find(|(_, there)| *there) {
                    return Err(format!("{name}: only version 3 has it"));
                }
                By::Community(community.ok_or("give community_file or community_env")?)
            }
            Version::V3 => {
                if community.is_some() {
                    return Err("community_file: only version 2c has it".into());
                }
                let user = self.user.filter(|user| (1..=32).contains(&user.len()));
                By::User {
                    user: user.ok_or("user is missing, or not of 1 to 32 bytes")?,
                    auth: (
                        self.auth.unwrap_or(AuthBy::Sha),
                        auth.ok_or("give auth_password_file or auth_password_env")?,
                    ),
                    privacy: (
                        self.privacy.unwrap_or(PrivacyBy::Aes),
                        privacy.ok_or("give priv_password_file or priv_password_env")?,
                    ),
                }
            }
        };
        Ok((Access { address: self.address, by }, common))
    }
}

impl Access {
    /// For people.
    pub fn version(&self) -> &'static str {
        match self.by {
            By::Community(_) => "v2c",
            By::User { .. } => "v3",
        }
    }

    /// Reads what shows who asks.
    ///
    /// # Errors
    /// Where a secret cannot be read, or is none.
    pub fn auth(&self) -> Result<Auth, String> {
        match &self.by {
            By::Community(community) => Ok(Auth::v2c(community.read()?.reveal())),
            By::User { user, auth, privacy } => {
                let (by, auth) = (auth_protocol(auth.0), auth.1.read()?);
                let (cipher, privacy) = (privacy_protocol(privacy.0), privacy.1.read()?);
                for (secret, option) in [(&auth, "auth_password"), (&privacy, "priv_password")] {
                    if secret.reveal().len() < SHORTEST {
                        return Err(format!("{option}: SNMPv3 wants {SHORTEST} bytes or more"));
                    }
                }
                let user = UsmConfig::new(user.as_bytes().to_vec());
                let user = user.auth_priv(by, auth.reveal(), cipher, privacy.reveal());
                user.map(Auth::Usm).map_err(|error| format!("the passwords do not serve: {error}"))
            }
        }
    }

    /// What DES never may have twice (RFC 3414, 8.1.1.1), where it is used: the time at
    /// which it begins stands for the number of starts, so that nothing need be kept.
    ///
    /// # Errors
    /// Where the clock is before 1970, or after 2038.
    pub fn salt(&self) -> Result<Option<DesSaltState>, String> {
        let By::User { privacy: (PrivacyBy::Des, _), .. } = &self.by else { return Ok(None) };
        let seconds =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let boots = u32::try_from(seconds).map_err(|error| error.to_string())?;
        let begun = PersistedDesSaltState::new(boots).map_err(|error| error.to_string())?;
        let kept = |_: &PersistedDesSaltState| Ok::<_, std::io::Error>(());
        DesSaltState::restart(begun, kept).map(Some).map_err(|error| error.to_string())
    }
}

fn auth_protocol(by: AuthBy) -> AuthProtocol {
    match by {
        AuthBy::Md5 => AuthProtocol::Md5,
        AuthBy::Sha => AuthProtocol::Sha1,
        AuthBy::Sha256 => AuthProtocol::Sha256,
        AuthBy::Sha512 => AuthProtocol::Sha512,
    }
}

fn privacy_protocol(by: PrivacyBy) -> PrivProtocol {
    match by {
        PrivacyBy::Des => PrivProtocol::Des,
        PrivacyBy::Aes => PrivProtocol::Aes128,
    }
}
