//! What is measured: `KIND/MODE/FAMILY/flows=N/STATE`.

use lb_common::abi::Reason;

use crate::packet::{Hop, Packet, Refusal, Server, Service, World, server, server6, tcp};

/// Slots of each service's ring.
pub(super) const RING: u32 = 65_537;
const FLOWS: [u32; 4] = [1, 10_000, 100_000, 1_000_000];
/// What fits the table of remembered flows.
const REMEMBERED: [u32; 3] = [1, 10_000, 100_000];
/// What fits, of both families, the table of clients on a link.
const NEIGHBORS: [u32; 2] = [1, 8000];
/// Prefixes of a network that has grown.
const PREFIXES: u32 = 100;

/// One measurement.
pub(super) struct Case {
    pub(super) name: String,
    /// The frame that every flow is begun with, once, where that matters.
    pub(super) begin: Option<Vec<u8>>,
    /// The frame that is measured, of the first flow.
    pub(super) frame: Vec<u8>,
    pub(super) flows: u32,
    /// Services that they are for, whose ports follow each other.
    pub(super) services: u32,
    pub(super) ipv6: bool,
    /// Flows differ in their destination.
    pub(super) to_client: bool,
    /// Bytes that the program puts before the frame.
    pub(super) overhead: u32,
    /// Why every packet leaves.
    pub(super) reason: Reason,
}

/// A world, and what is measured in it.
pub(super) struct Site {
    pub(super) world: World,
    /// Services in it; each has a ring.
    pub(super) services: u32,
    pub(super) cases: Vec<Case>,
}

/// A forwarding mode, with the bytes that it puts before packets of a family.
type Mode = (&'static str, fn(&str) -> Service, [u32; 2]);

const MODES: [Mode; 4] = [
    ("l2", Service::l2, [0, 0]),
    ("nat", Service::nat, [0, 0]),
    ("ipip", Service::ipip, [20, 40]),
    ("gue", Service::gue, [28, 48]),
];

/// A family's addresses.
struct Family {
    name: &'static str,
    client: &'static str,
    /// On a link of the edge, and behind a route that the kernel is asked for.
    neighbor: &'static str,
    asked: &'static str,
    real: &'static str,
    /// Of services; ports tell them apart.
    vip: &'static str,
    other: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family {
        name: "v4",
        client: "198.18.0.0:1024",
        neighbor: "10.8.0.0:1024",
        asked: "198.19.0.0:1024",
        real: "10.0.0.1:8080",
        vip: "203.0.113.10",
        other: "192.0.2.1:80",
    },
    Family {
        name: "v6",
        client: "[2001:db8:c::]:1024",
        neighbor: "[2001:db8:d::]:1024",
        asked: "[2001:db8:c:0:1::]:1024",
        real: "[fd00::65]:8080",
        vip: "[2001:db8::10]",
        other: "[2001:db8::99]:80",
    },
];

/// Interface that replies leave by; not the one that they come in by.
const OTHER: u32 = 7;
/// Ports of services: at rest and moving by mode, then two of their own.
const CLOSED: u16 = 90;
const TRACKED: u16 = 91;

impl Family {
    /// The service of a mode, at rest or moving.
    fn at(&self, mode: usize, moving: bool) -> String {
        self.port(80 + 2 * mode as u16 + u16::from(moving))
    }

    fn port(&self, port: u16) -> String {
        format!("{}:{port}", self.vip)
    }
}

/// Every mode and kind of packet, to servers behind this interface.
pub(super) fn site(interface: u32) -> Site {
    Site { world: world(interface), services: 20, cases: all() }
}

/// A hundred servers behind every service. Those that move have lost a tenth.
fn world(interface: u32) -> World {
    let v4: Vec<Server> = (1..=100).map(|id| server(id).behind(interface)).collect();
    let v6: Vec<Server> = (101..=200).map(|id| server6(id).behind(interface)).collect();
    FAMILIES.iter().zip([v4, v6]).fold(ways_back(), |world, (family, servers)| {
        let rest = |service: Service| service.ring(&servers, &servers, RING);
        let moving = |service: Service| service.ring(&servers[10..], &servers, RING);
        let modes = MODES.iter().enumerate();
        let world = modes.fold(world, |world, (index, (_, make, _))| {
            world
                .service(rest(make(&family.at(index, false))))
                .service(moving(make(&family.at(index, true))))
        });
        let all_move = Service::l2(&family.port(TRACKED));
        world
            .service(rest(Service::l2(&family.port(CLOSED)).refuses(Refusal::reset(1.0))))
            .service(all_move.ring(&servers[50..], &servers[..50], RING))
    })
}

/// The routes to clients.
fn ways_back() -> World {
    let gateway = Hop::gateway().behind(OTHER);
    let mut world = World::new()
        .route("0.0.0.0/0", gateway)
        .route("::/0", gateway)
        .route("198.19.0.0/16", Hop::kernel())
        .route("2001:db8:c:0:1::/80", Hop::kernel())
        .route("10.8.0.0/16", Hop::on_link().behind(OTHER))
        .route("2001:db8:d::/64", Hop::on_link().behind(OTHER));
    for n in 0..PREFIXES {
        let there = gateway.mtu(1400 + n as u16);
        world = world.route(&format!("172.16.{n}.0/24"), there);
        world = world.route(&format!("2001:db8:{:x}::/48", 0x100 + n), there);
    }
    for n in 0..NEIGHBORS[1] {
        let mac = [2, 0, 0, 9, (n >> 8) as u8, n as u8];
        world = world.neighbor(&format!("10.8.{}.{}", n >> 8, n & 0xff), OTHER, mac);
        world = world.neighbor(&format!("2001:db8:d::{n:x}"), OTHER, mac);
    }
    world
}

/// Every kind of packet, in both families, at one flow and at many.
fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, family) in FAMILIES.iter().enumerate() {
        let from_client = |to: &str| tcp(family.client, to);
        let mut add = |kind: &str, flows: &[u32], packet: &Packet, state: &str, case: &Case| {
            cases.extend(flows.iter().map(|&flows| Case {
                name: format!("{kind}/{}/flows={flows}/{state}", family.name),
                frame: packet.bytes(),
                flows,
                ipv6: family.name == "v6",
                begin: case.begin.clone(),
                ..*case
            }));
        };
        let plain = |reason| Case {
            name: String::new(),
            begin: None,
            frame: Vec::new(),
            flows: 1,
            services: 1,
            ipv6: false,
            to_client: false,
            overhead: 0,
            reason,
        };
        for (mode, (name, _, overhead)) in MODES.iter().enumerate() {
            for (moving, state) in [(false, "rest"), (true, "moving")] {
                let to = family.at(mode, moving);
                let way = |reason| Case { overhead: overhead[index], ..plain(reason) };
                let ack = from_client(&to).ack(1);
                let case = way(Reason::ForwardEstablished);
                add(&format!("established/{name}"), &FLOWS, &ack, state, &case);
                if !moving {
                    let (syn, case) = (from_client(&to).syn(), way(Reason::ForwardNew));
                    add(&format!("new/{name}"), &FLOWS, &syn, state, &case);
                }
            }
        }
        let reply = tcp(family.real, family.client).ack(1);
        let case = Case { to_client: true, ..plain(Reason::ForwardReply) };
        add("reply/nat", &FLOWS, &reply, "rest", &case);
        let reply = tcp(family.real, family.neighbor).ack(1);
        add("reply-on-link/nat", &NEIGHBORS, &reply, "rest", &case);
        let reply = tcp(family.real, family.asked).ack(1);
        add("reply-by-kernel/nat", &FLOWS, &reply, "rest", &case);
        let refused = from_client(&family.port(CLOSED)).syn();
        add("rst/l2", &FLOWS, &refused, "rest", &plain(Reason::RefusedReset));
        let other = from_client(family.other).ack(1);
        add("not-ours/none", &FLOWS, &other, "rest", &plain(Reason::NotOurs));
        let remembered = from_client(&family.port(TRACKED));
        let begin = Some(remembered.clone().syn().bytes());
        let case = Case { begin, ..plain(Reason::ForwardEstablished) };
        add("remembered/l2", &REMEMBERED, &remembered.ack(1), "moving", &case);
    }
    cases
}
