//! Frames, written readably: `tcp("198.51.100.7:40000", "203.0.113.10:80").syn().seq(7)`.
//!
//! Lengths and checksums are right unless a row says otherwise. Nothing here
//! comes from the code under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The edge's own Ethernet address.
pub const EDGE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xee];
/// The Ethernet address of the router that clients are behind.
pub const ROUTER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xaa];

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

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
}

#[derive(Clone, Debug)]
enum Transport {
    Tcp(Tcp),
    /// Protocol number and header.
    Other(u8, Vec<u8>),
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
    Packet {
        dst_mac: EDGE_MAC,
        src_mac: ROUTER_MAC,
        tags: Vec::new(),
        src,
        dst,
        ip: Ip { dscp: 0, ttl: 60, id: 0x1234, fragment, options: Vec::new() },
        transport,
        payload: Vec::new(),
        padding: 0,
    }
}

/// A TCP segment without flags, from a client towards the edge.
pub fn tcp(src: &str, dst: &str) -> Packet {
    packet(src, dst, Transport::Tcp(Tcp { window: 64_240, ..Default::default() }))
}

/// A UDP datagram (RFC 768) without payload, checksum left out.
pub fn udp(src: &str, dst: &str) -> Packet {
    let mut packet = packet(src, dst, Transport::Other(17, Vec::new()));
    let [s, d] = [packet.src.port().to_be_bytes(), packet.dst.port().to_be_bytes()];
    packet.transport = Transport::Other(17, vec![s[0], s[1], d[0], d[1], 0, 8, 0, 0]);
    packet
}

/// An ICMP or ICMPv6 echo request; ports are ignored.
pub fn ping(src: &str, dst: &str) -> Packet {
    let mut packet = packet(src, dst, Transport::Other(1, vec![8, 0, 0xf7, 0xff, 0, 0, 0, 0]));
    if packet.src.is_ipv6() {
        packet.transport = Transport::Other(58, vec![128, 0, 0, 0, 0, 0, 0, 0]);
    }
    packet
}

/// What the edge answers in the name of `src`: an RST as a closed port sends
/// it, back to the router.
pub fn answer(src: &str, dst: &str) -> Packet {
    let mut packet = tcp(src, dst).rst().ttl(64).via(ROUTER_MAC, EDGE_MAC);
    packet.ip.id = 0;
    packet.tcp_mut().window = 0;
    packet
}

impl Packet {
    fn tcp_mut(&mut self) -> &mut Tcp {
        match &mut self.transport {
            Transport::Tcp(tcp) => tcp,
            Transport::Other(protocol, _) => panic!("protocol {protocol} has no TCP fields"),
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
        self.ip.fragment = if self.src.is_ipv4() {
            (offset / 8) | (u16::from(more) << 13)
        } else {
            offset | u16::from(more)
        };
        if self.src.is_ipv6() {
            self.ip.options = vec![self.protocol(), 0, 0, 0, 0, 0, 0, 9];
        }
        self
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

    fn protocol(&self) -> u8 {
        match &self.transport {
            Transport::Tcp(_) => 6,
            Transport::Other(protocol, _) => *protocol,
        }
    }

    /// Offset of the IP header in the frame.
    pub fn l3(&self) -> usize {
        14 + 4 * self.tags.len()
    }

    /// Offset of the transport header in the frame.
    pub fn l4(&self) -> usize {
        self.l3() + if self.src.is_ipv4() { 20 } else { 40 } + self.ip.options.len()
    }

    /// The frame.
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = [self.dst_mac, self.src_mac].concat();
        for tag in &self.tags {
            frame.extend(tag[0].to_be_bytes());
            frame.extend(tag[1].to_be_bytes());
        }
        let segment = self.segment();
        let (ethertype, header) = match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                (ETHERTYPE_IPV4, self.ipv4(src, dst, segment.len()))
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                (ETHERTYPE_IPV6, self.ipv6(src, dst, segment.len()))
            }
            _ => panic!("{} and {} are of different families", self.src, self.dst),
        };
        frame.extend(ethertype.to_be_bytes());
        frame.extend(header);
        frame.extend(segment);
        frame.resize(frame.len() + self.padding, 0);
        frame
    }

    /// RFC 791 section 3.1.
    fn ipv4(&self, src: Ipv4Addr, dst: Ipv4Addr, payload: usize) -> Vec<u8> {
        let length = 20 + self.ip.options.len();
        let total = u16::try_from(length + payload).expect("fits an IPv4 packet");
        let mut header = vec![0x40 | (length / 4) as u8, self.ip.dscp << 2];
        header.extend(total.to_be_bytes());
        header.extend(self.ip.id.to_be_bytes());
        header.extend(self.ip.fragment.to_be_bytes());
        header.extend([self.ip.ttl, self.protocol(), 0, 0]);
        header.extend(src.octets());
        header.extend(dst.octets());
        header.extend(&self.ip.options);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum);
        header
    }

    /// RFC 8200 section 3, with a fragment header (section 4.5) if it is one.
    fn ipv6(&self, src: Ipv6Addr, dst: Ipv6Addr, payload: usize) -> Vec<u8> {
        let length = u16::try_from(self.ip.options.len() + payload).expect("fits");
        let mut header = vec![0x60 | (self.ip.dscp >> 2), self.ip.dscp << 6, 0, 0];
        header.extend(length.to_be_bytes());
        header.push(if self.ip.options.is_empty() { self.protocol() } else { 44 });
        header.push(self.ip.ttl);
        header.extend(src.octets());
        header.extend(dst.octets());
        let mut extension = self.ip.options.clone();
        if let Some(offset) = extension.get_mut(2..4) {
            offset.copy_from_slice(&self.ip.fragment.to_be_bytes());
        }
        header.extend(extension);
        header
    }

    /// Transport header and payload (RFC 9293 section 3.1).
    fn segment(&self) -> Vec<u8> {
        let tcp = match &self.transport {
            Transport::Other(_, header) => return [header, &self.payload[..]].concat(),
            Transport::Tcp(tcp) => tcp,
        };
        let offset = (20 + tcp.options.len()) / 4;
        let mut segment = Vec::new();
        segment.extend(self.src.port().to_be_bytes());
        segment.extend(self.dst.port().to_be_bytes());
        segment.extend(tcp.seq.to_be_bytes());
        segment.extend(tcp.ack.to_be_bytes());
        segment.extend([(offset << 4) as u8, tcp.flags]);
        segment.extend(tcp.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(&tcp.options);
        segment.extend(&self.payload);
        let sum = checksum(&[self.pseudo_header(segment.len()), segment.clone()].concat());
        segment[16..18].copy_from_slice(&sum);
        segment
    }

    fn pseudo_header(&self, length: usize) -> Vec<u8> {
        let mut header = Vec::new();
        for ip in [self.src.ip(), self.dst.ip()] {
            match ip {
                IpAddr::V4(ip) => header.extend(ip.octets()),
                IpAddr::V6(ip) => header.extend(ip.octets()),
            }
        }
        header.extend((length as u32).to_be_bytes());
        header.extend([0, 0, 0, self.protocol()]);
        header
    }
}

/// The Internet checksum (RFC 1071 section 1), the slow and obvious way.
pub fn checksum(data: &[u8]) -> [u8; 2] {
    let mut sum = 0u32;
    for pair in data.chunks(2) {
        sum += (u32::from(pair[0]) << 8) | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}
