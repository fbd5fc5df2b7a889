//! Raw frames, put on a host's cable as they are.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike as _, bind, send,
        socket,
    },
};

use crate::Host;

/// Flags of a TCP header (RFC 9293 section 3.1).
pub const SYN: u8 = 0x02;
pub const ACK: u8 = 0x10;

const TCP: u8 = 6;
const TTL: u8 = 64;

/// The end of a host's cable. Nothing is received by it.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
    mac: [u8; 6],
}

impl Wire {
    /// Takes hold of a host's `eth0`.
    ///
    /// # Errors
    /// Of packet(7).
    pub fn of(host: &Host) -> Result<Self> {
        host.netns().enter(|| {
            let interface = interface().with_context(|| format!("no eth0 on {}", host.name()))?;
            let socket =
                socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
            bind(socket.as_raw_fd(), &interface)?;
            Ok(Self { socket, mac: interface.addr().context("eth0 has no Ethernet address")? })
        })
    }

    /// Its own Ethernet address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Sends a frame, its Ethernet header included.
    ///
    /// # Errors
    /// Of send(2); `ENOBUFS` when the interface has no room.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }
}

impl Host {
    /// The Ethernet address of its `eth0`.
    pub fn mac(&self) -> Result<[u8; 6]> {
        let interface = self.netns().enter(interface)?;
        interface.addr().with_context(|| format!("eth0 of {} has no address", self.name()))
    }
}

fn interface() -> Result<LinkAddr> {
    getifaddrs()?
        .filter(|found| found.interface_name == "eth0")
        .find_map(|found| found.address?.as_link_addr().copied())
        .filter(|link| link.family() == Some(AddressFamily::Packet))
        .context("no eth0")
}

/// A TCP segment without data, in an Ethernet frame.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Ethernet addresses: from, to.
    pub macs: [[u8; 6]; 2],
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub flags: u8,
    pub sequence: u32,
    pub acknowledged: u32,
}

impl Segment {
    /// The frame, with right lengths and checksums.
    ///
    /// # Panics
    /// When the addresses are of two families.
    pub fn frame(&self) -> Vec<u8> {
        let mut tcp = [0; 20];
        tcp[..2].copy_from_slice(&self.from.port().to_be_bytes());
        tcp[2..4].copy_from_slice(&self.to.port().to_be_bytes());
        tcp[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        tcp[8..12].copy_from_slice(&self.acknowledged.to_be_bytes());
        tcp[12..16].copy_from_slice(&[5 << 4, self.flags, 0xff, 0xff]);
        let [from, to] = self.macs;
        let mut frame = [to, from].concat();
        match (self.from, self.to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                let addresses = [from.ip().octets(), to.ip().octets()].concat();
                let mut header = [0x45, 0, 0, 40, 0, 0, 0x40, 0, TTL, TCP, 0, 0].to_vec();
                header.extend(&addresses);
                let sum = checksum(&header);
                header[10..12].copy_from_slice(&sum);
                seal(&mut tcp, &addresses);
                frame.extend([0x08, 0x00]);
                frame.extend(header);
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) => {
                let addresses = [from.ip().octets(), to.ip().octets()].concat();
                seal(&mut tcp, &addresses);
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, TCP, TTL]);
                frame.extend(addresses);
            }
            (from, to) => panic!("no segment goes from {from} to {to}"),
        }
        frame.extend(tcp);
        frame
    }
}

/// Puts the checksum over the pseudo-header in (RFC 9293 section 3.1).
fn seal(tcp: &mut [u8; 20], addresses: &[u8]) {
    let mut summed = addresses.to_vec();
    summed.extend([0, TCP, 0, 20]);
    summed.extend(*tcp);
    tcp[16..18].copy_from_slice(&checksum(&summed));
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(from: &str, to: &str) -> Segment {
        Segment {
            macs: [[2; 6], [4; 6]],
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            flags: SYN,
            sequence: 7,
            acknowledged: 0,
        }
    }

    /// Bytes that their own checksum is part of sum to zero.
    #[test]
    fn checksums_are_right() {
        let v4 = segment("198.18.1.130:4000", "198.18.0.10:80").frame();
        assert_eq!(v4.len(), 14 + 20 + 20);
        assert_eq!(checksum(&v4[14..34]), [0, 0]);
        let pseudo = |addresses: &[u8], tcp: &[u8]| [addresses, &[0, TCP, 0, 20], tcp].concat();
        assert_eq!(checksum(&pseudo(&v4[26..34], &v4[34..])), [0, 0]);
        let v6 = segment("[fd00:18:1::f:1]:4000", "[fd00:18::10]:80").frame();
        assert_eq!(v6.len(), 14 + 40 + 20);
        assert_eq!(checksum(&pseudo(&v6[22..54], &v6[54..])), [0, 0]);
    }

    #[test]
    fn a_known_checksum() {
        // RFC 1071 section 3.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), [0x22, 0x0d]);
    }
}
