//! Keys and values of our sets: addresses, protocols and ports, each padded to four
//! bytes, as registers hold them.

use std::net::{IpAddr, SocketAddr};

use super::uapi::*;

const WORD: usize = 4;

/// What differs between IPv4 and IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// `leaving4`
    pub(super) fn set(self, name: &str) -> String {
        format!("{name}{}", if self == Self::V4 { 4 } else { 6 })
    }

    /// Bytes of an address.
    pub(super) fn len(self) -> u8 {
        if self == Self::V4 { 4 } else { 16 }
    }

    /// Registers that an address takes.
    pub(super) fn words(self) -> u32 {
        u32::from(self.len()) / WORD as u32
    }

    pub(super) fn number(self) -> u8 {
        if self == Self::V4 { NFPROTO_IPV4 } else { NFPROTO_IPV6 }
    }

    /// Where source and destination are in the header.
    pub(super) fn offsets(self) -> (u8, u8) {
        if self == Self::V4 { (12, 16) } else { (8, 24) }
    }

    /// Source and destination of a connection.
    pub(super) fn ct_keys(self) -> (i32, i32) {
        match self {
            Self::V4 => (NFT_CT_SRC_IP, NFT_CT_DST_IP),
            Self::V6 => (NFT_CT_SRC_IP6, NFT_CT_DST_IP6),
        }
    }

    /// As nft(8) numbers types.
    pub(super) fn address_type(self) -> u32 {
        if self == Self::V4 { IPV4_ADDR } else { IPV6_ADDR }
    }
}

/// A service's address and protocol: one key, or two for TCP and UDP together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Front {
    pub(super) address: SocketAddr,
    pub(super) protocol: u8,
}

/// Connections of one service that one backend has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Path {
    pub(super) front: Front,
    pub(super) backend: SocketAddr,
}

impl Front {
    /// `ADDRESS . PROTOCOL . PORT`
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = address(self.address.ip());
        key.extend([self.protocol, 0, 0, 0]);
        key.extend(port(self.address.port()));
        key
    }

    pub(super) fn read(family: Family, key: &[u8]) -> Option<Self> {
        let (front, rest) = Self::split(family, key)?;
        rest.is_empty().then_some(front)
    }

    fn split(family: Family, key: &[u8]) -> Option<(Self, &[u8])> {
        let (ip, rest) = split_address(family, key)?;
        let (&[protocol, 0, 0, 0], rest) = rest.split_first_chunk::<WORD>()? else { return None };
        let (port, rest) = split_port(rest)?;
        Some((Self { address: SocketAddr::new(ip, port), protocol }, rest))
    }
}

impl Path {
    /// `ADDRESS . PROTOCOL . PORT . BACKEND ADDRESS . BACKEND PORT`
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = self.front.key();
        key.extend(backend(self.backend));
        key
    }

    pub(super) fn read(family: Family, key: &[u8]) -> Option<Self> {
        let (front, rest) = Front::split(family, key)?;
        Some(Self { front, backend: read_backend(family, rest)? })
    }
}

/// `ADDRESS . PORT`
pub(super) fn backend(backend: SocketAddr) -> Vec<u8> {
    let mut bytes = address(backend.ip());
    bytes.extend(port(backend.port()));
    bytes
}

pub(super) fn read_backend(family: Family, bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, rest) = split_address(family, bytes)?;
    let (port, rest) = split_port(rest)?;
    rest.is_empty().then_some(SocketAddr::new(ip, port))
}

pub(super) fn address(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn port(port: u16) -> [u8; WORD] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn split_address(family: Family, bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    match family {
        Family::V4 => bytes.split_first_chunk::<4>().map(|(ip, rest)| (IpAddr::from(*ip), rest)),
        Family::V6 => bytes.split_first_chunk::<16>().map(|(ip, rest)| (IpAddr::from(*ip), rest)),
    }
}

fn split_port(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (&[high, low, 0, 0], rest) = bytes.split_first_chunk::<WORD>()? else { return None };
    Some((u16::from_be_bytes([high, low]), rest))
}
