//! The lab as a scenario sees it.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    Answers, Builder, Client, Crowd, Download, Host, Netns, Process,
    edges::FurtherEdge,
    network::{EDGE_TO_SERVERS, Network},
    nginx, pass,
    registry::Site,
    service::{Placed, VIP_PORT},
    settings::Settings,
    web,
};

/// A running lab. Dropping it takes everything down.
///
/// Servers are counted from 0; the host of server 0 is named `server-1`.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order: processes first, the site last.
    pub(crate) sluice: Option<Process>,
    pub(crate) edge_role: Option<Process>,
    pub(crate) processes: Vec<Server>,
    pub(crate) clients: Vec<Host>,
    pub(crate) edge: Host,
    pub(crate) further: Vec<FurtherEdge>,
    pub(crate) manager: Option<Host>,
    pub(crate) servers: Vec<Host>,
    fabric: Netns,
    pub(crate) settings: Settings,
    downloads: AtomicUsize,
    pub(crate) site: Site,
}

/// What runs on a server.
#[derive(Debug, Default)]
pub(crate) struct Server {
    pub(crate) nginx: Option<Process>,
    pub(crate) agent: Option<Process>,
}

impl Lab {
    /// Begins the description of a lab.
    pub fn build() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        site: Site,
        network: Network,
        processes: Vec<Server>,
        settings: Settings,
    ) -> Self {
        let Network { clients, edge, further, manager, servers, fabric } = network;
        let further = further.into_iter().map(|host| FurtherEdge { process: None, host });
        Self {
            sluice: None,
            edge_role: None,
            processes,
            clients,
            edge,
            further: further.collect(),
            manager,
            servers,
            fabric,
            settings,
            downloads: AtomicUsize::new(0),
            site,
        }
    }

    /// The first client.
    pub fn client(&self) -> &Host {
        &self.clients[0]
    }

    pub fn clients(&self) -> &[Host] {
        &self.clients
    }

    pub fn edge(&self) -> &Host {
        &self.edge
    }

    pub fn servers(&self) -> &[Host] {
        &self.servers
    }

    /// The host with this name, such as a [`Spread`](crate::Spread) gives.
    ///
    /// # Errors
    /// When no server has it.
    pub fn server_index(&self, name: &str) -> Result<usize> {
        self.servers
            .iter()
            .position(|host| host.name() == name)
            .with_context(|| format!("no server {name}"))
    }

    /// Where the lab's files are: configuration, logs, the bpffs.
    pub fn directory(&self) -> &Path {
        &self.site.dir
    }

    /// The manager's file of the operator's commands.
    pub fn intent(&self) -> std::path::PathBuf {
        crate::settings::manager_dir(&self.site).join("intent.json")
    }

    /// More tables of the manager's configuration, from its next start on.
    pub fn add_tables(&mut self, toml: &str) {
        self.settings.tables.push_str(toml);
        self.settings.tables.push('\n');
    }

    /// Directory that the edge pins its maps and programs under.
    pub fn bpffs(&self) -> std::path::PathBuf {
        self.site.bpffs()
    }

    pub(crate) fn placed(&self, service: &str) -> &Placed {
        let found = self.settings.services.iter().find(|placed| placed.service.name == service);
        found.unwrap_or_else(|| panic!("this lab has no service {service}"))
    }

    /// A service's VIP and port.
    pub fn vip(&self, service: &str) -> SocketAddr {
        self.placed(service).address
    }

    /// Every service's VIP and port.
    pub fn vips(&self) -> Vec<SocketAddr> {
        self.settings.services.iter().map(|placed| placed.address).collect()
    }

    /// A server's address and port in a service, as the command line takes it.
    pub fn backend(&self, service: &str, server: usize) -> SocketAddr {
        self.placed(service).backend(&self.servers[server])
    }

    /// Requests from the first client, each on a new connection, by curl.
    pub fn get_many(&self, service: &str, count: usize) -> Result<Answers> {
        web::get_many(self.client(), self.vip(service), count)
    }

    /// Opens connections from the first client that stay open.
    pub fn crowd(&self, service: &str, count: usize) -> Result<Crowd> {
        Crowd::gather(Client::of(self.client()), self.vip(service), count)
    }

    /// Starts a download, by curl from the first client, that takes ten seconds.
    pub fn download(&self, service: &str) -> Result<Download> {
        let number = self.downloads.fetch_add(1, Ordering::Relaxed);
        Download::start(self.client(), self.vip(service), self.site.dir.join("file"), number)
    }

    /// Puts an XDP program of somebody else on a host's interface: it passes
    /// everything.
    pub fn attach_foreign(&self, host: &Host) -> Result<()> {
        pass::attach(host.netns(), "eth0", &self.site.bpffs())
    }

    /// Starts the web server of a server, and waits until it takes connections.
    pub fn start_nginx(&mut self, server: usize) -> Result<()> {
        let mut ports: Vec<u16> =
            self.settings.services.iter().map(|placed| placed.server_port).collect();
        ports.push(VIP_PORT);
        ports.sort_unstable();
        ports.dedup();
        let file = self.site.dir.join("file");
        let nginx = nginx::start(&self.servers[server], &ports, &file)?;
        self.processes[server].nginx = Some(nginx);
        Ok(())
    }

    /// SIGKILL for a server's web server.
    pub fn kill_nginx(&mut self, server: usize) -> Result<()> {
        self.processes[server].nginx.take().context("no nginx runs there")?.kill()
    }

    /// Kills a server as a power cut would: nothing says goodbye.
    pub fn cut_power(&mut self, server: usize) -> Result<()> {
        self.servers[server].unplug()?;
        let Server { nginx, agent } = &mut self.processes[server];
        for process in [nginx.take(), agent.take()].into_iter().flatten() {
            process.kill()?;
        }
        Ok(())
    }

    /// Pulls the edge's cable to the servers out, or puts it in again, in a lab
    /// of two segments.
    pub fn plug_servers(&self, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        self.fabric.enter(|| {
            crate::command::run("ip", &["link", "set", EDGE_TO_SERVERS, state])?.stdout()?;
            Ok(())
        })
    }

    /// Leaves everything up when this process ends. `cargo xtask lab down`
    /// takes it down.
    pub fn keep(mut self) -> Result<()> {
        let servers =
            self.processes.iter_mut().flat_map(|server| [&mut server.nginx, &mut server.agent]);
        let further = self.further.iter_mut().map(|edge| &mut edge.process);
        let all = servers.chain([&mut self.sluice, &mut self.edge_role]).chain(further);
        for process in all.flatten() {
            process.keep();
        }
        self.site.keep()
    }

    /// Waits for what traffic or time will bring about.
    pub(crate) fn until<T>(
        &self,
        seconds: u64,
        what: &str,
        probe: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        crate::eventually(Duration::from_secs(seconds), what, probe)
    }
}
