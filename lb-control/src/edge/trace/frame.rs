//! A packet to ask with.

use std::net::SocketAddr;

use anyhow::bail;
use lb_common::checksum;

use super::Question;
use crate::model::Protocol;

/// What a packet is to its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// It begins one: SYN, or over UDP a QUIC Initial.
    New,
    /// It belongs to one.
    #[default]
    Established,
    /// It ends one: FIN.
    Last,
}

const ACK: u8 = 0x10;
const SYN: u8 = 0x02;
const FIN: u8 = 0x01;
const TTL: u8 = 64;

/// The frame that a client's router would send.
pub(super) fn bytes(question: &Question) -> anyhow::Result<Vec<u8>> {
    let (protocol, transport) = match question.protocol {
        Protocol::Tcp => (6, tcp(question)),
        Protocol::Udp => (17, udp(question)),
        Protocol::TcpAndUdp => bail!("a packet is either TCP or UDP"),
    };
    // Ethernet addresses do not matter.
    let mut frame = vec![0x02; 12];
    match (question.client, question.service) {
        (SocketAddr::V4(src), SocketAddr::V4(dst)) => {
            frame.extend([0x08, 0x00]);
            let mut header = vec![0x45, question.dscp << 2];
            header.extend((20 + transport.len() as u16).to_be_bytes());
            header.extend([0, 0, 0x40, 0, TTL, protocol, 0, 0]);
            header.extend(src.ip().octets());
            header.extend(dst.ip().octets());
            let sum = checksum::finish(checksum::sum(0, &header));
            header[10..12].copy_from_slice(&sum);
            frame.extend(header);
        }
        (SocketAddr::V6(src), SocketAddr::V6(dst)) => {
            frame.extend([0x86, 0xdd, 0x60 | question.dscp >> 2, question.dscp << 6, 0, 0]);
            frame.extend((transport.len() as u16).to_be_bytes());
            frame.extend([protocol, TTL]);
            frame.extend(src.ip().octets());
            frame.extend(dst.ip().octets());
        }
        (client, service) => bail!("{client} and {service} are of different IP families"),
    }
    frame.extend(transport);
    Ok(frame)
}

/// The program looks at no checksum of TCP or UDP.
fn ports(question: &Question) -> Vec<u8> {
    [question.client.port().to_be_bytes(), question.service.port().to_be_bytes()].concat()
}

fn tcp(question: &Question) -> Vec<u8> {
    let flags = match question.kind {
        Kind::New => SYN,
        Kind::Established => ACK,
        Kind::Last => FIN | ACK,
    };
    let mut segment = ports(question);
    segment.extend([0, 0, 0, 1, 0, 0, 0, 1, 5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment
}

fn udp(question: &Question) -> Vec<u8> {
    // A QUIC Initial of version 1, or a short header, with a connection id that
    // names no server (RFC 9000 section 17).
    let mut payload = match question.kind {
        Kind::New => vec![0xc0, 0, 0, 0, 1, 8],
        Kind::Established | Kind::Last => vec![0x40],
    };
    payload.extend([0xff; 24]);
    let mut datagram = ports(question);
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}
