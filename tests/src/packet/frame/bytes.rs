//! From a description to bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{ICMPV6, Packet, Tcp, Transport};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

impl Packet {
    /// The frame.
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = [self.dst_mac, self.src_mac].concat();
        for tag in &self.tags {
            frame.extend(tag[0].to_be_bytes());
            frame.extend(tag[1].to_be_bytes());
        }
        let ethertype = if self.src.is_ipv4() { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
        frame.extend(ethertype.to_be_bytes());
        frame.extend(self.ip_bytes());
        frame.resize(frame.len() + self.padding, 0);
        frame
    }

    /// The IP packet.
    pub fn ip_bytes(&self) -> Vec<u8> {
        let transport = self.transport_bytes();
        let mut packet = match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => self.ipv4(src, dst, transport.len()),
            (IpAddr::V6(src), IpAddr::V6(dst)) => self.ipv6(src, dst, transport.len()),
            _ => panic!("{} and {} are of different families", self.src, self.dst),
        };
        packet.extend(transport);
        packet
    }

    /// RFC 791 section 3.1.
    fn ipv4(&self, src: Ipv4Addr, dst: Ipv4Addr, payload: usize) -> Vec<u8> {
        let length = 20 + self.ip.options.len();
        let total = u16::try_from(length + payload).expect("fits an IPv4 packet");
        let mut header = vec![0x40 | (length / 4) as u8, self.ip.dscp << 2 | self.ip.ecn];
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

    /// RFC 8200 section 3, with extension headers (section 4).
    fn ipv6(&self, src: Ipv6Addr, dst: Ipv6Addr, payload: usize) -> Vec<u8> {
        let extensions = &self.ip.extensions;
        let length = self.header_len() - 40 + payload;
        let tos = u32::from(self.ip.dscp << 2 | self.ip.ecn);
        let mut header = (6 << 28 | tos << 20 | self.ip.label).to_be_bytes().to_vec();
        header.extend(u16::try_from(length).expect("fits").to_be_bytes());
        header.push(extensions.first().map_or(self.protocol(), |(kind, _)| *kind));
        header.push(self.ip.ttl);
        header.extend(src.octets());
        header.extend(dst.octets());
        for (index, (_, bytes)) in extensions.iter().enumerate() {
            header.push(extensions.get(index + 1).map_or(self.protocol(), |(kind, _)| *kind));
            header.extend(&bytes[1..]);
        }
        header
    }

    /// What follows IP.
    fn transport_bytes(&self) -> Vec<u8> {
        match &self.transport {
            Transport::Tcp(tcp) => self.tcp(tcp),
            Transport::Udp(summed) => self.udp(*summed),
            Transport::Icmp(kind, code, rest) => self.icmp(*kind, *code, *rest),
            Transport::Other(_) => self.payload.clone(),
        }
    }

    /// RFC 9293 section 3.1.
    fn tcp(&self, tcp: &Tcp) -> Vec<u8> {
        let offset = (20 + tcp.options.len()) / 4;
        let mut segment = self.ports();
        segment.extend(tcp.seq.to_be_bytes());
        segment.extend(tcp.ack.to_be_bytes());
        segment.extend([(offset << 4) as u8, tcp.flags]);
        segment.extend(tcp.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(&tcp.options);
        segment.extend(&self.payload);
        let sum = self.pseudo_checksum(&segment);
        segment[16..18].copy_from_slice(&sum);
        segment
    }

    /// RFC 768.
    fn udp(&self, summed: bool) -> Vec<u8> {
        let mut datagram = self.ports();
        let length = u16::try_from(8 + self.payload.len()).expect("fits");
        datagram.extend(length.to_be_bytes());
        datagram.extend([0; 2]);
        datagram.extend(&self.payload);
        if summed {
            let sum = match self.pseudo_checksum(&datagram) {
                [0, 0] => [0xff, 0xff],
                sum => sum,
            };
            datagram[6..8].copy_from_slice(&sum);
        }
        datagram
    }

    /// RFC 792, RFC 4443 section 2.1.
    fn icmp(&self, kind: u8, code: u8, rest: u32) -> Vec<u8> {
        let mut message = vec![kind, code, 0, 0];
        message.extend(rest.to_be_bytes());
        message.extend(&self.payload);
        let sum = if self.protocol() == ICMPV6 {
            self.pseudo_checksum(&message)
        } else {
            checksum(&message)
        };
        message[2..4].copy_from_slice(&sum);
        message
    }

    fn ports(&self) -> Vec<u8> {
        [self.src.port().to_be_bytes(), self.dst.port().to_be_bytes()].concat()
    }

    fn pseudo_checksum(&self, payload: &[u8]) -> [u8; 2] {
        let mut header = Vec::new();
        for ip in [self.src.ip(), self.dst.ip()] {
            match ip {
                IpAddr::V4(ip) => header.extend(ip.octets()),
                IpAddr::V6(ip) => header.extend(ip.octets()),
            }
        }
        header.extend((payload.len() as u32).to_be_bytes());
        header.extend([0, 0, 0, self.protocol()]);
        checksum(&[header, payload.to_vec()].concat())
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
