//! Ethernet, IPv4 or IPv6, TCP: from bytes to what steering needs to know.

use lb_common::abi::Reason;

use crate::frame::{Frame, Short};

const ETHERNET: usize = 14;
const VLAN_TAG: usize = 4;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_IPV6_FRAGMENT: u8 = 44;
/// More-fragments flag and fragment offset of the IPv4 header.
const IPV4_FRAGMENT: u16 = 0x3fff;

pub const IPV4_HEADER: usize = 20;
pub const IPV6_HEADER: usize = 40;
pub const TCP_HEADER: usize = 20;

pub mod tcp_flag {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;
}

/// An address in IPv4-mapped form, as it lies in memory: two words in network
/// byte order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Address(pub [u64; 2]);

impl Address {
    #[inline(always)]
    fn v4(raw: u32) -> Self {
        Self([0, u64::from_be(0xffff_0000_0000 | u64::from(u32::from_be(raw)))])
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

    #[inline(always)]
    pub fn bytes(self) -> [u8; 16] {
        // SAFETY: two plain words are sixteen plain bytes.
        unsafe { core::mem::transmute(self.0) }
    }
}

/// A TCP segment, and where its headers are.
#[derive(Clone, Copy)]
pub struct Segment {
    /// Offset of the IP header.
    pub l3: usize,
    /// Offset of the TCP header.
    pub l4: usize,
    pub is_v4: bool,
    pub src: Address,
    pub dst: Address,
    /// In network byte order, like `dst_port`.
    pub src_port: u16,
    pub dst_port: u16,
    /// [`tcp_flag`].
    pub flags: u8,
    pub dscp: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Bytes after the TCP header.
    pub payload: u32,
    /// Bytes of the IP packet, header included.
    pub ip_len: u16,
}

impl Segment {
    /// A first segment of a connection: SYN and nothing that speaks of an earlier one.
    #[inline(always)]
    pub fn opens(&self) -> bool {
        use tcp_flag::{ACK, FIN, RST, SYN};
        self.flags & (SYN | ACK | FIN | RST) == SYN
    }

    #[inline(always)]
    pub fn closes(&self) -> bool {
        self.flags & (tcp_flag::FIN | tcp_flag::RST) != 0
    }
}

/// Why a frame is not a whole TCP segment.
pub enum Unsteerable {
    /// Not for us to judge.
    Pass(Reason),
    /// To `dst`, but without readable ports: dropped when `dst` is ours.
    Portless { dst: Address, reason: Reason },
}

impl From<Short> for Unsteerable {
    #[inline(always)]
    fn from(_: Short) -> Self {
        Self::Pass(Reason::MalformedIp)
    }
}

struct Network {
    is_v4: bool,
    src: Address,
    dst: Address,
    dscp: u8,
    ttl: u8,
    header: usize,
    ip_len: usize,
}

/// Reads a frame's headers.
#[inline(always)]
pub fn parse(frame: Frame) -> Result<Segment, Unsteerable> {
    let (l3, ethertype) = ethernet(frame)?;
    let network = match ethertype {
        ETHERTYPE_IPV4 => ipv4(frame, l3)?,
        ETHERTYPE_IPV6 => ipv6(frame, l3)?,
        _ => return Err(Unsteerable::Pass(Reason::OtherProtocol)),
    };
    let dst = network.dst;
    tcp(frame, l3, network)
        .map_err(|Short| Unsteerable::Portless { dst, reason: Reason::MalformedTcp })
}

/// Offset of what follows the Ethernet header and up to two VLAN tags, and its type.
#[inline(always)]
fn ethernet(frame: Frame) -> Result<(usize, u16), Short> {
    let header = frame.header::<ETHERNET>(0)?;
    let ethertype = u16::from_be(header.read::<u16, 12>());
    if !is_tag(ethertype) {
        return Ok((ETHERNET, ethertype));
    }
    let tag = frame.header::<VLAN_TAG>(ETHERNET)?;
    let ethertype = u16::from_be(tag.read::<u16, 2>());
    if !is_tag(ethertype) {
        return Ok((ETHERNET + VLAN_TAG, ethertype));
    }
    let tag = frame.header::<VLAN_TAG>(ETHERNET + VLAN_TAG)?;
    Ok((ETHERNET + 2 * VLAN_TAG, u16::from_be(tag.read::<u16, 2>())))
}

#[inline(always)]
fn is_tag(ethertype: u16) -> bool {
    ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ
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
    if ip.read::<u8, 9>() != PROTOCOL_TCP {
        return Err(Unsteerable::Pass(Reason::OtherProtocol));
    }
    Ok(Network {
        is_v4: true,
        src: Address::v4(ip.read::<u32, 12>()),
        dst,
        dscp: ip.read::<u8, 1>() >> 2,
        ttl: ip.read::<u8, 8>(),
        header,
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
    match ip.read::<u8, 6>() {
        PROTOCOL_TCP => {}
        PROTOCOL_IPV6_FRAGMENT => {
            return Err(Unsteerable::Portless { dst, reason: Reason::Fragment });
        }
        _ => return Err(Unsteerable::Pass(Reason::OtherProtocol)),
    }
    Ok(Network {
        is_v4: false,
        src: Address(ip.read::<[u64; 2], 8>()),
        dst,
        dscp: (first >> 6) as u8 & 0x3f,
        ttl: ip.read::<u8, 7>(),
        header: IPV6_HEADER,
        ip_len,
    })
}

#[inline(always)]
fn tcp(frame: Frame, l3: usize, network: Network) -> Result<Segment, Short> {
    let l4 = l3 + network.header;
    let segment_len = network.ip_len - network.header;
    let tcp = frame.header::<TCP_HEADER>(l4)?;
    let header = usize::from(tcp.read::<u8, 12>() >> 4) * 4;
    if segment_len < TCP_HEADER || header < TCP_HEADER || header > segment_len {
        return Err(Short);
    }
    Ok(Segment {
        l3,
        l4,
        is_v4: network.is_v4,
        src: network.src,
        dst: network.dst,
        src_port: tcp.read::<u16, 0>(),
        dst_port: tcp.read::<u16, 2>(),
        flags: tcp.read::<u8, 13>(),
        dscp: network.dscp,
        ttl: network.ttl,
        payload: (segment_len - header) as u32,
        ip_len: network.ip_len as u16,
    })
}
