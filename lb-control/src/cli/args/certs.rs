//! Arguments of `sluice certs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::name;
use crate::{certs::Holder, model::Name};

#[derive(Debug, Args)]
pub struct CertsArgs {
    #[command(subcommand)]
    pub command: CertsCommand,
}

#[derive(Debug, Subcommand)]
pub enum CertsCommand {
    /// Make a development authority: ca.pem and ca.key
    #[command(after_help = "\
Keep ca.key: who has it can be anybody. Existing files are never overwritten.

Example:
  sluice certs init /etc/sluice/certs")]
    Init {
        /// Directory, made where there is none
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// What identities begin with, as in spiffe://DOMAIN/agent/web-1
        #[arg(long, value_name = "DOMAIN", default_value = "sluice.internal")]
        domain: String,
        /// How long it is good for
        #[arg(long, value_name = "DAYS", default_value_t = 365)]
        days: u32,
    },
    /// Issue a certificate and its key by that authority
    #[command(after_help = "\
Prints what to put into the host's file and into the manager's. Only a
manager's certificate can play the manager.

Examples:
  sluice certs issue manager --role manager --host 198.51.100.1 --dir /etc/sluice/certs
  sluice certs issue web-1 --role agent --dir /etc/sluice/certs
  sluice certs issue edge-1 --role edge --days 30
  sluice certs issue alice --role operator")]
    Issue {
        /// Its holder's name, and that of the files: NAME.pem, NAME.key
        #[arg(value_name = "NAME", value_parser = name)]
        name: Name,
        /// What its holder is
        #[arg(long, value_enum)]
        role: Holder,
        /// Name or address that others connect to; may be given again
        #[arg(long, value_name = "HOST")]
        host: Vec<String>,
        /// The authority's directory
        #[arg(long = "dir", value_name = "DIR", default_value = ".")]
        directory: PathBuf,
        /// How long it is good for; not longer than the authority
        #[arg(long, value_name = "DAYS", default_value_t = 90)]
        days: u32,
    },
    /// Show whom a certificate names, as [[manager.allow]] goes by it
    #[command(after_help = "\
Example:
  sluice certs show /etc/sluice/web-1.pem")]
    Show {
        /// The certificate, PEM
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}
