//! A whole file, and the tables of it that are no role's own.

use std::path::PathBuf;

use serde::Deserialize;

use super::{AgentSettings, EdgeSettings, ManagerSettings, ServiceSettings, SwitchSettings};
use crate::model::{Name, Prefix};

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Read by `sluice run` and `sluice manager`.
    #[serde(default)]
    pub manager: ManagerSettings,
    /// Read by `sluice run` and `sluice edge`.
    pub edge: Option<EdgeSettings>,
    /// Read by `sluice agent`.
    pub agent: Option<AgentSettings>,
    /// Certificates for what travels over the network.
    pub tls: Option<TlsSettings>,
    /// Virtual servers.
    #[serde(default, rename = "service")]
    pub services: Vec<ServiceSettings>,
    /// External L4 switches. Read by `sluice run` and `sluice manager`.
    #[serde(default, rename = "switch")]
    pub switches: Vec<SwitchSettings>,
    /// Groups of clients, in the order in which they are tried.
    #[serde(default, rename = "class")]
    pub classes: Vec<ClassSettings>,
}

/// `[tls]`: mutual TLS. Both sides show a certificate of the same authority.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// Authority that signs the peers' certificates, PEM.
    pub ca: PathBuf,
    /// Our certificate, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Name the manager's certificate must carry; default: the host of `manager`.
    pub server_name: Option<String>,
}

/// `[[class]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSettings {
    pub name: Name,
    /// Source prefixes; none: any source.
    #[serde(default)]
    pub sources: Vec<Prefix>,
    /// DSCP values, 0 to 63; none: any.
    #[serde(default)]
    pub dscp: Vec<u8>,
}
