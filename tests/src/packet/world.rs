//! What the edge is configured with, in the words of the design: services,
//! their ring slots, servers, classes, refusals.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::{
    abi::{
        Backend, CLASSES, ClassRange, Config, DEFAULT_CLASS, LookupKey, LookupSlot, Policy,
        backend_state, mode, policy, role, service_flags,
    },
    classes,
    lookup::Table,
    ring::{self, Seat},
};

use super::frame::EDGE_MAC;

/// The interface on which `BPF_PROG_TEST_RUN` lets frames come in: loopback.
const INGRESS: u32 = 1;
const TCP: u8 = 6;
/// Any key will do, as long as it is not the default.
const FLOW_KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

/// A real server, as a binding of one service.
#[derive(Clone, Debug)]
pub struct Server {
    id: u16,
    address: SocketAddr,
    state: u8,
    reachable: bool,
    interface: u32,
}

/// Binding `id`, `10.0.0.<id>:8080`, on the interface that frames come in by.
pub fn server(id: u8) -> Server {
    at(id, Ipv4Addr::new(10, 0, 0, id).into())
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

    pub(super) fn row(&self) -> Backend {
        Backend {
            addr: octets(self.address.ip()),
            port: self.address.port().to_be_bytes(),
            state: self.state,
            reachable: self.reachable.into(),
            dst_mac: self.mac(),
            src_mac: EDGE_MAC,
            ifindex: self.interface,
            ..Default::default()
        }
    }
}

/// A service with its ring.
#[derive(Clone, Debug)]
pub struct Service {
    address: SocketAddr,
    mode: u8,
    moving: bool,
    servers: Vec<Server>,
    /// Binding ids, current and settled.
    pub(super) slots: Vec<[u16; 2]>,
    refusals: Vec<(u32, Refusal)>,
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

    fn new(address: &str, mode: u8) -> Self {
        let address = address.parse().unwrap_or_else(|_| panic!("`{address}` is no address"));
        Self {
            address,
            mode,
            moving: false,
            servers: Vec::new(),
            slots: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Adds a slot to the ring; a service with one slot sends every flow there.
    pub fn slot(mut self, current: &Server, settled: &Server) -> Self {
        self.slots.push([current.id, settled.id]);
        self.moving |= current.id != settled.id;
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
        self.moving |= owners[0] != owners[1];
        self.slots = owners[0].iter().zip(&owners[1]).map(|(&c, &s)| [c, s]).collect();
        current.iter().chain(settled).fold(self, Self::keeps)
    }

    /// Binds a server that owns no slot, but may have connections.
    pub fn keeps(mut self, server: &Server) -> Self {
        if server.id != 0 && self.servers.iter().all(|known| known.id != server.id) {
            self.servers.push(server.clone());
        }
        self
    }

    /// Has remembered flows, though every slot is settled.
    pub fn moving(mut self) -> Self {
        self.moving = true;
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

    pub(super) fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub(super) fn row(&self, ring_offset: u32) -> lb_common::abi::Service {
        let flag = |set: bool, flag: u16| if set { flag } else { 0 };
        lb_common::abi::Service {
            ring_offset,
            ring_len: self.slots.len() as u32,
            vip: octets(self.address.ip()),
            port: self.address.port().to_be_bytes(),
            protocol: TCP,
            mode: self.mode,
            prefix_len: 128,
            flags: flag(self.moving, service_flags::MOVING)
                | flag(!self.refusals.is_empty(), service_flags::POLICED),
            ..Default::default()
        }
    }

    /// Index within the service's policies, and the policy.
    pub(super) fn policies(&self) -> impl Iterator<Item = (u32, Policy)> {
        self.refusals.iter().map(|&(class, Refusal(policy))| (class, policy))
    }
}

/// A group of clients.
#[derive(Clone, Debug)]
struct Class {
    /// First and last address.
    sources: Vec<(u128, u128)>,
    dscp: Vec<u8>,
}

/// Everything that one generation holds.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub(super) services: Vec<Service>,
    classes: Vec<Class>,
    pub(super) epoch: u64,
    pub(super) flows_full: bool,
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
            ..Default::default()
        };
        for (index, class) in self.classes.iter().enumerate() {
            for (dscp, members) in config.class_dscp.iter_mut().enumerate() {
                if class.dscp.is_empty() || class.dscp.contains(&(dscp as u8)) {
                    *members |= 1 << index;
                }
            }
        }
        config
    }

    pub(super) fn lookup(&self) -> Table {
        let mut table = Table::new();
        let mut put = |key: LookupKey, service: usize, backend: u16| {
            let slot = LookupSlot {
                key,
                service_plus_one: service as u32 + 1,
                backend: backend.into(),
                flags: 0,
            };
            table.insert(slot, &mut Vec::new()).expect("few keys");
        };
        for (id, service) in self.services.iter().enumerate() {
            put(key(service.address, role::VIP), id, 0);
            let address = LookupKey {
                addr: octets(service.address.ip()),
                role: role::ADDRESS,
                ..Default::default()
            };
            put(address, id, 0);
            if service.mode == mode::NAT {
                for server in &service.servers {
                    put(key(server.address, role::REAL), id, server.id);
                }
            }
        }
        table
    }
}

fn key(address: SocketAddr, role: u8) -> LookupKey {
    let (addr, port) = (octets(address.ip()), address.port().to_be_bytes());
    LookupKey { addr, port, protocol: TCP, role }
}

/// Big-endian, IPv4 in its mapped form (RFC 4291 section 2.5.5.2).
pub(super) fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
