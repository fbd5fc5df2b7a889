//! Arguments of `sluice describe`.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

use super::values::{address, name};
use crate::model::Name;

#[derive(Debug, Args)]
pub struct DescribeArgs {
    #[command(subcommand)]
    pub what: DescribeWhat,
    /// How many of its last events to show
    #[arg(long, global = true, value_name = "N", default_value_t = 20)]
    pub events: usize,
}

#[derive(Debug, Subcommand)]
pub enum DescribeWhat {
    /// A backend in a service, and why it is as it is
    #[command(after_help = "\
Example:
  sluice describe backend www 10.0.0.11:80")]
    Backend {
        /// The service's name
        #[arg(value_parser = name)]
        service: Name,
        /// The server's address and port
        #[arg(value_parser = address)]
        address: SocketAddr,
    },
    /// A service, its backends and what it counts
    #[command(after_help = "\
Example:
  sluice describe service www")]
    Service {
        /// The service's name
        #[arg(value_parser = name)]
        name: Name,
    },
    /// A switch, and what it holds and counts
    #[command(
        visible_alias = "edge",
        after_help = "\
Example:
  sluice describe switch edge1 --events 50"
    )]
    Switch {
        /// The switch's name
        #[arg(value_parser = name)]
        name: Name,
    },
}
