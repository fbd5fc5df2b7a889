//! `[switch.options]` of `serveriron-cli`.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::{
    super::{
        super::secret::{Secret, SecretSource},
        options::{Common, WriteMemory},
    },
    ssh::{HostKey, Proof},
};

/// As they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    /// Where its command line is: address and port (telnet has 23, SSH 22).
    address: SocketAddr,
    /// `"telnet"`, which everybody on the way can read, or `"ssh"`.
    transport: Transport,
    /// Who logs in. Telnet asks for it where the box is set up so.
    user: Option<String>,
    /// The first line of this file, or an environment variable, is the password.
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    /// That of `enable`, where it asks for one.
    enable_password_file: Option<PathBuf>,
    enable_password_env: Option<String>,
    /// SSH: a private key, instead of a password, and its passphrase.
    key_file: Option<PathBuf>,
    key_passphrase_file: Option<PathBuf>,
    key_passphrase_env: Option<String>,
    /// SSH: how the box is known: by its host key's fingerprint (`"SHA256:…"`), or by a file
    /// such as OpenSSH's `known_hosts`.
    host_key: Option<String>,
    known_hosts: Option<PathBuf>,
    /// SSH: whoever answers is believed to be the box.
    #[serde(default)]
    insecure: bool,
    /// SSH: algorithms of 2002 too, which are broken.
    #[serde(default)]
    legacy_algorithms: bool,
    /// `"never"`, or `"after_change"`: keeps bindings through a reboot, and wears the
    /// flash. Default never.
    #[serde(default)]
    write_memory: WriteMemory,
    /// Largest weight that it is given. Default 65000.
    max_weight: Option<u32>,
    /// Names of virtual servers that are made, by service. Default: as the service.
    #[serde(default)]
    virtual_servers: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Transport {
    Telnet,
    Ssh,
}

/// How to get in.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub address: SocketAddr,
    pub user: Option<String>,
    pub password: Option<SecretSource>,
    pub enable: Option<SecretSource>,
    pub over: Over,
}

#[derive(Clone, Debug)]
pub(super) enum Over {
    Telnet,
    Ssh { known: HostKey, key: Option<Key>, legacy: bool },
}

/// A private key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    file: PathBuf,
    passphrase: Option<SecretSource>,
}

impl Options {
    /// # Errors
    /// Says what is wrong with them, and what to write.
    pub fn check(self) -> Result<(Access, Common, WriteMemory), String> {
        let common = Common::new(self.virtual_servers, self.max_weight)?;
        let password = SecretSource::of("password", self.password_file, self.password_env)?;
        let enable = SecretSource::of(
            "enable_password",
            self.enable_password_file,
            self.enable_password_env,
        )?;
        let passphrase =
            SecretSource::of("key_passphrase", self.key_passphrase_file, self.key_passphrase_env)?;
        let fit = |user: &String| !user.is_empty() && !user.chars().any(char::is_control);
        if self.user.as_ref().is_some_and(|user| !fit(user)) {
            return Err("user: not a name to log in with".into());
        }
        let over = match self.transport {
            Transport::Telnet => {
                let of_ssh = [
                    ("key_file", self.key_file.is_some()),
                    ("key_passphrase_file", passphrase.is_some()),
                    ("host_key", self.host_key.is_some()),
                    ("known_hosts", self.known_hosts.is_some()),
                    ("insecure", self.insecure),
                    ("legacy_algorithms", self.legacy_algorithms),
                ];
                if let Some((name, _)) = of_ssh.iter().find(|(_, there)| *there) {
                    return Err(format!(
                        "{name}: only SSH has it; telnet knows neither keys nor \
                                        who answers"
                    ));
                }
                Over::Telnet
            }
            Transport::Ssh => {
                if self.user.is_none() {
                    return Err("user is missing: SSH asks who logs in".into());
                }
                if self.key_file.is_some() == password.is_some() {
                    return Err("SSH logs in by one of password_file, password_env and key_file: \
                                give one"
                        .into());
                }
                Over::Ssh {
                    known: host_key(self.host_key, self.known_hosts, self.insecure)?,
                    key: self.key_file.map(|file| Key { file, passphrase }),
                    legacy: self.legacy_algorithms,
                }
            }
        };
        let access = Access { address: self.address, user: self.user, password, enable, over };
        Ok((access, common, self.write_memory))
    }
}

fn host_key(
    fingerprint: Option<String>,
    known_hosts: Option<PathBuf>,
    insecure: bool,
) -> Result<HostKey, String> {
    match (fingerprint, known_hosts, insecure) {
        (Some(text), None, false) => {
            let fingerprint = text.parse().map_err(|error| {
                format!(
                    "host_key: `{}` is no fingerprint such as `SHA256:…`: {error}",
                    text.escape_default()
                )
            })?;
            Ok(HostKey::Fingerprint(fingerprint))
        }
        (None, Some(path), false) => Ok(HostKey::KnownHosts(path)),
        (None, None, true) => Ok(HostKey::Any),
        (None, None, false) => {
            Err("SSH must know who answers: give host_key (`ssh-keyscan HOST | \
                                    ssh-keygen -lf -` shows it) or known_hosts, or \
                                    insecure = true"
                .into())
        }
        _ => Err("of host_key, known_hosts and insecure, give one".into()),
    }
}

impl Access {
    /// Reads what shows who logs in over SSH.
    ///
    /// # Errors
    /// Where a secret cannot be read.
    pub fn proof(&self, key: Option<&Key>) -> Result<Proof, String> {
        match (key, &self.password) {
            (Some(key), _) => {
                let passphrase = key.passphrase.as_ref().map(SecretSource::read).transpose()?;
                Ok(Proof::Key(key.file.clone(), passphrase))
            }
            (None, Some(password)) => Ok(Proof::Password(password.read()?)),
            (None, None) => Err("there is no password to log in with".into()),
        }
    }

    /// Reads a secret for a question of the box.
    ///
    /// # Errors
    /// Where it is missing or cannot be read.
    pub fn secret(source: Option<&SecretSource>, option: &str) -> Result<Secret, String> {
        let missing = || format!("it asks for a password: set {option}_file or {option}_env");
        source.ok_or_else(missing)?.read()
    }
}
