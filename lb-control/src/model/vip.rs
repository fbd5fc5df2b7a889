//! Addresses of services: one address or a prefix, one port or any.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{Prefix, PrefixError};

/// Where a service is reached: `203.0.113.10:80`, `203.0.113.10:*`,
/// `203.0.113.0/24:443`, `[2001:db8::1]:443`, `[2001:db8::]/48:*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Vip {
    prefix: Prefix,
    /// 0: any.
    port: u16,
}

/// Why an address of a service was not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VipError {
    #[error(
        "`{0}` is not ADDRESS:PORT of a service: write it as 203.0.113.10:80 or [2001:db8::1]:80, \
         with `*` for any port, and a prefix as 203.0.113.0/24:80 or [2001:db8::]/48:80"
    )]
    Form(String),
    #[error("{0}")]
    Prefix(#[from] PrefixError),
}

impl Vip {
    /// A prefix (or one address) and a port; without one, any.
    pub fn new(prefix: Prefix, port: Option<u16>) -> Self {
        Self { prefix, port: port.unwrap_or(0) }
    }

    /// The address or prefix.
    pub fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// The address, or the first one of the prefix.
    pub fn ip(&self) -> IpAddr {
        self.prefix.addr()
    }

    /// The port; `None` is any.
    pub fn port(&self) -> Option<u16> {
        (self.port != 0).then_some(self.port)
    }

    /// Whether it is more than one address.
    pub fn is_prefix(&self) -> bool {
        self.mapped_len() != 128
    }

    /// Bits of the address that count, of its IPv4-mapped form.
    pub fn mapped_len(&self) -> u8 {
        self.prefix.len() + if self.ip().is_ipv4() { 96 } else { 0 }
    }

    pub fn is_ipv4(&self) -> bool {
        self.ip().is_ipv4()
    }

    /// Whether packets to this address come here, whatever their port.
    pub fn holds(&self, ip: IpAddr) -> bool {
        let single = Prefix::from(ip).range().0;
        let (first, last) = self.prefix.range();
        self.is_ipv4() == ip.is_ipv4() && (first..=last).contains(&single)
    }

    /// Whether packets to this address and port come here.
    pub fn takes(&self, to: SocketAddr) -> bool {
        self.holds(to.ip()) && self.port().is_none_or(|port| port == to.port())
    }

    /// Whether it takes packets that would otherwise be `other`'s: the longer
    /// prefix comes first, and then a port before any port.
    pub fn narrows(&self, other: &Self) -> bool {
        let overlap = (self.holds(other.ip()) || other.holds(self.ip()))
            && (self.port == 0 || other.port == 0 || self.port == other.port);
        let rank = |vip: &Self| (vip.mapped_len(), vip.port().is_some());
        overlap && rank(self) > rank(other)
    }
}

impl From<SocketAddr> for Vip {
    fn from(address: SocketAddr) -> Self {
        Self { prefix: address.ip().into(), port: address.port() }
    }
}

impl FromStr for Vip {
    type Err = VipError;

    fn from_str(s: &str) -> Result<Self, VipError> {
        let form = || VipError::Form(super::shown(s));
        let (host, port) = s.rsplit_once(':').ok_or_else(form)?;
        let port = match port {
            "*" => 0,
            port => port.parse().ok().filter(|&port| port != 0).ok_or_else(form)?,
        };
        let prefix = match host.strip_prefix('[') {
            Some(v6) => {
                let (addr, len) = v6.split_once(']').ok_or_else(form)?;
                let prefix: Prefix =
                    format!("{addr}{len}").parse().map_err(|error| match error {
                        PrefixError::Form(_) => form(),
                        error @ PrefixError::HostBits(..) => error.into(),
                    })?;
                Some(prefix).filter(|prefix| prefix.addr().is_ipv6()).ok_or_else(form)?
            }
            None => {
                let prefix: Prefix = host.parse().map_err(|error| match error {
                    PrefixError::Form(_) => form(),
                    error @ PrefixError::HostBits(..) => error.into(),
                })?;
                Some(prefix).filter(|prefix| prefix.addr().is_ipv4()).ok_or_else(form)?
            }
        };
        Ok(Self { prefix, port })
    }
}

impl TryFrom<String> for Vip {
    type Error = VipError;

    fn try_from(s: String) -> Result<Self, VipError> {
        s.parse()
    }
}

impl From<Vip> for String {
    fn from(vip: Vip) -> Self {
        vip.to_string()
    }
}

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            IpAddr::V4(ip) => write!(f, "{ip}")?,
            IpAddr::V6(ip) => write!(f, "[{ip}]")?,
        }
        if self.is_prefix() {
            write!(f, "/{}", self.prefix.len())?;
        }
        match self.port() {
            Some(port) => write!(f, ":{port}"),
            None => f.write_str(":*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for text in [
            "203.0.113.10:80",
            "203.0.113.10:*",
            "203.0.113.0/24:443",
            "0.0.0.0/0:53",
            "[2001:db8::1]:443",
            "[2001:db8::]/48:*",
            "[::]/0:53",
        ] {
            assert_eq!(text.parse::<Vip>().unwrap().to_string(), text);
        }
        assert_eq!("203.0.113.10/32:80".parse::<Vip>().unwrap().to_string(), "203.0.113.10:80");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for text in
            ["", "80", "203.0.113.10", "203.0.113.10:0", "203.0.113.10:70000", "2001:db8::1:80"]
        {
            let error = text.parse::<Vip>().unwrap_err();
            assert!(matches!(error, VipError::Form(_)), "{text}: {error}");
        }
        for text in ["[203.0.113.10]:80", "[2001:db8::1:80", "x:80", "203.0.113.0/33:80"] {
            assert!(matches!(text.parse::<Vip>().unwrap_err(), VipError::Form(_)), "{text}");
        }
        let error = "203.0.113.10/24:80".parse::<Vip>().unwrap_err().to_string();
        assert!(error.contains("write 203.0.113.0/24"), "{error}");
    }

    #[test]
    fn the_more_specific_one_takes_a_packet() {
        let narrows = |a: &str, b: &str| a.parse::<Vip>().unwrap().narrows(&b.parse().unwrap());
        for (narrow, wide) in [
            ("203.0.113.10:80", "203.0.113.10:*"),
            ("203.0.113.10:80", "203.0.113.0/24:80"),
            // Any port of an address comes before a port of a prefix.
            ("203.0.113.10:*", "203.0.113.0/24:80"),
            ("203.0.113.0/24:80", "203.0.113.0/24:*"),
            ("203.0.113.128/25:*", "203.0.113.0/24:80"),
            ("[2001:db8::1]:80", "[::]/0:80"),
        ] {
            assert!(narrows(narrow, wide) && !narrows(wide, narrow), "{narrow} {wide}");
        }
        for (one, other) in [
            ("203.0.113.10:80", "203.0.113.10:443"),
            ("203.0.113.10:80", "203.0.113.0/24:443"),
            ("203.0.113.10:*", "203.0.113.11:*"),
            ("203.0.113.0/24:*", "198.51.100.0/25:*"),
            ("0.0.0.0/0:80", "[::]/0:80"),
            ("203.0.113.10:80", "203.0.113.10:80"),
        ] {
            assert!(!narrows(one, other) && !narrows(other, one), "{one} {other}");
        }
    }

    #[test]
    fn a_prefix_holds_its_addresses() {
        let vip: Vip = "203.0.113.0/24:*".parse().unwrap();
        assert_eq!((vip.mapped_len(), vip.port()), (120, None));
        assert!(vip.holds("203.0.113.255".parse().unwrap()));
        assert!(!vip.holds("203.0.114.0".parse().unwrap()));
        assert!(!vip.holds("::ffff:203.0.113.1".parse().unwrap()));
        let all: Vip = "[::]/0:1".parse().unwrap();
        assert!(
            all.holds("2001:db8::1".parse().unwrap()) && !all.holds("192.0.2.1".parse().unwrap())
        );
    }
}
