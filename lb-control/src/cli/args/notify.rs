//! Arguments of `sluice notify`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};

use super::values::{address, name};
use crate::model::Name;

#[derive(Debug, Args)]
pub struct NotifyArgs {
    /// What happened
    #[arg(value_enum)]
    pub event: EventWord,
    /// The cause; for `weight`, a weight or a share of it; for `load`, a number
    #[arg(value_name = "ARGUMENT")]
    pub argument: Vec<String>,
    /// Of this service only [default: of every service that the agent binds]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub service: Option<Name>,
    /// Of this backend only
    #[arg(long, value_name = "ADDRESS", value_parser = address, requires = "service")]
    pub backend: Option<SocketAddr>,
    /// The agent's socket [default: that of --config, else /run/sluice-agent/notify.sock]
    #[arg(long, value_name = "FILE", env = "SLUICE_NOTIFY_SOCKET")]
    pub socket: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EventWord {
    /// It takes new connections, once its health is verified
    Ready,
    /// No new connections, until it is ready; the existing ones go on
    Drain,
    /// It is about to go: removed gracefully, until it is ready again
    Leave,
    /// It cannot serve, for the cause given
    Failed,
    /// Share of new connections: 0 to 65535, or of its weight, such as 50%
    Weight,
    /// How busy it is, 0 or more
    Load,
}
