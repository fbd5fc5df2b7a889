//! What is measured.

use lb_common::abi::Reason;

use crate::packet::{Packet, Refusal, Server, Service, World, server, server6, tcp};

/// Slots of each service's ring, and of the pool that holds a generation's rings.
const RING: u32 = 65_537;
pub(super) const RING_SLOTS: u32 = 10 * (RING + 1);
/// Flows that can be remembered.
pub(super) const ROOM: u32 = 262_144;
const FLOWS: [u32; 2] = [1, 100_000];
const REMEMBERED: &str = "moving, remembered";

/// One measurement.
pub(super) struct Case {
    pub(super) name: String,
    /// The frame that every flow is begun with, once, where that matters.
    pub(super) begin: Option<Vec<u8>>,
    /// The frame that is measured, of the first flow.
    pub(super) frame: Vec<u8>,
    pub(super) flows: u32,
    pub(super) ipv6: bool,
    /// Flows differ in their destination.
    pub(super) to_client: bool,
    /// Why every packet leaves.
    pub(super) reason: Reason,
}

/// A family's addresses.
struct Family {
    name: &'static str,
    client: &'static str,
    real: &'static str,
    l2: &'static str,
    nat: &'static str,
    closed: &'static str,
    moving: &'static str,
    remembered: &'static str,
    other: &'static str,
}

const IPV4: Family = Family {
    name: "IPv4",
    client: "198.18.0.0:1024",
    real: "10.0.0.1:8080",
    l2: "203.0.113.10:80",
    nat: "203.0.113.11:80",
    closed: "203.0.113.12:80",
    moving: "203.0.113.13:80",
    remembered: "203.0.113.14:80",
    other: "192.0.2.1:80",
};
const IPV6: Family = Family {
    name: "IPv6",
    client: "[2001:db8:c::]:1024",
    real: "[fd00::65]:8080",
    l2: "[2001:db8::10]:80",
    nat: "[2001:db8::11]:80",
    closed: "[2001:db8::12]:80",
    moving: "[2001:db8::13]:80",
    remembered: "[2001:db8::14]:80",
    other: "[2001:db8::99]:80",
};

/// A hundred servers behind five services in each family.
pub(super) fn world() -> World {
    let v4: Vec<Server> = (1..=100).map(server).collect();
    let v6: Vec<Server> = (101..=200).map(server6).collect();
    [(&IPV4, v4), (&IPV6, v6)].into_iter().fold(World::new(), |world, (family, servers)| {
        let at_rest = |service: Service| service.ring(&servers, &servers, RING);
        let moving = |service: Service| service.ring(&servers[50..], &servers[..50], RING);
        world
            .service(at_rest(Service::l2(family.l2)))
            .service(at_rest(Service::nat(family.nat)))
            .service(at_rest(Service::l2(family.closed).refuses(Refusal::reset(1.0))))
            .service(moving(Service::l2(family.moving)))
            .service(moving(Service::l2(family.remembered)))
    })
}

/// Every kind of packet, in both families, at one flow and at many.
pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in [&IPV4, &IPV6] {
        let from_client = |to| tcp(family.client, to);
        let reply = tcp(family.real, family.client).ack(1);
        let kinds: [(&str, Packet, Reason); 8] = [
            ("established, l2", from_client(family.l2).ack(1), Reason::ForwardEstablished),
            ("established, nat", from_client(family.nat).ack(1), Reason::ForwardEstablished),
            ("reply, nat", reply, Reason::ForwardReply),
            ("new connection", from_client(family.l2).syn(), Reason::ForwardNew),
            ("RST", from_client(family.closed).syn(), Reason::RefusedReset),
            ("not ours", from_client(family.other).ack(1), Reason::NotOurs),
            ("moving, untracked", from_client(family.moving).ack(1), Reason::ForwardEstablished),
            (REMEMBERED, from_client(family.remembered).ack(1), Reason::ForwardEstablished),
        ];
        for (kind, packet, reason) in kinds {
            let syn = || from_client(family.remembered).syn().bytes();
            cases.extend(FLOWS.map(|flows| Case {
                name: format!("{kind}, {}, {}", family.name, plural(flows)),
                begin: (kind == REMEMBERED).then(syn),
                frame: packet.bytes(),
                flows,
                ipv6: family.name == IPV6.name,
                to_client: reason == Reason::ForwardReply,
                reason,
            }));
        }
    }
    cases
}

fn plural(flows: u32) -> String {
    if flows == 1 { "1 flow".into() } else { format!("{flows} flows") }
}
