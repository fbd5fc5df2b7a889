//! ICMP (RFC 792) and ICMPv6 (RFC 4443) messages.

use super::{Address, IPV4_HEADER, IPV6_HEADER, Network, Packet, TCP, UDP};
use crate::frame::{Frame, Short};

/// Type, code, checksum and four bytes that depend on the type.
pub const ICMP_HEADER: usize = 8;

/// What an ICMP message is to us.
pub enum Message {
    EchoRequest,
    /// An error. Its flow is the quoted packet's, turned round.
    Error(Quote),
    Other,
}

/// The beginning of a packet that met an error.
#[derive(Clone, Copy)]
pub struct Quote {
    /// Offset of the quoted ports.
    pub l4: usize,
    pub src: Address,
    pub dst: Address,
    pub src_port: u16,
    pub dst_port: u16,
    pub protocol: u8,
}

impl Quote {
    /// The packet that quotes, as one of the flow whose owner sent what is
    /// quoted: the error is for that owner.
    #[inline(always)]
    pub fn packet(&self, network: &Network) -> Packet {
        Packet {
            l3: network.l3,
            l4: network.l4,
            is_v4: network.is_v4,
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
            protocol: self.protocol,
            flags: 0,
            quoted: true,
            quote: self.l4,
            tos: network.tos,
            ttl: network.ttl,
            payload: 0,
            ip_len: network.ip_len as u16,
        }
    }
}

/// Reads a message.
///
/// # Errors
/// When it is cut, or quotes less than what names a flow.
#[inline(always)]
pub fn message(frame: Frame, network: &Network) -> Result<Message, Short> {
    let icmp = frame.header::<ICMP_HEADER>(network.l4)?;
    if network.payload() < ICMP_HEADER {
        return Err(Short);
    }
    let kind = icmp.read::<u8, 0>();
    if network.is_v4 {
        match kind {
            8 => Ok(Message::EchoRequest),
            // Destination unreachable, time exceeded, parameter problem.
            3 | 11 | 12 => quote_v4(frame, network),
            _ => Ok(Message::Other),
        }
    } else {
        match kind {
            128 => Ok(Message::EchoRequest),
            1..=4 => quote_v6(frame, network),
            _ => Ok(Message::Other),
        }
    }
}

#[inline(always)]
fn quote_v4(frame: Frame, network: &Network) -> Result<Message, Short> {
    let l3 = network.l4 + ICMP_HEADER;
    let ip = frame.header::<IPV4_HEADER>(l3)?;
    let version_ihl = ip.read::<u8, 0>();
    let header = usize::from(version_ihl & 0xf) * 4;
    if version_ihl >> 4 != 4 || header < IPV4_HEADER {
        return Err(Short);
    }
    // Only a first fragment has ports.
    let first = u16::from_be(ip.read::<u16, 6>()) & 0x1fff == 0;
    let protocol = ip.read::<u8, 9>();
    if !first || (protocol != TCP && protocol != UDP) {
        return Ok(Message::Other);
    }
    let [src_port, dst_port] = ports(frame, network, l3 + header)?;
    Ok(Message::Error(Quote {
        l4: l3 + header,
        src: Address::v4(ip.read::<u32, 12>()),
        dst: Address::v4(ip.read::<u32, 16>()),
        src_port,
        dst_port,
        protocol,
    }))
}

#[inline(always)]
fn quote_v6(frame: Frame, network: &Network) -> Result<Message, Short> {
    let l3 = network.l4 + ICMP_HEADER;
    let ip = frame.header::<IPV6_HEADER>(l3)?;
    if ip.read::<u8, 0>() >> 4 != 6 {
        return Err(Short);
    }
    // Servers send no extension headers; fragments are the kernel's to judge.
    let protocol = ip.read::<u8, 6>();
    if protocol != TCP && protocol != UDP {
        return Ok(Message::Other);
    }
    let [src_port, dst_port] = ports(frame, network, l3 + IPV6_HEADER)?;
    Ok(Message::Error(Quote {
        l4: l3 + IPV6_HEADER,
        src: Address(ip.read::<[u64; 2], 8>()),
        dst: Address(ip.read::<[u64; 2], 24>()),
        src_port,
        dst_port,
        protocol,
    }))
}

/// Eight bytes of the quoted transport header are always there (RFC 792).
#[inline(always)]
fn ports(frame: Frame, network: &Network, l4: usize) -> Result<[u16; 2], Short> {
    let header = frame.header::<8>(l4)?;
    if l4 + 8 - network.l3 > network.ip_len {
        return Err(Short);
    }
    Ok([header.read::<u16, 0>(), header.read::<u16, 2>()])
}
