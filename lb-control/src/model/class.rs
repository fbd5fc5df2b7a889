//! Classes of clients, and the share of each that a service refuses.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::Name;

/// The class of clients that no configured class matches.
pub const DEFAULT_CLASS: &str = "default";

/// An address prefix, such as `198.51.100.0/24`. Host bits must be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// Why a prefix was not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PrefixError {
    #[error("`{0}` is not an address prefix: write it as 198.51.100.0/24 or 2001:db8::/32")]
    Form(String),
    #[error("`{0}` has bits beyond its length: write {1}")]
    HostBits(String, Prefix),
}

impl Prefix {
    pub fn addr(&self) -> IpAddr {
        self.addr
    }

    pub fn len(&self) -> u8 {
        self.len
    }

    /// Whether an address is in it.
    pub fn takes(&self, addr: IpAddr) -> bool {
        let (first, last) = self.range();
        let bits = match addr {
            IpAddr::V4(addr) => u128::from(addr.to_ipv6_mapped()),
            IpAddr::V6(addr) => u128::from(addr),
        };
        addr.is_ipv4() == self.addr.is_ipv4() && (first..=last).contains(&bits)
    }

    /// Whether it covers every address of its family.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// First and last address in IPv4-mapped IPv6 form, as integers.
    pub fn range(&self) -> (u128, u128) {
        let (first, bits) = match self.addr {
            IpAddr::V4(a) => (u128::from(a.to_ipv6_mapped()), 96 + u32::from(self.len)),
            IpAddr::V6(a) => (u128::from(a), u32::from(self.len)),
        };
        (first, first | u128::MAX.checked_shr(bits).unwrap_or(0))
    }
}

impl Prefix {
    /// The first `len` bits of an address; `None` when it has not so many.
    pub fn of(addr: IpAddr, len: u8) -> Option<Self> {
        match format!("{addr}/{len}").parse() {
            Ok(prefix) | Err(PrefixError::HostBits(_, prefix)) => Some(prefix),
            Err(PrefixError::Form(_)) => None,
        }
    }
}

impl From<IpAddr> for Prefix {
    /// One address.
    fn from(addr: IpAddr) -> Self {
        Self { addr, len: if addr.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(s: &str) -> Result<Self, PrefixError> {
        let form = || PrefixError::Form(super::shown(s));
        let (addr, len) = match s.split_once('/') {
            Some((addr, len)) => (addr, Some(len.parse::<u8>().map_err(|_| form())?)),
            None => (s, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| form())?;
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let len = len.unwrap_or(most);
        if len > most {
            return Err(form());
        }
        let network = match addr {
            IpAddr::V4(a) => IpAddr::from(
                (u32::from(a) & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0))
                    .to_be_bytes(),
            ),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(
                u128::from(a) & u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0),
            )),
        };
        let prefix = Self { addr: network, len };
        if network == addr {
            Ok(prefix)
        } else {
            Err(PrefixError::HostBits(super::shown(s), prefix))
        }
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(s: String) -> Result<Self, PrefixError> {
        s.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

/// A named group of clients. A client belongs to the first class, in the
/// configured order, whose sources and DSCPs (where given) both match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassSpec {
    pub name: Name,
    /// Empty: any source.
    pub sources: Vec<Prefix>,
    /// `0..=63`; empty: any DSCP.
    pub dscp: Vec<u8>,
}

/// A share in parts per million, `0..=1_000_000`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Share(u32);

impl Share {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(1_000_000);

    pub fn from_ppm(ppm: u32) -> Option<Self> {
        (ppm <= 1_000_000).then_some(Self(ppm))
    }

    /// From percent, `0.0..=100.0`.
    pub fn from_percent(percent: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percent).then(|| Self((percent * 10_000.0).round() as u32))
    }

    pub fn ppm(self) -> u32 {
        self.0
    }

    pub fn percent(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl TryFrom<u32> for Share {
    type Error = String;

    fn try_from(ppm: u32) -> Result<Self, String> {
        Self::from_ppm(ppm)
            .ok_or_else(|| format!("a share is 0 to 1000000 parts per million, not {ppm}"))
    }
}

impl From<Share> for u32 {
    fn from(share: Share) -> Self {
        share.0
    }
}

/// How a refused client learns of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// RST.
    #[default]
    Reset,
    /// Nothing.
    Silent,
}

/// What decides together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Each connection for itself.
    #[default]
    Flow,
    /// All connections of one client address, or none.
    Client,
}

/// The share of one class's new connections that a service refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub refuse: Share,
    pub verdict: Verdict,
    pub scope: Scope,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_parse_and_print() {
        for good in ["198.51.100.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0", "192.0.2.1/32"] {
            assert_eq!(good.parse::<Prefix>().unwrap().to_string(), good);
        }
        assert_eq!("192.0.2.1".parse::<Prefix>().unwrap().to_string(), "192.0.2.1/32");
        for bad in ["", "192.0.2.0/33", "::/129", "192.0.2.0/x", "www/8"] {
            assert!(matches!(bad.parse::<Prefix>(), Err(PrefixError::Form(_))), "{bad}");
        }
        let error = "192.0.2.1/24".parse::<Prefix>().unwrap_err().to_string();
        assert!(error.contains("write 192.0.2.0/24"), "{error}");
    }

    #[test]
    fn ranges_are_mapped() {
        let (first, last) = "192.0.2.0/24".parse::<Prefix>().unwrap().range();
        assert_eq!(first, 0xffff_c000_0200);
        assert_eq!(last, 0xffff_c000_02ff);
        let (first, last) = "::/0".parse::<Prefix>().unwrap().range();
        assert_eq!((first, last), (0, u128::MAX));
    }

    #[test]
    fn shares_are_bounded() {
        assert_eq!(Share::from_percent(50.0).unwrap().ppm(), 500_000);
        assert!(Share::from_percent(100.1).is_none());
        assert!(Share::from_percent(f64::NAN).is_none());
        assert!(Share::from_ppm(1_000_001).is_none());
    }
}
