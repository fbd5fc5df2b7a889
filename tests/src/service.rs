//! Services, as a scenario asks for them.

use std::net::{IpAddr, SocketAddr};

use crate::Host;

/// A virtual server of the lab. Every server of the lab offers it.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) name: String,
    pub(crate) mode: &'static str,
    pub(crate) v6: bool,
    /// Its backends' addresses are IPv6 ones, whatever its own.
    over_v6: bool,
    /// Of the VIP, and of the servers where they share it.
    port: u16,
    /// Servers have server ids for it.
    pub(crate) server_ids: bool,
    /// Lines of its `[[service]]` table and of tables below it.
    pub(crate) settings: String,
}

/// A service by MAC rewrite and direct server return.
pub fn l2(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        mode: "l2",
        v6: false,
        over_v6: false,
        port: VIP_PORT,
        server_ids: false,
        settings: String::new(),
    }
}

/// A service by address rewrite in both directions.
pub fn nat(name: &str) -> Service {
    Service { mode: "nat", ..l2(name) }
}

/// A service in tunnels of IP, with direct server return.
pub fn ipip(name: &str) -> Service {
    Service { mode: "ipip", ..l2(name) }
}

/// A service in tunnels of UDP, with direct server return.
pub fn gue(name: &str) -> Service {
    Service { mode: "gue", ..l2(name) }
}

impl Service {
    /// Over IPv6.
    #[must_use]
    pub fn v6(self) -> Self {
        Self { v6: true, ..self }
    }

    /// With tunnels over IPv6.
    #[must_use]
    pub fn over_v6(self) -> Self {
        Self { over_v6: true, ..self }
    }

    /// At another port than 80. An agent counts the connections of a port: a
    /// service with one of its own has a count of its own.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Of QUIC, routed by server ids of four bytes: see [`crate::Host::server_id`].
    #[must_use]
    pub fn quic_by_server_id(self) -> Self {
        let service = Self { server_ids: true, ..self };
        service.settings("protocol = \"tcp+udp\"\nudp = \"quic\"\nserver_id_bytes = 4")
    }

    pub(crate) fn is_nat(&self) -> bool {
        self.mode == "nat"
    }

    pub(crate) fn is_tunnel(&self) -> bool {
        matches!(self.mode, "ipip" | "gue")
    }

    /// More TOML for its `[[service]]` table, tables below it included.
    #[must_use]
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self.settings.push('\n');
        self
    }

    /// Port that the servers listen on: the VIP's port, or with `nat` one of its own.
    pub(crate) fn server_port(&self, index: usize) -> u16 {
        if self.is_nat() {
            8080 + u16::try_from(index).expect("fewer than 200 services")
        } else {
            self.port
        }
    }
}

/// A VIP's port, where a scenario does not say.
pub(crate) const VIP_PORT: u16 = 80;

/// A [`Service`] with its place in the lab.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) service: Service,
    /// VIP and port.
    pub(crate) address: SocketAddr,
    /// Port on the servers.
    pub(crate) server_port: u16,
}

impl Placed {
    pub(crate) fn new(service: Service, index: usize) -> Self {
        let vip: IpAddr = crate::plan::vip(index, service.v6);
        let server_port = service.server_port(index);
        Self { address: SocketAddr::new(vip, service.port), service, server_port }
    }
    /// Address and port of `server` in this service.
    pub(crate) fn backend(&self, server: &Host) -> SocketAddr {
        (server.address(self.service.v6 || self.service.over_v6), self.server_port).into()
    }
}
