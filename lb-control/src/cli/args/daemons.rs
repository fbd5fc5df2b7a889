//! Arguments of the daemons.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, ValueEnum};

use super::values::{Bind, duration, name};
use crate::model::Name;

#[derive(Debug, Args)]
pub struct EdgeArgs {
    /// At a proper stop, remove everything from the kernel
    #[arg(long)]
    pub detach_on_exit: bool,
}

#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Bind this server to a service, instead of what a file says
    #[arg(long, value_name = "SERVICE=ADDRESS[,weight=N][,server-id=HEX]")]
    pub bind: Vec<Bind>,
    /// GET this path of each --bind, and want status 2xx or 3xx [default: a
    /// TCP connection is enough]
    #[arg(long, value_name = "PATH", requires = "bind")]
    pub check_http: Option<String>,
    /// Name among agents [default: the host's name]
    #[arg(long, value_name = "NAME", value_parser = name, requires = "bind")]
    pub name: Option<Name>,
    /// Heartbeat interval [default: 250ms]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "bind")]
    pub interval: Option<Duration>,
    /// How long an orderly stop waits for connections to end [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "bind")]
    pub leave_deadline: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct DropServerArgs {
    /// Where it takes connections; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT", required = true)]
    pub listen: Vec<SocketAddr>,
    /// What becomes of them
    #[arg(long, value_enum, value_name = "MODE", default_value = "reset")]
    pub mode: DropMode,
    /// With --mode hold: how long each is held
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub hold: Duration,
    /// With --mode hold: how many are held; others are reset at once
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    pub most: usize,
    /// Where monitors ask for /metrics, /healthz and /readyz [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DropMode {
    /// Reset at once
    Reset,
    /// Accepted, never read, reset after a while
    Hold,
}
