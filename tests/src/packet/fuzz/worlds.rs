//! Random configurations, and changes of them.

use super::Random;
use crate::packet::{Hop, Refusal, Server, Service, World, nobody, server, server6};

/// VIPs of each family; a prefix's are all of it.
pub(super) const VIPS: [&str; 2] = ["203.0.113.10", "203.0.113.77"];
pub(super) const VIPS6: [&str; 2] = ["[2001:db8::10]", "[2001:db8::77]"];
pub(super) const PORTS: [u16; 3] = [80, 443, 53];
/// Sources and DSCPs that classes have; none: any.
const CLASS_SOURCES: [&[[&str; 2]]; 4] = [
    &[],
    &[["198.51.100.7", "198.51.100.7"]],
    &[["192.0.2.0", "192.0.2.255"], ["2001:db8:c::", "2001:db8:c::7"]],
    &[["0.0.0.0", "198.51.100.6"], ["2001:db8:c::8", "ffff::"]],
];
const CLASS_DSCP: [&[u8]; 3] = [&[], &[0], &[46, 10, 63]];

/// What names a server in QUIC connection ids: as many of these bytes as its
/// service's ids have.
pub(super) fn server_name(id: u8) -> [u8; 8] {
    [id, 0xab, id ^ 0xff, 1, 2, 3, 4, 5]
}

/// A service's fixed part.
#[derive(Clone, Debug)]
struct Plan {
    service: Service,
    /// Binding ids of its servers, and their family.
    servers: Vec<u8>,
    v6_servers: bool,
    /// Slots, current and settled, as indices of servers; beyond them: nobody.
    slots: Vec<[usize; 2]>,
    /// Of each slot, whether flows may be remembered on it.
    touched: Vec<bool>,
    /// Bytes of server ids in connection ids.
    id_len: u8,
    /// It is there now; others come later, or again.
    there: bool,
}

/// A site that changes step by step.
pub(super) struct Worlds {
    plans: Vec<Plan>,
    /// Indices of sources and DSCPs.
    classes: Vec<[usize; 2]>,
    epoch: u64,
}

impl Worlds {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut places = Vec::new();
        for v6 in [false, true] {
            for vip in if v6 { VIPS6 } else { VIPS } {
                for port in PORTS.into_iter().chain([0]) {
                    places.push((v6, vip, port, None));
                }
            }
            for (len, port, v4) in
                [(16, 0, "203.0.0.0"), (24, 80, "203.0.113.0"), (28, 443, "203.0.113.0")]
            {
                places.push((v6, if v6 { "[2001:db8::]" } else { v4 }, port, Some(len)));
            }
        }
        let mut next = 1;
        let mut plans = Vec::new();
        for (v6, vip, port, prefix) in places {
            if !random.one_in(3) {
                continue;
            }
            let address = format!("{vip}:{port}");
            let kind = random.of(&KINDS);
            plans.push(plan(random, v6, &address, prefix, kind, &mut next));
            // The other protocol may be another service's.
            if kind == Kind::Tcp && random.one_in(3) {
                let kind = random.of(&[Kind::Udp, Kind::Tracked, Kind::Quic]);
                plans.push(plan(random, v6, &address, prefix, kind, &mut next));
            }
        }
        let class = |random: &mut Random| {
            [random.below(CLASS_SOURCES.len()), random.below(CLASS_DSCP.len())]
        };
        let classes = (0..random.below(4)).map(|_| class(random)).collect();
        Self { plans, classes, epoch: 0 }
    }

    /// The site after another change.
    pub(super) fn next(&mut self, random: &mut Random) -> World {
        self.epoch += random.below(2) as u64;
        let answers = if random.one_in(16) { 0 } else { 1_000_000 };
        let mut world = World::new().epoch(self.epoch).answers(answers);
        for &[sources, dscp] in &self.classes {
            world = world.class(CLASS_SOURCES[sources], CLASS_DSCP[dscp]);
        }
        if random.one_in(8) {
            world = world.flows_full();
        }
        for plan in &mut self.plans {
            plan.there ^= random.one_in(8);
            let service = plan.change(random);
            if plan.there {
                world = world.service(service);
            }
        }
        routed(random, world)
    }
}

/// Prefixes that hold clients, each within another.
const PREFIXES: [&str; 8] = [
    "0.0.0.0/0",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "198.51.100.7/32",
    "::/0",
    "2001:db8:c::/64",
    "2001:db8:c::8/127",
    "2001:db8:c::7/128",
];

/// The world with ways back to clients, or none of its own.
fn routed(random: &mut Random, mut world: World) -> World {
    if random.one_in(8) {
        return world;
    }
    for prefix in PREFIXES {
        if random.one_in(3) {
            continue;
        }
        let hop = random.of(&[Hop::gateway(), Hop::on_link(), Hop::kernel(), Hop::local()]);
        let hop = if random.one_in(10) { Hop::none() } else { hop };
        let hop = if random.one_in(2) { hop.behind(7) } else { hop };
        world = world.route(prefix, hop.mtu(random.of(&[0, 0, 100, 1300])));
    }
    for client in ["192.0.2.9", "198.51.100.7", "2001:db8:c::8"] {
        for interface in [1, 7] {
            if random.one_in(2) {
                world = world.neighbor(client, interface, [2, 0, 0, 0, 9, random.below(9) as u8]);
            }
        }
    }
    world
}

/// What a service takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    Udp,
    Tracked,
    Both,
    Quic,
}

const KINDS: [Kind; 6] = [Kind::Tcp, Kind::Tcp, Kind::Udp, Kind::Tracked, Kind::Both, Kind::Quic];

fn plan(
    random: &mut Random,
    v6: bool,
    address: &str,
    prefix: Option<u8>,
    kind: Kind,
    next: &mut u8,
) -> Plan {
    let modes = [Service::l2, Service::ipip, Service::gue, Service::nat];
    // A prefix has no single address for replies to come from.
    let make = modes[random.below(if prefix.is_some() { 3 } else { 4 })];
    let tunnel = make("203.0.113.1:1").is_tunnel();
    let mut service = make(address);
    if let Some(len) = prefix {
        service = service.prefix(if v6 { 2 * len } else { len });
    }
    let id_len = if random.one_in(3) { 0 } else { 1 + random.below(8) as u8 };
    service = match kind {
        Kind::Tcp => service,
        Kind::Udp => service.udp(),
        Kind::Tracked => service.tracked(),
        Kind::Both if random.one_in(2) => service.quic(id_len).tcp_and_udp(),
        Kind::Both => service.tcp_and_udp(),
        Kind::Quic => service.quic(id_len),
    };
    if random.one_in(3) {
        service = service.by_client();
    }
    if random.one_in(3) {
        service = service.echoes();
    }
    for _ in 0..random.below(3) {
        let refusal = match random.below(4) {
            0 => Refusal::reset(1.0).silent(),
            1 => Refusal::reset(0.5).by_client(),
            _ => Refusal::reset(0.5),
        };
        service = match random.below(6) {
            class @ 0..=2 => service.refuses_class(class as u32, refusal),
            _ => service.refuses(refusal),
        };
    }
    let count = 1 + random.below(3);
    let servers = (0..count).map(|_| std::mem::replace(next, *next + 1)).collect();
    let settled = |random: &mut Random| random.below(count + 1);
    let slots: Vec<_> = (0..[0, 1, 7, 31][random.below(4)])
        .map(|_| {
            let owner = settled(random);
            [owner, owner]
        })
        .collect();
    let touched = vec![false; slots.len()];
    let v6_servers = if tunnel { random.one_in(2) } else { v6 };
    let id_len = service.server_id_len;
    Plan { service, servers, v6_servers, slots, touched, id_len, there: !random.one_in(4) }
}

impl Plan {
    fn change(&mut self, random: &mut Random) -> Service {
        let count = self.servers.len();
        let servers: Vec<Server> = self.servers.iter().map(|&id| self.server(random, id)).collect();
        for slot in &mut self.slots {
            match random.below(8) {
                0 | 1 => slot[0] = random.below(count + 1),
                2 => slot[1] = slot[0],
                _ => {}
            }
        }
        let nobody = nobody();
        let owner = |index: usize| servers.get(index).unwrap_or(&nobody);
        let mut service = self.service.clone();
        for &[current, settled] in &self.slots {
            service = service.slot(owner(current), owner(settled));
        }
        for server in &servers {
            // One that owns nothing may be unbound, whatever is remembered of it.
            if !random.one_in(8) {
                service = service.keeps(server);
            }
        }
        // At rest now and then; the bits of before then mean nothing.
        let rested = random.one_in(8);
        for (touched, [current, settled]) in self.touched.iter_mut().zip(&self.slots) {
            *touched = current != settled || *touched && !rested;
        }
        let service = service.touched(|slot| self.touched[slot]);
        // What was remembered counts for as long as a service is moving.
        if random.one_in(2) { service.moving_elsewhere() } else { service }
    }

    fn server(&self, random: &mut Random, id: u8) -> Server {
        let mut server = if self.v6_servers { server6(id) } else { server(id) };
        match random.below(12) {
            0 => server = server.broken(),
            1 | 2 => server = server.draining(),
            5 => server = server.weightless(),
            3 => server = server.unreachable(),
            4 => server = server.behind(7),
            _ => {}
        }
        if random.one_in(4) {
            server = server.mtu(random.of(&[600, 1300, 1500]));
        }
        server.quic(&server_name(id)[..usize::from(self.id_len)])
    }
}
