//! The frames of a probe, as the data plane would make them of a client's packet
//! (`lb-ebpf/src/write`), and what an answer says.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    IpHeaders, IpNumber, Ipv6FlowLabel, Ipv6Header, NetSlice, PacketBuilder, SlicedPacket,
    TcpOptionElement, TransportSlice, UdpHeader,
};
use lb_common::{hash, tunnel::GUE_PORT};

use crate::{
    edge::{hops::NextHop, plane::Site},
    model::Mode,
};

const TTL: u8 = 64;
const TCP: u8 = 6;
const UDP_HEADER: u16 = 8;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// What a probe says of segments that it would take (RFC 9293 section 3.7.1):
/// what every link takes.
const SEGMENT: [u16; 2] = [536, 1220];

/// The way of a probe's packets, and its ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub hop: NextHop,
    pub mode: Mode,
    /// The backend.
    pub via: IpAddr,
    pub from: SocketAddr,
    pub to: SocketAddr,
}

/// What a probe's packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    /// Asks for a connection.
    Syn,
    /// Takes it back.
    Reset,
}

impl Way {
    /// A frame of the connection that begins with `seq`.
    ///
    /// # Errors
    /// The two ends are of different families, or headers do not fit.
    pub(super) fn frame(&self, site: &Site, flag: Flag, seq: u32) -> Result<Vec<u8>, String> {
        let (inner, outer) = (self.segment(flag, seq)?, Outer::of(self, site));
        let packet = match self.mode {
            Mode::L2 | Mode::Nat => inner,
            Mode::Ipip if self.to.is_ipv4() => outer.packet(IpNumber::IPV4, &inner)?,
            Mode::Ipip => outer.packet(IpNumber::IPV6, &inner)?,
            Mode::Gue => outer.packet(IpNumber::UDP, &outer.datagram(&inner)?)?,
        };
        let is_v4 = packet.first().is_some_and(|byte| byte >> 4 == 4);
        let ethertype = if is_v4 { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
        let mac = [self.hop.dst_mac, self.hop.src_mac].concat();
        Ok([&mac[..], &ethertype, &packet].concat())
    }

    /// The packet that a client would send.
    fn segment(&self, flag: Flag, seq: u32) -> Result<Vec<u8>, String> {
        let (ip, segment) = match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                (PacketBuilder::ipv4(from.octets(), to.octets(), TTL), SEGMENT[0])
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                (PacketBuilder::ipv6(from.octets(), to.octets(), TTL), SEGMENT[1])
            }
            _ => return Err(format!("{} and {} are of different families", self.from, self.to)),
        };
        let tcp = match flag {
            Flag::Syn => ip
                .tcp(self.from.port(), self.to.port(), seq, u16::MAX)
                .syn()
                .options(&[TcpOptionElement::MaximumSegmentSize(segment)])
                .map_err(|error| error.to_string())?,
            Flag::Reset => ip.tcp(self.from.port(), self.to.port(), seq.wrapping_add(1), 0).rst(),
        };
        let mut packet = Vec::with_capacity(64);
        tcp.write(&mut packet, &[]).map_err(|error| error.to_string())?;
        Ok(packet)
    }

    /// The flow's hash, by which the data plane varies what is outside.
    fn flow(&self, key: [u64; 2]) -> u64 {
        let ports = (self.from.port().to_be_bytes(), self.to.port().to_be_bytes());
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                hash::flow_v4(key, from.octets(), to.octets(), ports.0, ports.1, TCP)
            }
            (from, to) => {
                let (from, to) = (halves(from), halves(to));
                hash::flow_v6(key, from, to, ports.0, ports.1, TCP)
            }
        }
    }
}

fn halves(ip: IpAddr) -> [u64; 2] {
    let number = match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    [(number >> 64) as u64, number as u64]
}

/// The ends of a tunnel.
struct Outer {
    flow: u64,
    ends: Ends,
}

enum Ends {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

impl Outer {
    fn of(way: &Way, site: &Site) -> Self {
        let flow = way.flow(site.flow_key);
        let varies = (flow >> 32) as u32;
        let ends = match way.via {
            IpAddr::V4(via) => {
                let (fixed, bits) = site.tunnel_v4;
                Ends::V4((fixed.to_bits() | varies & bits).to_be_bytes(), via.octets())
            }
            IpAddr::V6(via) => {
                let fixed = site.tunnel_v6.to_bits() & !u128::from(u32::MAX);
                Ends::V6((fixed | u128::from(varies)).to_be_bytes(), via.octets())
            }
        };
        Self { flow, ends }
    }

    fn packet(&self, protocol: IpNumber, payload: &[u8]) -> Result<Vec<u8>, String> {
        let ip = match self.ends {
            Ends::V4(from, to) => PacketBuilder::ipv4(from, to, TTL),
            Ends::V6(source, destination) => {
                // The flow label spreads packets too (RFC 6438).
                let label = (self.flow >> 32) as u32 & 0xf_ffff;
                let header = Ipv6Header {
                    flow_label: Ipv6FlowLabel::try_new(label).map_err(|e| e.to_string())?,
                    hop_limit: TTL,
                    source,
                    destination,
                    ..Ipv6Header::default()
                };
                PacketBuilder::ip(IpHeaders::Ipv6(header, Default::default()))
            }
        };
        let mut packet = Vec::with_capacity(payload.len() + Ipv6Header::LEN);
        ip.write(&mut packet, protocol, payload).map_err(|error| error.to_string())?;
        Ok(packet)
    }

    /// The packet in GUE, variant 1: without a checksum over IPv4.
    fn datagram(&self, inner: &[u8]) -> Result<Vec<u8>, String> {
        let mut header = UdpHeader {
            source_port: 0xc000 | (self.flow >> 48) as u16,
            destination_port: GUE_PORT,
            length: u16::try_from(inner.len()).unwrap_or(u16::MAX).saturating_add(UDP_HEADER),
            checksum: 0,
        };
        if let Ends::V6(from, to) = self.ends {
            header.checksum =
                header.calc_checksum_ipv6_raw(from, to, inner).map_err(|e| e.to_string())?;
        }
        Ok([&header.to_bytes()[..], inner].concat())
    }
}

/// What a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub acknowledged: u32,
    /// It takes the connection; else it refuses it.
    pub accepted: bool,
}

impl Answer {
    /// Reads an IP packet. None where it neither takes nor refuses a connection.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let sliced = SlicedPacket::from_ip(packet).ok()?;
        let (from, to): (IpAddr, IpAddr) = match sliced.net? {
            NetSlice::Ipv4(ip) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            NetSlice::Ipv6(ip) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            NetSlice::Arp(_) => return None,
        };
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { return None };
        if !tcp.ack() || tcp.syn() == tcp.rst() {
            return None;
        }
        Some(Self {
            from: SocketAddr::new(from, tcp.source_port()),
            to: SocketAddr::new(to, tcp.destination_port()),
            acknowledged: tcp.acknowledgment_number(),
            accepted: tcp.syn(),
        })
    }
}

#[cfg(test)]
mod tests;
