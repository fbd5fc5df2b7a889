//! What the edge is configured with, in the words of the design: services,
//! their ring slots, servers, classes, refusals.

mod route;
mod server;
mod service;

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use lb_common::{
    abi::{
        CLASSES, ClassRange, Config, DEFAULT_ANSWERS, LookupKey, LookupSlot, features,
        lookup_flags, mode, role, service_flags,
    },
    classes,
    lookup::Table,
};

pub(super) use self::route::Prefix;
pub(super) use self::service::Slot;
pub use self::{
    route::Hop,
    server::{Server, nobody, server, server_of_many, server6},
    service::{Refusal, Service},
};
use super::frame::Packet;

/// The interface on which `BPF_PROG_TEST_RUN` lets frames come in: loopback.
pub(crate) const INGRESS: u32 = 1;
/// Any key will do, as long as it is not the default.
pub(super) const FLOW_KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

/// A group of clients.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// First and last address; none: any.
    pub(super) sources: Vec<(u128, u128)>,
    /// None: any.
    pub(super) dscp: Vec<u8>,
}

/// Everything that one generation holds.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub(super) services: Vec<Service>,
    pub(super) classes: Vec<Class>,
    pub(super) epoch: u64,
    pub(super) flows_full: bool,
    /// ICMP answers in a second.
    pub(super) answers: Option<u32>,
    routes: Vec<(Prefix, Hop)>,
    /// Address, interface and Ethernet address.
    neighbors: Vec<(IpAddr, u32, [u8; 6])>,
}

/// See [`World::bindings`].
pub(super) struct Bindings(HashMap<(usize, u16), u16>);

impl Bindings {
    pub(super) fn id(&self, service: usize, server: u16) -> u16 {
        self.0.get(&(service, server)).copied().unwrap_or(server)
    }
}

impl World {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service; its id is its place in the list.
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// Adds a class: ranges of client addresses, first and last (none: any),
    /// and DSCPs (none: any).
    pub fn class(mut self, sources: &[[&str; 2]], dscp: &[u8]) -> Self {
        let number = |ip: &str| {
            let ip: IpAddr = ip.parse().unwrap_or_else(|_| panic!("`{ip}` is no address"));
            u128::from_be_bytes(octets(ip))
        };
        let sources = sources.iter().map(|[first, last]| (number(first), number(last))).collect();
        self.classes.push(Class { sources, dscp: dscp.to_vec() });
        self
    }

    pub fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// Sends so many ICMP answers in a second.
    pub fn answers(mut self, answers: u32) -> Self {
        self.answers = Some(answers);
        self
    }

    /// The table of remembered flows has no room.
    pub fn flows_full(mut self) -> Self {
        self.flows_full = true;
        self
    }

    pub(super) fn class_ranges(&self) -> Vec<ClassRange> {
        let sources: Vec<_> = self.classes.iter().map(|class| class.sources.clone()).collect();
        classes::flatten(&sources).expect("few classes")
    }

    pub(super) fn config(&self) -> Config {
        assert!(self.classes.len() < CLASSES as usize);
        let mut config = Config {
            flow_key: FLOW_KEY,
            class_ranges: self.class_ranges().len() as u32,
            classes: self.classes.len() as u32,
            class_dscp: [0; 64],
            answers: self.answers.unwrap_or(DEFAULT_ANSWERS),
            routes: self.routes().0.len() as u32,
            ..Default::default()
        };
        for service in &self.services {
            let any_port = if service.address.port() == 0 { features::ANY_PORT } else { 0 };
            let nat = if service.mode == mode::NAT { features::NAT } else { 0 };
            config.features |= any_port | nat;
        }
        let mut lengths: Vec<u8> = self.services.iter().map(|s| s.prefix_len).collect();
        lengths.retain(|&len| len != 128);
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        config.prefixes = lengths.len() as u32;
        config.prefix_lengths[..lengths.len()].copy_from_slice(&lengths);
        for (index, class) in self.classes.iter().enumerate() {
            for (dscp, members) in config.class_dscp.iter_mut().enumerate() {
                if class.dscp.is_empty() || class.dscp.contains(&(dscp as u8)) {
                    *members |= 1 << index;
                }
            }
        }
        config
    }

    /// Ids of bindings, by service and server, where they are not the server's:
    /// each binding has one of its own, and the first service's is that.
    pub(super) fn bindings(&self) -> Bindings {
        let (mut seen, mut others) = (HashSet::new(), HashMap::new());
        for (service, spec) in self.services.iter().enumerate() {
            let ids = || spec.servers.iter().map(|server| server.id);
            for id in ids().filter(|id| seen.contains(id)) {
                others.insert((service, id), id + 1000 * service as u16);
            }
            seen.extend(ids());
        }
        Bindings(others)
    }

    pub(super) fn lookup(&self) -> Table {
        let mut table = Table::new();
        let bindings = self.bindings();
        for (id, service) in self.services.iter().enumerate() {
            let mut put = |key: LookupKey, backend: u16| {
                let flags = if key.port == [0; 2] && key.protocol == 0 && self.echoes(&key) {
                    lookup_flags::ECHO
                } else {
                    0
                };
                let slot = LookupSlot {
                    key,
                    service_plus_one: id as u32 + 1,
                    backend: backend.into(),
                    flags,
                };
                table.insert(slot, &mut Vec::new()).expect("few keys");
            };
            put(service.address_key(), 0);
            for protocol in service.protocols() {
                put(service.vip_key(protocol), 0);
                if service.mode == mode::NAT {
                    for server in &service.servers {
                        put(service.real_key(server, protocol), bindings.id(id, server.id));
                    }
                }
            }
            for server in service.servers.iter().filter(|server| !server.quic.is_empty()) {
                put(service.server_id_key(id as u16, server), bindings.id(id, server.id));
            }
        }
        table
    }

    /// Whether some service of this address answers echo requests.
    fn echoes(&self, key: &LookupKey) -> bool {
        let answers = |service: &&Service| service.has(service_flags::ECHO);
        self.services.iter().filter(answers).any(|service| service.address_key() == *key)
    }

    /// Outer source, UDP port and flow label of tunnels to `server`, by flow hash.
    pub(super) fn tunnel_end(&self, hash: u64, server: &Server) -> (IpAddr, u16, u32) {
        let high = (hash >> 32) as u32;
        let source = if server.address.is_ipv4() {
            IpAddr::V4(Ipv4Addr::from(u32::from_be_bytes([198, 18, 0, 0]) | high & 0x1_ffff))
        } else {
            IpAddr::V6(Ipv6Addr::from((0x0100_u128 << 112) | u128::from(high)))
        };
        (source, 0xc000 | (hash >> 48) as u16, high & 0xf_ffff)
    }

    /// Where the edge sends a packet of this flow from, in a tunnel to `server`.
    pub fn tunnel_source(&self, packet: &Packet, server: &Server) -> IpAddr {
        self.tunnel_end(packet.flow_hash(FLOW_KEY), server).0
    }
}

impl Service {
    fn key(&self, addr: [u8; 16], port: [u8; 2], protocol: u8, role: u8) -> LookupKey {
        LookupKey { addr, port, protocol, role }
    }

    fn vip_key(&self, protocol: u8) -> LookupKey {
        let address = self.address;
        let port = address.port().to_be_bytes();
        let role = if self.prefix_len == 128 { role::VIP } else { role::PREFIX | self.prefix_len };
        self.key(octets(address.ip()), port, protocol, role)
    }

    fn address_key(&self) -> LookupKey {
        let key = self.vip_key(0);
        let role = if self.prefix_len == 128 { role::ADDRESS } else { key.role };
        LookupKey { port: [0; 2], role, ..key }
    }

    fn real_key(&self, server: &Server, protocol: u8) -> LookupKey {
        let any = self.address.port() == 0;
        let port = if any { 0 } else { server.address.port() };
        self.key(octets(server.address.ip()), port.to_be_bytes(), protocol, role::REAL)
    }

    fn server_id_key(&self, service: u16, server: &Server) -> LookupKey {
        let mut addr = [0; 16];
        addr[..server.quic.len()].copy_from_slice(&server.quic);
        self.key(addr, service.to_be_bytes(), self.server_id_len, role::SERVER_ID)
    }
}

/// Big-endian, IPv4 in its mapped form (RFC 4291 section 2.5.5.2).
pub(super) fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
