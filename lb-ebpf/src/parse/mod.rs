//! From bytes to what steering needs to know.
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`ip`] | Ethernet, VLAN tags, IPv4 with options, IPv6 with extension headers |
//! | [`transport`] | TCP and UDP |
//! | [`icmp`] | ICMP messages and what they quote |
//! | [`quic`] | what QUIC shows of itself |

pub mod icmp;
pub mod ip;
pub mod quic;
pub mod transport;

use lb_common::abi::Reason;

pub use self::ip::{Address, IPV4_HEADER, IPV6_HEADER, Network};
use crate::frame::{Frame, Short};

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;

pub const TCP_HEADER: usize = 20;
pub const UDP_HEADER: usize = 8;

pub mod tcp_flag {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;
}

/// A packet whose flow is known, and where its headers are.
#[derive(Clone, Copy)]
pub struct Packet {
    /// Offset of the IP header.
    pub l3: usize,
    /// Offset of what follows IP: TCP, UDP, or the ICMP message that quotes.
    pub l4: usize,
    pub is_v4: bool,
    /// The flow, as the client's packets name it. Ports in network byte order.
    pub src: Address,
    pub dst: Address,
    pub src_port: u16,
    pub dst_port: u16,
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// [`tcp_flag`]; 0 for UDP.
    pub flags: u8,
    /// The flow is quoted by an ICMP error: the packet itself opens, closes
    /// and carries nothing.
    pub quoted: bool,
    /// Offset of the quoted ports, if so.
    pub quote: usize,
    /// DSCP and ECN.
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Bytes after the TCP header.
    pub payload: u32,
    /// Bytes of the IP packet, header included.
    pub ip_len: u16,
}

impl Packet {
    /// A first segment of a connection: SYN and nothing that speaks of an earlier one.
    #[inline(always)]
    pub fn is_syn(&self) -> bool {
        use tcp_flag::{ACK, FIN, RST, SYN};
        self.flags & (SYN | ACK | FIN | RST) == SYN
    }

    #[inline(always)]
    pub fn closes(&self) -> bool {
        self.flags & (tcp_flag::FIN | tcp_flag::RST) != 0
    }
}

/// What a frame holds.
pub enum Parsed {
    /// TCP or UDP.
    Transport(Packet),
    /// ICMP or ICMPv6, cut or whole.
    Icmp(Network),
}

/// Why a frame is nothing to steer.
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

/// Reads a frame's headers.
#[inline(always)]
pub fn parse(frame: Frame) -> Result<Parsed, Unsteerable> {
    let network = ip::network(frame)?;
    let dst = network.dst;
    let portless = |reason| move |Short| Unsteerable::Portless { dst, reason };
    match network.protocol {
        TCP => transport::tcp(frame, &network)
            .map(Parsed::Transport)
            .map_err(portless(Reason::MalformedTcp)),
        UDP => transport::udp(frame, &network)
            .map(Parsed::Transport)
            .map_err(portless(Reason::MalformedUdp)),
        ICMP if network.is_v4 => Ok(Parsed::Icmp(network)),
        ICMPV6 if !network.is_v4 => Ok(Parsed::Icmp(network)),
        _ => Err(Unsteerable::Pass(Reason::OtherProtocol)),
    }
}
