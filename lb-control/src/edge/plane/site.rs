//! Settings that a packet reads and no delta changes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::abi::{DEFAULT_TUNNEL_V4, DEFAULT_TUNNEL_V4_FLOW, DEFAULT_TUNNEL_V6};

use crate::config::EdgeSettings;

/// What is the same for all services of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) struct Site {
    /// Secret of the flow hash.
    pub flow_key: [u64; 2],
    /// ICMP errors that a CPU may send in a second.
    pub answers: u32,
    /// Source of tunnels to IPv4 backends, and the bits of it that vary.
    pub tunnel_v4: (Ipv4Addr, u32),
    /// Source of tunnels to IPv6 backends; its last 32 bits vary.
    pub tunnel_v6: Ipv6Addr,
}

impl Site {
    /// As the settings say, with this secret.
    pub(in crate::edge) fn new(settings: &EdgeSettings, flow_key: [u64; 2]) -> Self {
        let mut site = Self {
            flow_key,
            answers: settings.icmp_answers,
            tunnel_v4: (
                Ipv4Addr::from(DEFAULT_TUNNEL_V4),
                u32::from_be_bytes(DEFAULT_TUNNEL_V4_FLOW),
            ),
            tunnel_v6: Ipv6Addr::from(DEFAULT_TUNNEL_V6),
        };
        for source in &settings.tunnel_sources {
            match source.addr() {
                IpAddr::V4(ip) => {
                    let varies = u32::MAX.checked_shr(source.len().into()).unwrap_or(0);
                    site.tunnel_v4 = (ip, varies);
                }
                IpAddr::V6(ip) => site.tunnel_v6 = ip,
            }
        }
        site
    }
}
