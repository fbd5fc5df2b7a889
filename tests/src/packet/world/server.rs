//! Real servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::abi::{Backend, backend_state};

use super::{INGRESS, octets};
use crate::packet::frame::EDGE_MAC;

/// A real server, as a binding of one service.
#[derive(Clone, Debug)]
pub struct Server {
    pub(in crate::packet) id: u16,
    pub(in crate::packet) address: SocketAddr,
    pub(in crate::packet) state: u8,
    pub(in crate::packet) reachable: bool,
    pub(in crate::packet) interface: u32,
    pub(in crate::packet) mtu: u16,
    /// What names it in QUIC connection ids.
    pub(in crate::packet) quic: Vec<u8>,
    pub(in crate::packet) weight: u32,
}

/// Binding `id`, `10.0.0.<id>:8080`, on the interface that frames come in by.
pub fn server(id: u8) -> Server {
    at(id, Ipv4Addr::new(10, 0, 0, id).into())
}

/// Binding `id`, of thousands: `10.1.<high byte>.<low byte>:8080`.
pub fn server_of_many(id: u16) -> Server {
    let [high, low] = id.to_be_bytes();
    Server { id, ..at(low, Ipv4Addr::new(10, 1, high, low).into()) }
}

/// Binding `id`, `[fd00::<id>]:8080`.
pub fn server6(id: u8) -> Server {
    at(id, Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, id.into()).into())
}

/// No server: for slots that nobody owns.
pub fn nobody() -> Server {
    server(0)
}

fn at(id: u8, ip: IpAddr) -> Server {
    Server {
        id: id.into(),
        address: SocketAddr::new(ip, 8080),
        state: backend_state::SERVING,
        reachable: true,
        interface: INGRESS,
        mtu: 0,
        quic: Vec::new(),
        weight: 100,
    }
}

impl Server {
    pub fn id(&self) -> u16 {
        self.id
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Of its next hop.
    pub fn mac(&self) -> [u8; 6] {
        [0x02, 0, 0, 0, 1, self.id as u8]
    }

    pub fn draining(mut self) -> Self {
        self.state = backend_state::DRAINING;
        self
    }

    pub fn broken(mut self) -> Self {
        self.state = backend_state::BROKEN;
        self
    }

    /// Of weight 0: it takes no new connections.
    pub fn weightless(mut self) -> Self {
        self.weight = 0;
        self
    }

    /// Its next hop is not known.
    pub fn unreachable(mut self) -> Self {
        self.reachable = false;
        self
    }

    /// Behind another interface than the one that frames come in by.
    pub fn behind(mut self, interface: u32) -> Self {
        self.interface = interface;
        self
    }

    /// Reached by IP packets of this many bytes at most.
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }

    /// Named so in QUIC connection ids.
    pub fn quic(mut self, id: &[u8]) -> Self {
        self.quic = id.to_vec();
        self
    }

    /// As a binding of the service with this id.
    pub(in crate::packet) fn row(&self, service: u32) -> Backend {
        Backend {
            service,
            addr: octets(self.address.ip()),
            port: self.address.port().to_be_bytes(),
            state: self.state,
            reachable: self.reachable.into(),
            dst_mac: self.mac(),
            src_mac: EDGE_MAC,
            ifindex: self.interface,
            mtu: self.mtu,
            weight: self.weight,
            ..Default::default()
        }
    }
}
