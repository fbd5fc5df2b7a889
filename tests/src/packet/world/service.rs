//! Services and their rings.

use std::net::SocketAddr;

use lb_common::{
    abi::{DEFAULT_CLASS, Policy, TCP_AND_UDP, mode, policy, service_flags},
    ring::{self, Seat},
};

use super::{Server, octets};
use crate::packet::frame::{TCP, UDP};

/// Seconds after which a tracked flow is over.
const UDP_IDLE: u32 = 120;

/// A service with its ring.
#[derive(Clone, Debug)]
pub struct Service {
    pub(in crate::packet) address: SocketAddr,
    /// Of the IPv4-mapped form.
    pub(in crate::packet) prefix_len: u8,
    pub(in crate::packet) protocol: u8,
    pub(in crate::packet) mode: u8,
    flags: u16,
    pub(in crate::packet) server_id_len: u8,
    pub(in crate::packet) servers: Vec<Server>,
    pub(in crate::packet) slots: Vec<Slot>,
    refusals: Vec<(u32, Refusal)>,
}

/// A ring slot, in binding ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::packet) struct Slot {
    pub(in crate::packet) current: u16,
    pub(in crate::packet) settled: u16,
    /// Flows of this slot may be remembered.
    pub(in crate::packet) touched: bool,
}

impl Slot {
    fn new(current: u16, settled: u16) -> Self {
        Self { current, settled, touched: current != settled }
    }
}

/// Which share of new connections is refused, and how.
#[derive(Clone, Copy, Debug)]
pub struct Refusal(Policy);

impl Refusal {
    /// This share, `0.0..=1.0`, by RST, decided for each connection.
    pub fn reset(share: f64) -> Self {
        let threshold = (share * (1u64 << 32) as f64) as u64;
        Self(Policy { threshold, verdict: policy::RESET, ..Default::default() })
    }

    /// By silence instead.
    pub fn silent(mut self) -> Self {
        self.0.verdict = policy::SILENT;
        self
    }

    /// Decided for each client instead.
    pub fn by_client(mut self) -> Self {
        self.0.scope = policy::BY_CLIENT;
        self
    }
}

impl Service {
    /// In mode `l2`.
    pub fn l2(address: &str) -> Self {
        Self::new(address, mode::L2)
    }

    /// In mode `nat`.
    pub fn nat(address: &str) -> Self {
        Self::new(address, mode::NAT)
    }

    /// In mode `ipip`.
    pub fn ipip(address: &str) -> Self {
        Self::new(address, mode::IPIP)
    }

    /// In mode `gue`.
    pub fn gue(address: &str) -> Self {
        Self::new(address, mode::GUE)
    }

    /// Port 0 is any port.
    fn new(address: &str, mode: u8) -> Self {
        let address = address.parse().unwrap_or_else(|_| panic!("`{address}` is no address"));
        Self {
            address,
            prefix_len: 128,
            protocol: TCP,
            mode,
            flags: 0,
            server_id_len: 0,
            servers: Vec::new(),
            slots: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Takes UDP instead.
    pub fn udp(mut self) -> Self {
        self.protocol = UDP;
        self
    }

    /// Takes UDP too.
    pub fn tcp_and_udp(mut self) -> Self {
        self.protocol = TCP_AND_UDP;
        self
    }

    /// Takes every address that has the first bits of its own.
    pub fn prefix(mut self, len: u8) -> Self {
        self.prefix_len = if self.address.is_ipv4() { 96 + len } else { len };
        self
    }

    /// Remembers every UDP flow.
    pub fn tracked(self) -> Self {
        self.udp().flag(service_flags::TRACKED)
    }

    /// Takes QUIC; connection ids name servers by this many bytes.
    pub fn quic(mut self, server_id_len: u8) -> Self {
        self.server_id_len = server_id_len;
        self.udp().flag(service_flags::QUIC)
    }

    /// All connections of a client go to one server.
    pub fn by_client(self) -> Self {
        self.flag(service_flags::BY_CLIENT)
    }

    /// Answers echo requests.
    pub fn echoes(self) -> Self {
        self.flag(service_flags::ECHO)
    }

    fn flag(mut self, flag: u16) -> Self {
        self.flags |= flag;
        self
    }

    pub(in crate::packet) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub(in crate::packet) fn is_tunnel(&self) -> bool {
        self.mode == mode::IPIP || self.mode == mode::GUE
    }

    /// IP protocols that it takes.
    pub(in crate::packet) fn protocols(&self) -> Vec<u8> {
        if self.protocol == TCP_AND_UDP { vec![TCP, UDP] } else { vec![self.protocol] }
    }

    /// Adds a slot to the ring; a service with one slot sends every flow there.
    pub fn slot(mut self, current: &Server, settled: &Server) -> Self {
        self.slots.push(Slot::new(current.id, settled.id));
        if current.id != settled.id {
            self = self.flag(service_flags::MOVING);
        }
        self.keeps(current).keeps(settled)
    }

    /// Adds a ring of `len` slots, filled as the edge fills it, on the way from
    /// `settled` to `current` servers.
    pub fn ring(mut self, current: &[Server], settled: &[Server], len: u32) -> Self {
        let owners = [current, settled].map(|servers| {
            let seat = |server: &Server| Seat {
                id: server.id,
                identity: ring::identity(octets(server.address.ip()), [0, 80]),
                weight: 100,
            };
            let seats: Vec<Seat> = servers.iter().map(seat).collect();
            let mut ring = vec![0; len as usize];
            ring::fill(&seats, &mut ring);
            ring
        });
        if owners[0] != owners[1] {
            self = self.flag(service_flags::MOVING);
        }
        self.slots = owners[0].iter().zip(&owners[1]).map(|(&c, &s)| Slot::new(c, s)).collect();
        current.iter().chain(settled).fold(self, Self::keeps)
    }

    /// Binds a server that owns no slot, but may have connections.
    pub fn keeps(mut self, server: &Server) -> Self {
        if server.id != 0 && self.servers.iter().all(|known| known.id != server.id) {
            self.servers.push(server.clone());
        }
        self
    }

    /// Has remembered flows on every slot so far, though they may be settled.
    pub fn moving(mut self) -> Self {
        self.slots.iter_mut().for_each(|slot| slot.touched = true);
        self.moving_elsewhere()
    }

    /// Has remembered flows, but none on slots that are settled.
    pub fn moving_elsewhere(self) -> Self {
        self.flag(service_flags::MOVING)
    }

    /// Touches the slots for which this holds, by their number.
    pub(in crate::packet) fn touched(mut self, is_touched: impl Fn(usize) -> bool) -> Self {
        for (number, slot) in self.slots.iter_mut().enumerate() {
            slot.touched |= is_touched(number);
        }
        self
    }

    /// Refuses a share of the clients that no class matches.
    pub fn refuses(self, refusal: Refusal) -> Self {
        self.refuses_class(DEFAULT_CLASS, refusal)
    }

    /// Refuses a share of a class, by its place in the world's list.
    pub fn refuses_class(mut self, class: u32, refusal: Refusal) -> Self {
        self.refusals.push((class, refusal));
        self
    }

    pub(in crate::packet) fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub(in crate::packet) fn row(&self, ring_offset: u32) -> lb_common::abi::Service {
        let policed = if self.refusals.is_empty() { 0 } else { service_flags::POLICED };
        lb_common::abi::Service {
            ring_offset,
            ring_len: self.slots.len() as u32,
            vip: octets(self.address.ip()),
            port: self.address.port().to_be_bytes(),
            protocol: self.protocol,
            mode: self.mode,
            flags: self.flags | policed,
            prefix_len: self.prefix_len,
            server_id_len: self.server_id_len,
            udp_idle: UDP_IDLE,
            ..Default::default()
        }
    }

    /// Index within the service's policies, and the policy.
    pub(in crate::packet) fn policies(&self) -> impl Iterator<Item = (u32, Policy)> {
        self.refusals.iter().map(|&(class, Refusal(policy))| (class, policy))
    }
}
