//! Writes the configuration files of the lab's `sluice` processes.

use std::{fmt::Write as _, fs, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{Host, registry::Site, service::Placed};

/// The manager's port.
const MANAGER_PORT: u16 = 7400;

/// What the lab's configuration files are made of.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where certificates are, in a guarded lab.
    pub(crate) certificates: Option<PathBuf>,
    /// Whether manager and edge are processes of their own.
    pub(crate) apart: bool,
    /// The manager's learning period.
    pub(crate) learning: String,
    /// Of the edge.
    pub(crate) interfaces: &'static [&'static str],
    /// Host of the manager.
    pub(crate) manager: SocketAddr,
    pub(crate) services: Vec<Placed>,
    /// More lines of `[manager]`.
    pub(crate) manager_extra: String,
    /// More lines of `[edge]`.
    pub(crate) edge_extra: String,
    /// The line of `[agent]` with its interval.
    pub(crate) agent_interval: String,
    /// More lines of `[agent]`.
    pub(crate) agent_extra: String,
    /// More lines of each `[[agent.bind]]`.
    pub(crate) bind_extra: String,
    /// More of each bind's `check`.
    pub(crate) check_extra: String,
    /// More tables.
    pub(crate) tables: String,
}

/// Where the manager on `host` listens.
pub(crate) fn manager_address(host: &Host) -> SocketAddr {
    (host.address(false), MANAGER_PORT).into()
}

/// Unix socket of the manager.
pub(crate) fn socket(site: &Site) -> PathBuf {
    manager_dir(site).join("sluice.sock")
}

/// Where the manager writes.
pub(crate) fn manager_dir(site: &Site) -> PathBuf {
    site.dir.join("manager")
}

/// What the edge on a host of that name pins is below this.
pub(crate) fn pins(site: &Site, host: &str) -> PathBuf {
    // That of the first edge has the program's default name.
    site.bpffs().join(host.replacen("edge", "sluice", 1))
}

/// Where a server's agent takes events from applications, by lines or as a
/// `NOTIFY_SOCKET`.
pub(crate) fn notify_socket(site: &Site, server: &Host, systemd: bool) -> PathBuf {
    let kind = if systemd { "systemd" } else { "notify" };
    site.dir.join(format!("{}.{kind}.sock", server.name()))
}

impl Settings {
    /// For `sluice run`, or, with roles apart, `sluice manager`.
    pub(crate) fn write_manager(&self, site: &Site) -> Result<PathBuf> {
        let mut toml = format!(
            "[manager]\n\
             listen = \"{}\"\n\
             # The lab's networks are nobody's.\n\
             insecure = true\n\
             socket = \"{}\"\n\
             intent = \"{}\"\n\
             learning = \"{}\"\n\
             {}\n",
            self.manager,
            socket(site).display(),
            manager_dir(site).join("intent.json").display(),
            self.learning,
            self.manager_extra
        );
        toml.push_str(&self.tls("manager"));
        if !self.apart {
            toml.push_str(&self.edge(site, "edge"));
        }
        for placed in &self.services {
            let mode = placed.service.mode;
            write!(
                toml,
                "[[service]]\nname = \"{}\"\naddress = \"{}\"\nmode = \"{mode}\"\n{}\n",
                placed.service.name, placed.address, placed.service.settings
            )?;
        }
        toml.push_str(&self.tables);
        write(site, "sluice.toml", &toml)
    }

    /// For `sluice edge` on a host of that name.
    pub(crate) fn write_edge(&self, site: &Site, host: &str) -> Result<PathBuf> {
        let named = format!("name = \"{host}\"\n");
        write(site, &format!("{host}.toml"), &(self.tls("edge") + &self.edge(site, host) + &named))
    }

    /// What shows a certificate, in a guarded lab.
    fn tls(&self, name: &str) -> String {
        let Some(directory) = &self.certificates else { return String::new() };
        let file = |name: &str| directory.join(name).display().to_string();
        format!(
            "[tls]\nca = {:?}\ncert = {:?}\nkey = {:?}\n",
            file("ca.pem"),
            file(&format!("{name}.pem")),
            file(&format!("{name}.key"))
        )
    }

    fn edge(&self, site: &Site, host: &str) -> String {
        let manager =
            if self.apart { format!("manager = \"{}\"\n", self.manager) } else { String::new() };
        format!(
            "[edge]\n\
             interfaces = {:?}\n\
             pin = \"{}\"\n\
             flow_key = \"{}\"\n\
             {manager}{}\n",
            self.interfaces,
            pins(site, host).display(),
            site.dir.join("flow.key").display(),
            self.edge_extra
        )
    }

    /// For `sluice agent` on `server`, bound to every service of its families.
    pub(crate) fn write_agent(&self, site: &Site, server: &Host) -> Result<PathBuf> {
        let mut toml = format!(
            "[agent]\nname = \"{}\"\nmanager = \"{}\"\n{}\n{}",
            server.name(),
            self.manager,
            self.agent_interval,
            self.agent_extra
        );
        if self.services.iter().any(|placed| placed.service.is_tunnel()) {
            writeln!(
                toml,
                "[agent.decap]\ninterfaces = [\"eth0\"]\npin = \"{}\"",
                site.bpffs().join(format!("decap-{}", server.name())).display()
            )?;
        }
        writeln!(
            toml,
            "[agent.notify]\nsocket = \"{}\"\nsystemd_socket = \"{}\"",
            notify_socket(site, server, false).display(),
            notify_socket(site, server, true).display()
        )?;
        for placed in &self.services {
            write!(
                toml,
                "[[agent.bind]]\nservice = \"{}\"\naddress = \"{}\"\n\
                 check = {{ interval = \"200ms\", timeout = \"1s\"{} }}\n{}",
                placed.service.name,
                placed.backend(server),
                self.check_extra,
                self.bind_extra
            )?;
            if placed.service.server_ids {
                let id = u32::from_be_bytes(server.server_id());
                writeln!(toml, "server_id = \"{id:08x}\"")?;
            }
        }
        toml.push_str(&self.tls(server.name()));
        write(site, &format!("{}.toml", server.name()), &toml)
    }
}

fn write(site: &Site, name: &str, toml: &str) -> Result<PathBuf> {
    let path = site.dir.join(name);
    fs::write(&path, toml).with_context(|| path.display().to_string())?;
    Ok(path)
}
