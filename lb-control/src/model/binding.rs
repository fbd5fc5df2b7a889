//! Bindings: one backend in one service.

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Name, ServerId};

/// Relative share of new connections, `0..=65535`; 0 takes none.
pub type Weight = u16;

/// What names a binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BindingKey {
    pub service: Name,
    /// Address and port of the real server.
    pub backend: SocketAddr,
}

impl fmt::Display for BindingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.backend)
    }
}

/// What a switch does with a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Gets its share of new connections.
    Serve,
    /// Keeps its connections, gets no new ones.
    Drain,
    /// Its connections are reset at the client's next packet.
    Break,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Serve => "serve",
            Self::Drain => "drain",
            Self::Break => "break",
        })
    }
}

/// What a switch holds for a [`BindingKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub weight: Weight,
    pub phase: Phase,
    /// What names it in connection ids, where its service routes by them.
    #[serde(default)]
    pub server_id: Option<ServerId>,
}

impl Binding {
    /// One that no connection id names.
    pub fn new(weight: Weight, phase: Phase) -> Self {
        Self { weight, phase, server_id: None }
    }
}
