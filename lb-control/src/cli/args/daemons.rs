//! Arguments of the daemons.

use std::time::Duration;

use clap::Args;

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
