//! Many services and many backends, and the same flows spread over them.
//!
//! Every service has a ring of the default size. A thousand services of a
//! hundred backends are more bindings than an edge has ids for.

use lb_common::abi::Reason;

use super::cases::{Case, RING, Site};
use crate::packet::{Packet, Service, World, server_of_many, tcp};

/// Services, and backends of each.
const SITES: [(u16, u16); 6] = [(1, 10), (1, 100), (1, 1000), (100, 10), (100, 100), (1000, 10)];
const FLOWS: u32 = 10_000;
const CLIENT: &str = "198.18.0.0:1024";
const VIP: &str = "203.0.113.10";
/// Of the first service; the others' follow.
const PORT: u16 = 2000;

pub(super) fn sites() -> Vec<Site> {
    SITES.iter().map(|&(services, backends)| site(services, backends)).collect()
}

fn site(services: u16, backends: u16) -> Site {
    let case = |kind: &str, packet: Packet, reason| Case {
        name: format!("{kind}/ipip/v4/services={services}/backends={backends}/flows={FLOWS}/rest"),
        begin: None,
        frame: packet.bytes(),
        flows: FLOWS,
        services: services.into(),
        ipv6: false,
        to_client: false,
        overhead: 20,
        reason,
    };
    let first = tcp(CLIENT, &format!("{VIP}:{PORT}"));
    let cases = vec![
        case("established", first.clone().ack(1), Reason::ForwardEstablished),
        case("new", first.syn(), Reason::ForwardNew),
    ];
    Site { world: world(services, backends), services: services.into(), cases }
}

fn world(services: u16, backends: u16) -> World {
    (0..services).fold(World::new(), |world, index| {
        let first = 1 + index * backends;
        let servers: Vec<_> = (first..first + backends).map(server_of_many).collect();
        let service = Service::ipip(&format!("{VIP}:{}", PORT + index));
        world.service(service.ring(&servers, &servers, RING))
    })
}
