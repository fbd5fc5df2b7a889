//! Random configurations, and changes of them.

use super::Random;
use crate::packet::{Hop, Refusal, Server, Service, World, nobody, server, server6};

/// VIPs of each family; a prefix's are all of it.
pub(super) const VIPS: [&str; 2] = ["203.0.113.10", "203.0.113.77"];
pub(super) const VIPS6: [&str; 2] = ["[2001:db8::10]", "[2001:db8::77]"];
pub(super) const PORTS: [u16; 3] = [80, 443, 53];
/// Length of server ids in QUIC connection ids.
pub(super) const ID_LEN: u8 = 2;

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
    quic: bool,
}

/// A site that changes step by step.
pub(super) struct Worlds {
    plans: Vec<Plan>,
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
            if random.one_in(3) {
                plans.push(plan(random, v6, &format!("{vip}:{port}"), prefix, &mut next));
            }
        }
        Self { plans, epoch: 0 }
    }

    /// The site after another change.
    pub(super) fn next(&mut self, random: &mut Random) -> World {
        self.epoch += random.below(2) as u64;
        let mut world = World::new().epoch(self.epoch).answers(1_000_000);
        if random.one_in(8) {
            world = world.flows_full();
        }
        for plan in &mut self.plans {
            world = world.service(plan.change(random));
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

fn plan(random: &mut Random, v6: bool, address: &str, prefix: Option<u8>, next: &mut u8) -> Plan {
    let modes = [Service::l2, Service::ipip, Service::gue, Service::nat];
    // A prefix has no single address for replies to come from.
    let make = modes[random.below(if prefix.is_some() { 3 } else { 4 })];
    let tunnel = make("203.0.113.1:1").is_tunnel();
    let mut service = make(address);
    if let Some(len) = prefix {
        service = service.prefix(if v6 { 2 * len } else { len });
    }
    let mut quic = false;
    service = match random.below(6) {
        0 => service.udp(),
        1 => service.tracked(),
        2 => service.tcp_and_udp(),
        3 => {
            quic = true;
            service.quic(if random.one_in(2) { ID_LEN } else { 0 })
        }
        _ => service,
    };
    if random.one_in(3) {
        service = service.by_client();
    }
    if random.one_in(3) {
        service = service.echoes();
    }
    match random.below(6) {
        0 => service = service.refuses(Refusal::reset(0.5)),
        1 => service = service.refuses(Refusal::reset(1.0).silent()),
        2 => service = service.refuses(Refusal::reset(0.5).by_client()),
        _ => {}
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
    Plan { service, servers, v6_servers, slots, touched, quic }
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
            service = service.keeps(server);
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
        if self.quic { server.quic(&[0xab, id]) } else { server }
    }
}
