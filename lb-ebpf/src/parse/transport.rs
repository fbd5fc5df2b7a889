//! TCP and UDP.

use super::{Network, Packet, TCP_HEADER, UDP_HEADER};
use crate::frame::{Frame, Short};

/// RFC 9293 section 3.1.
#[inline(always)]
pub fn tcp(frame: Frame, network: &Network) -> Result<Packet, Short> {
    let tcp = frame.header::<TCP_HEADER>(network.l4)?;
    let segment = network.payload();
    let header = usize::from(tcp.read::<u8, 12>() >> 4) * 4;
    if segment < TCP_HEADER || header < TCP_HEADER || header > segment {
        return Err(Short);
    }
    let ports = [tcp.read::<u16, 0>(), tcp.read::<u16, 2>()];
    Ok(Packet {
        flags: tcp.read::<u8, 13>(),
        payload: (segment - header) as u32,
        ..packet(network, ports)
    })
}

/// RFC 768.
#[inline(always)]
pub fn udp(frame: Frame, network: &Network) -> Result<Packet, Short> {
    let udp = frame.header::<UDP_HEADER>(network.l4)?;
    let length = usize::from(u16::from_be(udp.read::<u16, 4>()));
    if length < UDP_HEADER || length > network.payload() {
        return Err(Short);
    }
    Ok(packet(network, [udp.read::<u16, 0>(), udp.read::<u16, 2>()]))
}

#[inline(always)]
fn packet(network: &Network, [src_port, dst_port]: [u16; 2]) -> Packet {
    Packet {
        l3: network.l3,
        l4: network.l4,
        is_v4: network.is_v4,
        src: network.src,
        dst: network.dst,
        src_port,
        dst_port,
        protocol: network.protocol,
        flags: 0,
        quoted: false,
        quote: 0,
        tos: network.tos,
        ttl: network.ttl,
        payload: 0,
        ip_len: network.ip_len as u16,
    }
}
