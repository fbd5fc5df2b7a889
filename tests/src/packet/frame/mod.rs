//! Frames, written readably: `tcp("198.51.100.7:40000", "203.0.113.10:80").syn().seq(7)`.
//!
//! Lengths and checksums are right unless a row says otherwise. Nothing here
//! comes from the code under test.

mod bytes;
mod tunnel;

use std::net::{IpAddr, SocketAddr};

pub use self::bytes::checksum;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// The edge's own Ethernet address.
pub const EDGE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xee];
/// The Ethernet address of the router that clients are behind.
pub const ROUTER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xaa];

/// A frame that is still being described. [`bytes`](Self::bytes) makes it.
#[derive(Clone, Debug)]
pub struct Packet {
    dst_mac: [u8; 6],
    src_mac: [u8; 6],
    /// TPID and TCI of each tag, outermost first.
    tags: Vec<[u16; 2]>,
    src: SocketAddr,
    dst: SocketAddr,
    ip: Ip,
    transport: Transport,
    payload: Vec<u8>,
    /// Bytes after the IP packet.
    padding: usize,
}

#[derive(Clone, Debug)]
struct Ip {
    dscp: u8,
    ttl: u8,
    id: u16,
    /// Flags and offset of IPv4, or offset and M flag of an IPv6 fragment header.
    fragment: u16,
    options: Vec<u8>,
    /// Types and bytes of IPv6 extension headers; the first byte of each is
    /// filled in.
    extensions: Vec<(u8, Vec<u8>)>,
    /// IPv6 flow label.
    label: u32,
    /// Explicit congestion notification.
    ecn: u8,
}

#[derive(Clone, Debug)]
enum Transport {
    Tcp(Tcp),
    /// Whether it has a checksum.
    Udp(bool),
    /// Type, code, and the second half of the header.
    Icmp(u8, u8, u32),
    /// Protocol number; the payload is all there is.
    Other(u8),
}

#[derive(Clone, Debug, Default)]
struct Tcp {
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    options: Vec<u8>,
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const DONT_FRAGMENT: u16 = 0x4000;

fn packet(src: &str, dst: &str, transport: Transport) -> Packet {
    let parse = |at: &str| at.parse().unwrap_or_else(|_| panic!("`{at}` is no address and port"));
    let (src, dst): (SocketAddr, SocketAddr) = (parse(src), parse(dst));
    assert_eq!(src.is_ipv4(), dst.is_ipv4(), "{src} and {dst} are of different families");
    let fragment = if src.is_ipv4() { DONT_FRAGMENT } else { 0 };
    let ip = Ip {
        dscp: 0,
        ttl: 60,
        id: 0x1234,
        fragment,
        options: Vec::new(),
        extensions: Vec::new(),
        label: 0,
        ecn: 0,
    };
    Packet {
        dst_mac: EDGE_MAC,
        src_mac: ROUTER_MAC,
        tags: Vec::new(),
        src,
        dst,
        ip,
        transport,
        payload: Vec::new(),
        padding: 0,
    }
}

/// A TCP segment without flags, from a client towards the edge.
pub fn tcp(src: &str, dst: &str) -> Packet {
    packet(src, dst, Transport::Tcp(Tcp { window: 64_240, ..Default::default() }))
}

/// A UDP datagram (RFC 768).
pub fn udp(src: &str, dst: &str) -> Packet {
    packet(src, dst, Transport::Udp(true))
}

/// An ICMP or ICMPv6 message: type, code and the second half of its header.
/// Ports are ignored.
pub fn icmp(src: &str, dst: &str, kind: u8, code: u8, rest: u32) -> Packet {
    packet(src, dst, Transport::Icmp(kind, code, rest))
}

/// An echo request; ports are ignored.
pub fn ping(src: &str, dst: &str) -> Packet {
    let kind = if src.starts_with('[') { 128 } else { 8 };
    icmp(src, dst, kind, 0, 0x0007_0001)
}

/// A message of another IP protocol.
pub fn other(src: &str, dst: &str, protocol: u8) -> Packet {
    packet(src, dst, Transport::Other(protocol))
}

/// What the edge answers in the name of `src`: an RST as a closed port sends
/// it, back to the router.
pub fn answer(src: &str, dst: &str) -> Packet {
    let mut packet = tcp(src, dst).rst().ttl(64).via(ROUTER_MAC, EDGE_MAC);
    packet.ip.id = 0;
    packet.tcp_mut().window = 0;
    packet
}

/// What the edge answers to `packet` by ICMP: type, code, and the second half
/// of the header, with as much of the packet as there is room for.
pub fn icmp_answer(packet: &Packet, kind: u8, code: u8, rest: u32) -> Packet {
    let most = if packet.src.is_ipv4() { 576 - 28 } else { 1280 - 48 };
    let mut quoted = packet.ip_bytes();
    quoted.truncate(most);
    let transport = Transport::Icmp(kind, code, rest);
    let mut answer = Packet { transport, tags: packet.tags.clone(), ..packet.clone() };
    (answer.src, answer.dst) = (packet.dst, packet.src);
    answer.ip = Ip { dscp: 0, ttl: 64, id: 0, fragment: 0, options: Vec::new(), ..answer.ip };
    answer.ip.extensions = Vec::new();
    answer.padding = 0;
    answer.payload(&quoted).via(ROUTER_MAC, EDGE_MAC)
}

impl Packet {
    fn tcp_mut(&mut self) -> &mut Tcp {
        match &mut self.transport {
            Transport::Tcp(tcp) => tcp,
            other => panic!("{other:?} has no TCP fields"),
        }
    }

    fn flag(mut self, flag: u8) -> Self {
        self.tcp_mut().flags |= flag;
        self
    }

    pub fn syn(self) -> Self {
        self.flag(SYN)
    }

    pub fn fin(self) -> Self {
        self.flag(FIN)
    }

    pub fn rst(self) -> Self {
        self.flag(RST)
    }

    pub fn psh(self) -> Self {
        self.flag(PSH)
    }

    /// Sets the flag and the acknowledgement number.
    pub fn ack(mut self, number: u32) -> Self {
        self.tcp_mut().ack = number;
        self.flag(ACK)
    }

    /// Sequence number.
    pub fn seq(mut self, number: u32) -> Self {
        self.tcp_mut().seq = number;
        self
    }

    /// TCP options; a multiple of 4 bytes.
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        self.tcp_mut().options = options.to_vec();
        self
    }

    /// IPv4 options; a multiple of 4 bytes.
    pub fn ip_options(mut self, options: &[u8]) -> Self {
        self.ip.options = options.to_vec();
        self
    }

    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// Adds an 802.1Q tag inside those that are there.
    pub fn vlan(mut self, id: u16) -> Self {
        self.tags.push([0x8100, id]);
        self
    }

    /// Adds an 802.1ad service tag inside those that are there.
    pub fn service_vlan(mut self, id: u16) -> Self {
        self.tags.push([0x88a8, id]);
        self
    }

    /// TTL or hop limit.
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ip.ttl = ttl;
        self
    }

    pub fn dscp(mut self, dscp: u8) -> Self {
        self.ip.dscp = dscp;
        self
    }

    /// Makes it a fragment; `offset` in bytes, a multiple of 8.
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        if self.src.is_ipv4() {
            self.ip.fragment = (offset / 8) | (u16::from(more) << 13);
            return self;
        }
        let [high, low] = (offset | u16::from(more)).to_be_bytes();
        self.extension(44, &[0, 0, high, low, 0, 0, 0, 9])
    }

    /// Adds an IPv6 extension header; its first byte, the next one's type, is
    /// filled in.
    pub fn extension(mut self, kind: u8, bytes: &[u8]) -> Self {
        self.ip.extensions.push((kind, bytes.to_vec()));
        self
    }

    /// UDP: without a checksum.
    pub fn without_checksum(mut self) -> Self {
        self.transport = Transport::Udp(false);
        self
    }

    /// Explicit congestion notification, `0..=3`.
    pub fn ecn(mut self, ecn: u8) -> Self {
        self.ip.ecn = ecn;
        self
    }

    /// IPv6 flow label.
    pub fn label(mut self, label: u32) -> Self {
        self.ip.label = label;
        self
    }

    /// As a server gets it: one hop on.
    pub fn sent_to(mut self, server: &super::Server) -> Self {
        self.ip.ttl -= 1;
        self.via(server.mac(), EDGE_MAC)
    }

    pub fn is_v4(&self) -> bool {
        self.src.is_ipv4()
    }

    /// The answer to this echo request, of that type.
    pub fn echoed(mut self, kind: u8) -> Self {
        if let Transport::Icmp(of, ..) = &mut self.transport {
            *of = kind;
        }
        (self.src, self.dst) = (self.dst, self.src);
        self.ip.ttl = 64;
        self.via(ROUTER_MAC, EDGE_MAC)
    }

    /// With an end of the packet that this ICMP error quotes, address and
    /// port, replaced.
    pub fn requoted(mut self, from: SocketAddr, to: SocketAddr) -> Self {
        let bytes = |ip| match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let (old, new) = (bytes(from.ip()), bytes(to.ip()));
        let v4 = old.len() == 4;
        let first = if v4 { 12 } else { 8 };
        let l4 = if v4 { usize::from(self.payload[0] & 0xf) * 4 } else { 40 };
        let is_source = self.payload[first..first + old.len()] == old[..];
        let address = if is_source { first } else { first + old.len() };
        let port = if is_source { l4 } else { l4 + 2 };
        assert_eq!(self.payload[address..address + old.len()], old[..], "{from} is quoted");
        self.payload[address..address + new.len()].copy_from_slice(&new);
        self.payload[port..port + 2].copy_from_slice(&to.port().to_be_bytes());
        if v4 {
            self.payload[10..12].fill(0);
            let sum = checksum(&self.payload[..l4]);
            self.payload[10..12].copy_from_slice(&sum);
        }
        self
    }

    /// An ICMP error of `by` about this packet, to its sender.
    pub fn error_by(&self, by: &str, kind: u8, code: u8) -> Packet {
        let mut quoted = self.ip_bytes();
        quoted.truncate(self.header_len() + 8);
        icmp(by, &self.src.to_string(), kind, code, 0).payload(&quoted)
    }

    /// Bytes of Ethernet padding after the IP packet.
    pub fn pad(mut self, bytes: usize) -> Self {
        self.padding = bytes;
        self
    }

    /// Replaces the Ethernet addresses.
    pub fn via(mut self, dst: [u8; 6], src: [u8; 6]) -> Self {
        (self.dst_mac, self.src_mac) = (dst, src);
        self
    }

    /// Replaces the destination's address and port.
    pub fn to(mut self, dst: SocketAddr) -> Self {
        self.dst = dst;
        self
    }

    /// Replaces the source's address and port.
    pub fn from(mut self, src: SocketAddr) -> Self {
        self.src = src;
        self
    }

    pub(super) fn protocol(&self) -> u8 {
        match &self.transport {
            Transport::Tcp(_) => TCP,
            Transport::Udp(_) => UDP,
            Transport::Icmp(..) if self.src.is_ipv4() => ICMP,
            Transport::Icmp(..) => ICMPV6,
            Transport::Other(protocol) => *protocol,
        }
    }

    /// Bytes of the IP header, options and extension headers included.
    pub fn header_len(&self) -> usize {
        let extensions: usize = self.ip.extensions.iter().map(|(_, bytes)| bytes.len()).sum();
        if self.src.is_ipv4() { 20 + self.ip.options.len() } else { 40 + extensions }
    }

    /// Offset of the IP header in the frame.
    pub fn l3(&self) -> usize {
        14 + 4 * self.tags.len()
    }

    /// Offset of the transport header in the frame.
    pub fn l4(&self) -> usize {
        self.l3() + self.header_len()
    }
}
