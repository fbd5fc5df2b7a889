//! Who may do what, and how much of it.

use serde::Deserialize;

use crate::model::{Name, Pattern, Prefix, Weight};

/// `[[manager.allow]]`: what the peers with an identity may do. The URI and DNS
/// names of a certificate's subject alternative name are its identities; the
/// subject's common name is none (RFC 9525 section 2). A peer may do what one
/// of the rules for one of its identities allows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowSettings {
    /// A name, such as `"spiffe://example/agent/web-1"` or `"web-1.example"`;
    /// `"*.example"` and `"spiffe://example/agent/*"` are all that end or begin
    /// so, and `"*"` is every certificate of the authority.
    pub identity: Pattern,
    /// `agent`, `edge`, `operator`, or `viewer`, who only looks.
    pub role: Role,
    /// Of an agent or an edge: names that it may go by, such as `"web-*"`. One
    /// that is connected keeps its name: no other identity can take it.
    /// Default: any.
    #[serde(default)]
    pub names: Vec<Pattern>,
    /// Addresses that its connection may come from. Default: any.
    #[serde(default)]
    pub sources: Vec<Prefix>,
    /// Of an agent: services that it may bind. Default: all.
    #[serde(default)]
    pub services: Vec<Name>,
    /// Of an agent: addresses of backends that it may bind. Default: any.
    #[serde(default)]
    pub addresses: Vec<Prefix>,
    /// Of an agent: the greatest weight that it may ask for. Default: any.
    pub max_weight: Option<Weight>,
}

/// What a peer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Agent,
    Edge,
    /// Looks and changes.
    Operator,
    /// Looks only.
    Viewer,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Edge => "edge",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }
}

/// `[manager.limits]`: so that one broken peer starves nobody.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Sessions of agents and edges that one certificate may have. Default 64.
    pub sessions_per_identity: u32,
    /// Sessions of agents and edges that one address may have, and the unix
    /// socket. Default 1024.
    pub sessions_per_source: u32,
    /// Messages that each session may send in a second, on average; twice as
    /// many at once. A message of more than 16 KiB counts once for each 16 KiB.
    /// Default 1000.
    pub messages_per_second: u32,
    /// What one agent may bind. Default 256.
    pub binds_per_agent: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            sessions_per_identity: 64,
            sessions_per_source: 1024,
            messages_per_second: 1000,
            binds_per_agent: 256,
        }
    }
}
