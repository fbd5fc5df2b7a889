//! Arguments of the operator's commands.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::values::{address, duration, name, share};
use crate::model::{Name, Scope, ServerId, Share, Verdict, Weight};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resource {
    /// Virtual servers.
    #[value(alias = "service")]
    Services,
    /// Backends and what becomes of them.
    #[value(alias = "backend")]
    Backends,
    /// What steers connections.
    #[value(aliases = ["switch", "edges", "edge"])]
    Switches,
    /// Groups of clients.
    #[value(alias = "class")]
    Classes,
}

#[derive(Debug, Args)]
pub struct GetArgs {
    /// What to list
    #[arg(value_name = "WHAT")]
    pub resource: Resource,
    /// Only the one of this name; of backends, only those of this service
    pub name: Option<Name>,
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// The service's name
    #[arg(value_parser = name)]
    pub service: Name,
    /// The server's address and port
    #[arg(value_parser = address)]
    pub address: SocketAddr,
    /// Share of new connections, relative to the other backends
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub weight: Weight,
    /// What names it in its QUIC connection ids, such as 0a1b2c3d
    #[arg(long, value_name = "HEX")]
    pub server_id: Option<ServerId>,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The service's name
    #[arg(value_parser = name)]
    pub service: Name,
    /// The server's address and port
    #[arg(value_parser = address)]
    pub address: SocketAddr,
    /// Reset its connections now
    #[arg(long, conflicts_with = "deadline")]
    pub force: bool,
    /// How long existing connections may go on [default: the manager's drain_deadline]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub deadline: Option<Duration>,
    /// Return only when the server can be taken away
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub struct WeightArgs {
    /// The service's name
    #[arg(value_parser = name)]
    pub service: Name,
    /// The server's address and port
    #[arg(value_parser = address)]
    pub address: SocketAddr,
    /// 0 to 65535; with 0 it gets no new connections
    #[arg(value_name = "N")]
    pub weight: Weight,
}

#[derive(Debug, Args)]
pub struct DropArgs {
    /// The service's name
    #[arg(value_parser = name)]
    pub service: Name,
    /// Share of new connections to refuse, 0 to 100
    #[arg(value_name = "PERCENT", value_parser = share)]
    pub refuse: Share,
    /// Only clients of this class [default: every client]
    #[arg(long, value_parser = name)]
    pub class: Option<Name>,
    /// How a refused client learns of it
    #[arg(long, value_enum, default_value = "reset")]
    pub verdict: VerdictArg,
    /// What is let in or refused together
    #[arg(long, value_enum, default_value = "flow")]
    pub by: ScopeArg,
}

#[derive(Debug, Args)]
pub struct ThawArgs {
    /// The service's name
    #[arg(value_parser = name)]
    pub service: Name,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum VerdictArg {
    /// By RST.
    Reset,
    /// Not at all.
    Silent,
}

impl From<VerdictArg> for Verdict {
    fn from(verdict: VerdictArg) -> Self {
        match verdict {
            VerdictArg::Reset => Self::Reset,
            VerdictArg::Silent => Self::Silent,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ScopeArg {
    /// Each connection for itself.
    Flow,
    /// All connections of a client address, or none.
    Client,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Flow => Self::Flow,
            ScopeArg::Client => Self::Client,
        }
    }
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// What `sluice export` wrote; - reads standard input
    pub file: PathBuf,
    /// Only say what would be done, as `sluice diff` does
    #[arg(long)]
    pub dry_run: bool,
    /// Remove services that the file does not have
    #[arg(long)]
    pub prune: bool,
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// What `sluice export` wrote; - reads standard input
    #[arg(required_unless_present = "switch")]
    pub file: Option<PathBuf>,
    /// Instead: what this switch holds beside what it should
    #[arg(long, value_name = "NAME", value_parser = name, conflicts_with = "file")]
    pub switch: Option<Name>,
}

#[derive(Debug, Args)]
pub struct CountersArgs {
    /// Show rates, again and again
    #[arg(long)]
    pub watch: bool,
    /// Time between two looks of --watch
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration, requires = "watch")]
    pub interval: Duration,
    /// Only this switch's [default: the sum over all]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub switch: Option<Name>,
}

#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Go on with new events as they happen
    #[arg(short, long)]
    pub follow: bool,
    /// Only events of this service, with what led to them and the deltas that
    /// carried them
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub service: Option<Name>,
    /// The same of this backend
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub backend: Option<SocketAddr>,
    /// Leave out what happened on other switches
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub switch: Option<Name>,
    /// Only events after the one of this number
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
    pub after: u64,
}
