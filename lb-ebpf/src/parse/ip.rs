//! Ethernet, VLAN tags, IPv4 and IPv6.

use lb_common::abi::Reason;

use super::{TCP, UDP, Unsteerable};
use crate::frame::{Frame, Short};

const ETHERNET: usize = 14;
const VLAN_TAG: usize = 4;
pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
/// More-fragments flag and fragment offset of the IPv4 header.
const IPV4_FRAGMENT: u16 = 0x3fff;
/// Offset and more-fragments flag of the IPv6 fragment header.
const IPV6_FRAGMENT: u16 = 0xfff9;

/// IPv6 extension headers (RFC 8200 section 4).
mod extension {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const DESTINATION: u8 = 60;
}

/// Extension headers that are followed, and their bytes in all.
const MAX_EXTENSIONS: usize = 4;
const MAX_EXTENSION_BYTES: usize = 256;

pub const IPV4_HEADER: usize = 20;
pub const IPV6_HEADER: usize = 40;

/// An address in IPv4-mapped form, as it lies in memory: two words in network
/// byte order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Address(pub [u64; 2]);

impl Address {
    #[inline(always)]
    pub fn v4(raw: u32) -> Self {
        Self([0, u64::from_be(0xffff_0000_0000 | u64::from(u32::from_be(raw)))])
    }

    /// From the bytes of a table.
    #[inline(always)]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        // SAFETY: sixteen plain bytes are two plain words.
        Self(unsafe { core::mem::transmute::<[u8; 16], [u64; 2]>(bytes) })
    }

    /// The halves as native integers.
    #[inline(always)]
    pub fn numeric(self) -> [u64; 2] {
        [u64::from_be(self.0[0]), u64::from_be(self.0[1])]
    }

    /// The IPv4 address as a native integer.
    #[inline(always)]
    pub fn v4_numeric(self) -> u32 {
        u64::from_be(self.0[1]) as u32
    }

    /// The IPv4 address in network byte order.
    #[inline(always)]
    pub fn v4_raw(self) -> u32 {
        self.v4_numeric().to_be()
    }

    /// Whether it stands for an IPv4 address.
    #[inline(always)]
    pub fn is_v4(self) -> bool {
        let [hi, lo] = self.numeric();
        hi == 0 && lo >> 32 == 0xffff
    }

    #[inline(always)]
    pub fn bytes(self) -> [u8; 16] {
        // SAFETY: two plain words are sixteen plain bytes.
        unsafe { core::mem::transmute(self.0) }
    }

    /// Sum of its 16-bit words, as checksums count it.
    #[inline(always)]
    pub fn sum(self, is_v4: bool) -> u64 {
        let [hi, lo] = self.numeric();
        let of = |n: u64| (n >> 48) + (n >> 32 & 0xffff) + (n >> 16 & 0xffff) + (n & 0xffff);
        if is_v4 { of(lo & 0xffff_ffff) } else { of(hi) + of(lo) }
    }
}

/// What the IP header says.
#[derive(Clone, Copy)]
pub struct Network {
    /// Offset of the IP header.
    pub l3: usize,
    /// Offset of what follows IP, and its protocol.
    pub l4: usize,
    pub protocol: u8,
    pub is_v4: bool,
    pub src: Address,
    pub dst: Address,
    /// DSCP and ECN.
    pub tos: u8,
    pub ttl: u8,
    /// Bytes of the IP packet, header included.
    pub ip_len: usize,
}

impl Network {
    /// Bytes that follow IP.
    #[inline(always)]
    pub fn payload(&self) -> usize {
        self.ip_len - (self.l4 - self.l3)
    }
}

/// Reads Ethernet and IP.
#[inline(always)]
pub fn network(frame: Frame) -> Result<Network, Unsteerable> {
    let (l3, ethertype) = ethernet(frame)?;
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(frame, l3),
        ETHERTYPE_IPV6 => ipv6(frame, l3),
        _ => Err(Unsteerable::Pass(Reason::OtherProtocol)),
    }
}

/// Offset of what follows the Ethernet header and up to two VLAN tags, and its type.
///
/// Without branches: the verifier would walk the rest of the program once for
/// each number of tags.
#[inline(always)]
fn ethernet(frame: Frame) -> Result<(usize, u16), Short> {
    let outer = frame.header::<ETHERNET>(0)?.read::<u16, 12>();
    let mut tags = VLAN_TAG * is_tag(outer);
    let middle = frame.header::<ETHERNET>(tags)?.read::<u16, 12>();
    tags += VLAN_TAG * (is_tag(outer) & is_tag(middle));
    let inner = frame.header::<ETHERNET>(tags)?.read::<u16, 12>();
    Ok((ETHERNET + tags, u16::from_be(inner)))
}

/// 1 for the EtherType of a tag, else 0.
#[inline(always)]
fn is_tag(ethertype: u16) -> usize {
    let differs = |tag: u16| {
        let bits = core::hint::black_box(u64::from(ethertype ^ tag.to_be()));
        // The sign of what is not zero, negated.
        bits.wrapping_neg() >> 63
    };
    (1 - differs(ETHERTYPE_VLAN) * differs(ETHERTYPE_QINQ)) as usize & 1
}

#[inline(always)]
fn ipv4(frame: Frame, l3: usize) -> Result<Network, Unsteerable> {
    let ip = frame.header::<IPV4_HEADER>(l3)?;
    let version_ihl = ip.read::<u8, 0>();
    let header = usize::from(version_ihl & 0xf) * 4;
    let ip_len = usize::from(u16::from_be(ip.read::<u16, 2>()));
    if version_ihl >> 4 != 4
        || header < IPV4_HEADER
        || ip_len < header
        || l3 + ip_len > frame.size()
    {
        return Err(Unsteerable::Pass(Reason::MalformedIp));
    }
    let dst = Address::v4(ip.read::<u32, 16>());
    if u16::from_be(ip.read::<u16, 6>()) & IPV4_FRAGMENT != 0 {
        return Err(Unsteerable::Portless { dst, reason: Reason::Fragment });
    }
    Ok(Network {
        l3,
        l4: l3 + header,
        protocol: ip.read::<u8, 9>(),
        is_v4: true,
        src: Address::v4(ip.read::<u32, 12>()),
        dst,
        tos: ip.read::<u8, 1>(),
        ttl: ip.read::<u8, 8>(),
        ip_len,
    })
}

#[inline(always)]
fn ipv6(frame: Frame, l3: usize) -> Result<Network, Unsteerable> {
    let ip = frame.header::<IPV6_HEADER>(l3)?;
    let first = u16::from_be(ip.read::<u16, 0>());
    let ip_len = IPV6_HEADER + usize::from(u16::from_be(ip.read::<u16, 4>()));
    if first >> 12 != 6 || l3 + ip_len > frame.size() {
        return Err(Unsteerable::Pass(Reason::MalformedIp));
    }
    let dst = Address(ip.read::<[u64; 2], 24>());
    let mut protocol = ip.read::<u8, 6>();
    let mut l4 = l3 + IPV6_HEADER;
    if protocol != TCP && protocol != UDP {
        (protocol, l4) = extensions(frame, l3, dst, protocol)?;
        if l4 - l3 > ip_len {
            return Err(Unsteerable::Pass(Reason::MalformedIp));
        }
    }
    Ok(Network {
        l3,
        l4,
        protocol,
        is_v4: false,
        src: Address(ip.read::<[u64; 2], 8>()),
        dst,
        tos: (first >> 4) as u8,
        ttl: ip.read::<u8, 7>(),
        ip_len,
    })
}

/// Follows extension headers to what comes after them.
#[inline(always)]
fn extensions(
    frame: Frame,
    l3: usize,
    dst: Address,
    first: u8,
) -> Result<(u8, usize), Unsteerable> {
    let mut next = first;
    let mut bytes = 0;
    for _ in 0..=MAX_EXTENSIONS {
        let fragment = next == extension::FRAGMENT;
        let plain = next == extension::HOP_BY_HOP
            || next == extension::DESTINATION
            || next == extension::ROUTING;
        if !fragment && !plain {
            return Ok((next, l3 + IPV6_HEADER + bytes));
        }
        let header = frame.header::<8>(l3 + IPV6_HEADER + bytes)?;
        if fragment && u16::from_be(header.read::<u16, 2>()) & IPV6_FRAGMENT != 0 {
            return Err(Unsteerable::Portless { dst, reason: Reason::Fragment });
        }
        // Segments left: this is not where the packet ends (RFC 8200 section 4.4).
        if next == extension::ROUTING && header.read::<u8, 3>() != 0 {
            return Err(Unsteerable::Pass(Reason::OtherProtocol));
        }
        // A fragment header has no length; whole packets may have one (RFC 6946).
        let length = if fragment { 0 } else { usize::from(header.read::<u8, 1>()) };
        bytes += (length + 1) * 8;
        if bytes > MAX_EXTENSION_BYTES {
            break;
        }
        next = header.read::<u8, 0>();
    }
    Err(Unsteerable::Portless { dst, reason: Reason::ExtensionHeaders })
}
