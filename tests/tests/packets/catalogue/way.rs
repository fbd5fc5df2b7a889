//! The ways from a client to a server: a mode, and the families of both ends.

use lab::packet::{Packet, Server, Service, World, server, server6, tcp, udp};

use crate::{CLIENT, CLIENT6, VIP, VIP6};

/// VIPs whose service carries QUIC.
const QUIC_VIP: &str = "203.0.113.10:443";
const QUIC_VIP6: &str = "[2001:db8::10]:443";

/// One way. Its service takes TCP and UDP; beside it is one that takes QUIC.
pub(super) struct Way {
    mode: &'static str,
    make: fn(&str) -> Service,
    /// The client's family, and the server's.
    pub(super) v6: bool,
    to_v6: bool,
}

const fn way(mode: &'static str, make: fn(&str) -> Service, v6: bool, to_v6: bool) -> Way {
    Way { mode, make, v6, to_v6 }
}

/// Every way there is.
pub(super) const WAYS: [Way; 12] = [
    way("l2", Service::l2, false, false),
    way("l2", Service::l2, true, true),
    way("nat", Service::nat, false, false),
    way("nat", Service::nat, true, true),
    way("ipip", Service::ipip, false, false),
    way("ipip", Service::ipip, true, true),
    way("ipip", Service::ipip, false, true),
    way("ipip", Service::ipip, true, false),
    way("gue", Service::gue, false, false),
    way("gue", Service::gue, true, true),
    way("gue", Service::gue, false, true),
    way("gue", Service::gue, true, false),
];

impl Way {
    pub(super) fn name(&self) -> String {
        let family = |v6| if v6 { "IPv6" } else { "IPv4" };
        format!("{} {} to {}", self.mode, family(self.v6), family(self.to_v6))
    }

    pub(super) fn client(&self) -> &'static str {
        if self.v6 { CLIENT6 } else { CLIENT }
    }

    pub(super) fn vip(&self) -> &'static str {
        if self.v6 { VIP6 } else { VIP }
    }

    pub(super) fn quic_vip(&self) -> &'static str {
        if self.v6 { QUIC_VIP6 } else { QUIC_VIP }
    }

    pub(super) fn tcp(&self) -> Packet {
        tcp(self.client(), self.vip())
    }

    pub(super) fn udp(&self) -> Packet {
        udp(self.client(), self.vip())
    }

    pub(super) fn server(&self) -> Server {
        if self.to_v6 { server6(2) } else { server(1) }
    }

    /// Bytes that go before a packet.
    pub(super) fn overhead(&self) -> usize {
        let ip = if self.to_v6 { 40 } else { 20 };
        match self.mode {
            "ipip" => ip,
            "gue" => ip + 8,
            _ => 0,
        }
    }

    /// Both services, of this one server.
    pub(super) fn world(&self, server: &Server) -> World {
        World::new()
            .service((self.make)(self.vip()).tcp_and_udp().slot(server, server))
            .service((self.make)(self.quic_vip()).quic(0).slot(server, server))
    }

    /// A client's packet, as the server gets it.
    pub(super) fn out(&self, world: &World, packet: &Packet) -> Packet {
        let server = self.server();
        match self.mode {
            "l2" => packet.clone().sent_to(&server),
            "nat" => packet.clone().to(server.address()).sent_to(&server),
            "ipip" => packet.ipip(world, &server),
            _ => packet.gue(world, &server),
        }
    }

    /// An ICMP error about what was sent to `flow`'s client, as the server
    /// gets it.
    pub(super) fn error_out(&self, world: &World, error: &Packet, flow: &Packet) -> Packet {
        let server = self.server();
        match self.mode {
            "l2" => error.clone().sent_to(&server),
            "nat" => {
                let vip = self.vip().parse().expect("an address");
                let readdressed = error.clone().requoted(vip, server.address());
                readdressed.to(server.address()).sent_to(&server)
            }
            "ipip" => error.ipip_as(world, &server, flow),
            _ => error.gue_as(world, &server, flow),
        }
    }
}

/// Numbers of VLAN tags.
pub(super) const TAGS: [usize; 3] = [0, 1, 2];

/// Behind so many VLAN tags.
pub(super) fn tagged(packet: Packet, tags: usize) -> Packet {
    match tags {
        0 => packet,
        1 => packet.vlan(5),
        _ => packet.service_vlan(6).vlan(5),
    }
}
