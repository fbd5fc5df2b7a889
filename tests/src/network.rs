//! Namespaces, cables, addresses and routes.
//!
//! One Ethernet segment: a bridge in a namespace of its own, the fabric.
//! Clients reach VIPs through the edge. Servers answer for a VIP straight to
//! the client, and everything else goes through the edge, their gateway.
//!
//! Or two segments, which only the edge joins: clients by `eth0`, servers by
//! `eth1`.

use std::{fmt::Write as _, fs, net::IpAddr, path::Path};

use anyhow::Result;

use crate::{
    Host, Netns,
    command::{Family, ip_batch, run},
    pass,
    plan::{self, Net},
    registry::Site,
};

/// What is to be built.
pub(crate) struct Blueprint {
    pub(crate) clients: usize,
    pub(crate) servers: usize,
    /// At least one. Client `i` has edge `i` as its gateway, around and around.
    pub(crate) edges: usize,
    /// Clients and servers on segments of their own.
    pub(crate) split: bool,
    /// A host for a manager that is not on the edge.
    pub(crate) manager: bool,
    /// On every server's loopback interface: it answers for them directly.
    pub(crate) server_vips: Vec<IpAddr>,
    /// On the edge's loopback interface.
    pub(crate) edge_vips: Vec<IpAddr>,
}

pub(crate) struct Network {
    pub(crate) clients: Vec<Host>,
    pub(crate) edge: Host,
    /// The second edge and those after it.
    pub(crate) further: Vec<Host>,
    pub(crate) manager: Option<Host>,
    pub(crate) servers: Vec<Host>,
    pub(crate) fabric: Netns,
}

/// The edge's interface on the servers' segment, as the fabric has it.
pub(crate) const EDGE_TO_SERVERS: &str = "edge-1";

impl Network {
    /// Builds it under names that begin with `id`.
    pub(crate) fn build(site: &Site, blueprint: &Blueprint) -> Result<Self> {
        let (id, dir) = (&site.id, &site.dir);
        let host = |name: String, net: Net, last: u8| -> Result<Host> {
            let dir = dir.join(&name);
            fs::create_dir_all(&dir)?;
            let netns = Netns::named(format!("{id}-{name}"));
            Ok(Host { name, netns, v4: net.v4(last), v6: net.v6(last), dir })
        };
        let network = Self {
            clients: (0..blueprint.clients)
                .map(|i| {
                    let name =
                        if i == 0 { "client".to_owned() } else { format!("client-{}", i + 1) };
                    host(name, Net::Clients, plan::host(i))
                })
                .collect::<Result<_>>()?,
            edge: host("edge".to_owned(), Net::Servers, plan::EDGE)?,
            further: (1..blueprint.edges)
                .map(|i| host(format!("edge-{}", i + 1), Net::Servers, edge_part(i)))
                .collect::<Result<_>>()?,
            manager: blueprint
                .manager
                .then(|| host("manager".to_owned(), Net::Servers, plan::MANAGER))
                .transpose()?,
            servers: (0..blueprint.servers)
                .map(|i| host(format!("server-{}", i + 1), Net::Servers, plan::host(i)))
                .collect::<Result<_>>()?,
            fabric: Netns::named(format!("{id}-fabric")),
        };
        network.cable(blueprint, &site.bpffs())?;
        network.address(blueprint)?;
        Ok(network)
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Host> {
        let others = self.edges().chain(&self.manager).chain(&self.servers);
        self.clients.iter().chain(others)
    }

    fn edges(&self) -> impl Iterator<Item = &Host> {
        [&self.edge].into_iter().chain(&self.further)
    }

    fn cable(&self, blueprint: &Blueprint, bpffs: &Path) -> Result<()> {
        let fabric = &self.fabric;
        let mut namespaces = format!("netns add {}\n", fabric.name());
        let mut cables = String::new();
        for bridge in if blueprint.split { &["br0", "br1"][..] } else { &["br0"] } {
            writeln!(
                cables,
                "link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
                 link set {bridge} up"
            )?;
        }
        for host in self.hosts() {
            let (name, netns) = (&host.name, host.netns.name());
            let servers_side =
                blueprint.split && host.is_on(Net::Servers) && *name != self.edge.name;
            let bridge = if servers_side { "br1" } else { "br0" };
            writeln!(namespaces, "netns add {netns}")?;
            writeln!(cables, "link add {name} type veth peer name eth0 netns {netns}")?;
            writeln!(cables, "link set {name} master {bridge} up")?;
        }
        if blueprint.split {
            let netns = self.edge.netns.name();
            writeln!(cables, "link add {EDGE_TO_SERVERS} type veth peer name eth1 netns {netns}")?;
            writeln!(cables, "link set {EDGE_TO_SERVERS} master br1 up")?;
        }
        ip_batch(None, Family::V4, &namespaces)?;
        fabric.sysctl(&[("ipv6/conf/default/disable_ipv6", "1")])?;
        for host in self.hosts() {
            host.netns.sysctl(&[
                ("ipv6/conf/default/accept_dad", "0"),
                ("ipv6/conf/default/accept_ra", "0"),
                ("ipv4/conf/all/rp_filter", "0"),
                ("ipv4/conf/default/rp_filter", "0"),
                // Thousands of short connections need their ports back.
                ("ipv4/ip_local_port_range", "10000 65000"),
            ])?;
        }
        ip_batch(Some(fabric.name()), Family::V4, &cables)?;
        let second = blueprint.split.then_some(EDGE_TO_SERVERS);
        let names = self.hosts().map(|host| host.name.as_str()).chain(second);
        let names: Vec<_> = names.collect();
        fabric.enter(|| {
            for name in names {
                // XDP sees what is on the wire only if checksums are finished
                // before, and segments are not glued together.
                run("ethtool", &["-K", name, "tx", "off"])?.stdout()?;
            }
            anyhow::Ok(())
        })?;
        for name in self.edges().map(|edge| edge.name.as_str()).chain(second) {
            pass::attach(fabric, name, bpffs)?;
        }
        for host in self.hosts() {
            host.run("ethtool", &["-K", "eth0", "tx", "off"])?.stdout()?;
        }
        if blueprint.split {
            self.edge.run("ethtool", &["-K", "eth1", "tx", "off"])?.stdout()?;
        }
        Ok(())
    }

    fn address(&self, blueprint: &Blueprint) -> Result<()> {
        for (i, client) in self.clients.iter().enumerate() {
            let edge = edge_part(i % blueprint.edges);
            configure(client, &gateway(client, Net::Clients, edge))?;
        }
        for server in &self.servers {
            let script =
                gateway(server, Net::Servers, plan::EDGE) + &on_loopback(&blueprint.server_vips);
            configure(server, &script)?;
            for (family, vips, clients) in [
                (Family::V4, Net::Vips.prefix_v4(), Net::Clients.prefix_v4()),
                (Family::V6, Net::Vips.prefix_v6(), Net::Clients.prefix_v6()),
            ] {
                let table = plan::VIP_TABLE;
                let script = format!(
                    "rule add from {vips} lookup {table}\n\
                     route add {clients} dev eth0 table {table}\n"
                );
                ip_batch(Some(server.netns.name()), family, &script)?;
            }
            // The VIP is the edge's on this segment: servers own it silently.
            server.netns.sysctl(&[
                ("ipv4/conf/all/arp_ignore", "1"),
                ("ipv4/conf/all/arp_announce", "2"),
            ])?;
        }
        if let Some(manager) = &self.manager {
            configure(manager, &gateway(manager, Net::Servers, plan::EDGE))?;
        }
        for (i, edge) in self.edges().enumerate() {
            edge.netns.sysctl(&[
                ("ipv4/ip_forward", "1"),
                ("ipv6/conf/all/forwarding", "1"),
                ("ipv4/conf/all/send_redirects", "0"),
                ("ipv4/conf/default/send_redirects", "0"),
            ])?;
            let towards_servers = if blueprint.split { "eth1" } else { "eth0" };
            let script = format!("link set {towards_servers} up\n")
                + &own_address(Net::Clients, edge_part(i), "eth0")
                + &own_address(Net::Servers, edge_part(i), towards_servers)
                + &on_loopback(&blueprint.edge_vips);
            configure(edge, &script)?;
        }
        Ok(())
    }
}

/// Last part of an edge's addresses.
fn edge_part(edge: usize) -> u8 {
    let further = u8::try_from(edge.saturating_sub(1)).expect("a few edges");
    if edge == 0 { plan::EDGE } else { plan::FURTHER_EDGE + further }
}

fn configure(host: &Host, script: &str) -> Result<()> {
    ip_batch(
        Some(host.netns.name()),
        Family::V4,
        &format!("link set lo up\nlink set eth0 up\n{script}"),
    )
}

fn own_address(net: Net, last: u8, interface: &str) -> String {
    let (v4, v6) = (net.v4(last), net.v6(last));
    format!("addr add {v4}/24 dev {interface}\naddr add {v6}/64 dev {interface} nodad\n")
}

/// Its address, and everything else through an edge.
fn gateway(host: &Host, net: Net, edge: u8) -> String {
    format!(
        "addr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad\n\
         route add 0.0.0.0/0 via {}\nroute add ::/0 via {}\n",
        host.v4,
        host.v6,
        net.v4(edge),
        net.v6(edge)
    )
}

fn on_loopback(vips: &[IpAddr]) -> String {
    vips.iter()
        .map(|vip| {
            let bits = if vip.is_ipv4() { 32 } else { 128 };
            format!("addr add {vip}/{bits} dev lo\n")
        })
        .collect()
}
