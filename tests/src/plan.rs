//! Who has which address.
//!
//! | network | IPv4 | IPv6 |
//! | --- | --- | --- |
//! | VIPs | 198.18.0.0/24, from .10 | fd00:18::/64, from ::10 |
//! | clients | 198.18.1.0/24, from .11; the edge is .1, further ones from .3 | fd00:18:1::/64 |
//! | servers | 198.18.2.0/24, from .11; edges as there, a manager apart .2 | fd00:18:2::/64 |
//!
//! 198.18.0.0/15 is for benchmarks of network devices (RFC 2544 appendix C),
//! fd00::/8 is local (RFC 4193): neither is anybody's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The third part of a lab address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Net {
    Vips = 0,
    Clients = 1,
    Servers = 2,
}

/// Last part of the edge's addresses.
pub(crate) const EDGE: u8 = 1;
/// Last part of the addresses of the first edge beside that one.
pub(crate) const FURTHER_EDGE: u8 = 3;
/// Last part of the address of a manager on a host of its own.
pub(crate) const MANAGER: u8 = 2;
/// Addresses of the clients' networks that no host has; floods claim them.
pub(crate) const FLOOD_V4: &str = "198.18.1.128/25";
pub(crate) const FLOOD_V6: &str = "fd00:18:1::f:0/112";
/// The routing table for packets that a server sends with a VIP as source.
pub(crate) const VIP_TABLE: &str = "100";
const FIRST_VIP: u8 = 10;
const FIRST_HOST: u8 = 11;

impl Net {
    pub(crate) fn v4(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self as u8, host)
    }

    pub(crate) fn v6(self, host: u8) -> Ipv6Addr {
        // The last part reads the same in both families: .11 and ::11.
        let host = u16::from_str_radix(&host.to_string(), 16)
            .expect("decimal digits are hexadecimal digits");
        Ipv6Addr::new(0xfd00, 0x18, self as u16, 0, 0, 0, 0, host)
    }

    pub(crate) fn prefix_v4(self) -> String {
        format!("{}/24", self.v4(0))
    }

    pub(crate) fn prefix_v6(self) -> String {
        format!("{}/64", self.v6(0))
    }
}

/// One of [`FLOOD_V4`].
pub(crate) fn flood_v4(any: u8) -> Ipv4Addr {
    Net::Clients.v4(128 | any)
}

/// One of [`FLOOD_V6`].
pub(crate) fn flood_v6(any: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x18, Net::Clients as u16, 0, 0, 0, 0xf, any)
}

/// Last part of the address of the client or server with this index.
pub(crate) fn host(index: usize) -> u8 {
    FIRST_HOST + u8::try_from(index).expect("fewer than 200 hosts")
}

/// VIP of the service with this index.
pub(crate) fn vip(index: usize, v6: bool) -> IpAddr {
    let host = FIRST_VIP + u8::try_from(index).expect("fewer than 200 services");
    if v6 { Net::Vips.v6(host).into() } else { Net::Vips.v4(host).into() }
}
