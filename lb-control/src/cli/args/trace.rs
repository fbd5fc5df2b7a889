//! Arguments of `sluice trace`.

use std::net::SocketAddr;

use clap::Args;

use crate::model::{Name, Prefix};

use super::values::{duration, name};

#[derive(Debug, Args)]
pub struct TraceArgs {
    /// The client's address and port
    #[arg(value_name = "CLIENT", required_unless_present = "watch", requires = "service_address")]
    pub client: Option<SocketAddr>,
    /// The address and port that it speaks to
    #[arg(value_name = "ADDRESS")]
    pub service_address: Option<SocketAddr>,
    /// `tcp` or `udp`
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp", value_parser = ["tcp", "udp"])]
    pub protocol: String,
    /// Ask about a packet that begins a connection: a SYN, or a QUIC Initial
    #[arg(long, conflicts_with = "last")]
    pub new: bool,
    /// Ask about a packet that ends one: a FIN
    #[arg(long)]
    pub last: bool,
    /// DSCP of the packet, 0 to 63
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=63))]
    pub dscp: u8,
    /// Tell of packets as they pass
    #[arg(long, conflicts_with_all = ["client", "service_address"])]
    pub watch: bool,
    /// Only packets of this service
    #[arg(long, value_name = "NAME", value_parser = name, requires = "watch")]
    pub service: Option<Name>,
    /// Only packets of these clients
    #[arg(long, value_name = "PREFIX", requires = "watch")]
    pub source: Option<Prefix>,
    /// Share of flows, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0, requires = "watch")]
    pub sample: f64,
    /// End after so many packets
    #[arg(long, value_name = "N", requires = "watch")]
    pub count: Option<u64>,
    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration, requires = "watch")]
    pub for_: Option<std::time::Duration>,
}
