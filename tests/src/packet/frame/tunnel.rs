//! Packets in packets, and the flow that chooses their outer source.

use std::net::{IpAddr, SocketAddr};

use lb_common::hash;

use super::{Ip, Packet, Transport};
use crate::packet::{
    Server, World,
    world::{FLOW_KEY, octets},
};

impl Packet {
    /// As the edge sends it to `server` in mode `ipip`.
    pub fn ipip(&self, world: &World, server: &Server) -> Packet {
        self.wrapped(world, server, false)
    }

    /// As the edge sends it to `server` in mode `gue`.
    pub fn gue(&self, world: &World, server: &Server) -> Packet {
        self.wrapped(world, server, true)
    }

    fn wrapped(&self, world: &World, server: &Server, gue: bool) -> Packet {
        self.wrapped_as(world, server, gue, self)
    }

    /// As the edge sends this ICMP error, about what was sent to `flow`'s
    /// client, in mode `ipip`.
    pub fn ipip_as(&self, world: &World, server: &Server, flow: &Packet) -> Packet {
        self.wrapped_as(world, server, false, flow)
    }

    /// The same in mode `gue`.
    pub fn gue_as(&self, world: &World, server: &Server, flow: &Packet) -> Packet {
        self.wrapped_as(world, server, true, flow)
    }

    fn wrapped_as(&self, world: &World, server: &Server, gue: bool, flow: &Packet) -> Packet {
        let inner = self.clone().sent_to(server);
        let payload = inner.ip_bytes();
        let (source, port, label) = world.tunnel_end(flow.flow_hash(FLOW_KEY), server);
        let protocol = if self.src.is_ipv4() { 4 } else { 41 };
        // Over IPv4, GUE has no checksum; over IPv6 unless the packet has none.
        let summed = server.address().is_ipv6()
            && !matches!(self.transport, Transport::Udp(false))
            && self.ip.extensions.is_empty();
        let transport = if gue { Transport::Udp(summed) } else { Transport::Other(protocol) };
        let v4 = server.address().is_ipv4();
        Packet {
            src: SocketAddr::new(source, port),
            dst: SocketAddr::new(server.address().ip(), 6080),
            ip: Ip {
                ttl: 64,
                id: 0,
                fragment: if v4 { super::DONT_FRAGMENT } else { 0 },
                options: Vec::new(),
                extensions: Vec::new(),
                label: if v4 { 0 } else { label },
                ..inner.ip
            },
            transport,
            payload,
            ..inner
        }
    }

    /// The keyed hash of its flow.
    pub(in crate::packet) fn flow_hash(&self, key: [u64; 2]) -> u64 {
        let ports = [self.src.port().to_be_bytes(), self.dst.port().to_be_bytes()];
        let protocol = self.protocol();
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                hash::flow_v4(key, src.octets(), dst.octets(), ports[0], ports[1], protocol)
            }
            (src, dst) => {
                hash::flow_v6(key, halves(src), halves(dst), ports[0], ports[1], protocol)
            }
        }
    }
}

fn halves(ip: IpAddr) -> [u64; 2] {
    let number = u128::from_be_bytes(octets(ip));
    [(number >> 64) as u64, number as u64]
}
