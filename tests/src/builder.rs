//! From a scenario's wishes to a running lab.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    Lab, Service, certs,
    lab::Server,
    network::{Blueprint, Network},
    nginx,
    registry::Site,
    service::Placed,
    settings::{self, Settings},
};

/// What a lab is to have. See [`Lab::build`].
#[derive(Clone, Debug)]
pub struct Builder {
    label: Option<String>,
    clients: usize,
    servers: usize,
    edges: usize,
    apart: bool,
    external: bool,
    learning: String,
    split: bool,
    guarded: bool,
    services: Vec<Service>,
    manager: String,
    edge: String,
    agent_interval: String,
    agent: String,
    bind: String,
    check: String,
    tables: String,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            label: None,
            clients: 1,
            servers: 2,
            edges: 1,
            apart: false,
            external: false,
            learning: "1s".to_owned(),
            split: false,
            guarded: false,
            services: Vec::new(),
            manager: String::new(),
            edge: String::new(),
            agent_interval: "interval = \"100ms\"".to_owned(),
            agent: String::new(),
            bind: String::new(),
            check: String::new(),
            tables: String::new(),
        }
    }
}

impl Builder {
    /// A fixed name, for a lab that people enter: `sl-LABEL-edge` and so on.
    #[must_use]
    pub fn label(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }

    /// Clients; default 1.
    #[must_use]
    pub fn clients(mut self, count: usize) -> Self {
        self.clients = count;
        self
    }

    /// Servers, each of which offers every service; default 2.
    #[must_use]
    pub fn servers(mut self, count: usize) -> Self {
        self.servers = count;
        self
    }

    /// So many edges, up to 7, on hosts of their own, as is the manager. The
    /// first client's way to VIPs is through the first edge, the second client's
    /// through the second, and so on around. Only the first edge brings replies
    /// of mode `nat` back.
    #[must_use]
    pub fn edges(mut self, count: usize) -> Self {
        self.edges = count.clamp(1, 7);
        self.apart = true;
        self
    }

    /// Manager and edge as processes of their own, on hosts of their own.
    #[must_use]
    pub fn roles_apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// The manager alone, on the edge's host: there is no XDP edge, but what the
    /// scenario puts there to steer connections.
    #[must_use]
    pub fn external(mut self) -> Self {
        self.external = true;
        self
    }

    /// The manager's learning period, instead of 1 s.
    #[must_use]
    pub fn learning(mut self, period: &str) -> Self {
        period.clone_into(&mut self.learning);
        self
    }

    /// Clients and servers on segments of their own: the edge has an interface
    /// on each. Servers cannot answer clients directly then.
    #[must_use]
    pub fn two_segments(mut self) -> Self {
        self.split = true;
        self
    }

    /// Mutual TLS, by an authority of the lab's own: `manager`, `edge` and each
    /// server have certificates under their names. `[[manager.allow]]` is yours
    /// to give, among the [`tables`](Self::tables).
    #[must_use]
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// One more service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// One more line of `[manager]`.
    #[must_use]
    pub fn manager(mut self, line: &str) -> Self {
        self.manager.push_str(line);
        self.manager.push('\n');
        self
    }

    /// One more line of `[edge]`.
    #[must_use]
    pub fn edge(mut self, line: &str) -> Self {
        self.edge.push_str(line);
        self.edge.push('\n');
        self
    }

    /// One more line of each server's `[agent]`.
    #[must_use]
    pub fn agent(mut self, line: &str) -> Self {
        self.agent.push_str(line);
        self.agent.push('\n');
        self
    }

    /// The agents' heartbeats, instead of every 100 ms.
    #[must_use]
    pub fn agent_interval(mut self, line: &str) -> Self {
        self.agent_interval = line.to_owned();
        self
    }

    /// One more line of each `[[agent.bind]]`.
    #[must_use]
    pub fn bind(mut self, line: &str) -> Self {
        self.bind.push_str(line);
        self.bind.push('\n');
        self
    }

    /// One more value of each bind's `check`.
    #[must_use]
    pub fn check(mut self, value: &str) -> Self {
        self.check.push_str(", ");
        self.check.push_str(value);
        self
    }

    /// More tables, such as `[[class]]`.
    #[must_use]
    pub fn tables(mut self, toml: &str) -> Self {
        self.tables.push_str(toml);
        self.tables.push('\n');
        self
    }

    /// The network and the web servers, without any `sluice` process.
    pub fn prepare(self) -> Result<Lab> {
        let site = Site::claim(self.label.as_deref())?;
        let services: Vec<_> = self
            .services
            .into_iter()
            .enumerate()
            .map(|(index, service)| Placed::new(service, index))
            .collect();
        let vips = |l2_only: bool| {
            services
                .iter()
                .filter(|placed| !l2_only || !placed.service.is_nat())
                .map(|placed| placed.address.ip())
                .collect()
        };
        let blueprint = Blueprint {
            clients: self.clients,
            servers: self.servers,
            edges: self.edges,
            split: self.split,
            manager: self.apart,
            server_vips: vips(true),
            edge_vips: vips(false),
        };
        let network = Network::build(&site, &blueprint).context("building the lab's network")?;
        let file = site.dir.join("file");
        write_noise(&file, nginx::DOWNLOAD_BYTES)?;
        let servers = network.servers.iter().map(|_| Server::default()).collect();
        let settings = Settings {
            certificates: self.guarded.then(|| site.dir.join("certs")),
            apart: self.apart || self.external,
            learning: self.learning,
            interfaces: if self.split { &["eth0", "eth1"] } else { &["eth0"] },
            manager: settings::manager_address(network.manager.as_ref().unwrap_or(&network.edge)),
            services,
            manager_extra: self.manager,
            edge_extra: self.edge,
            agent_interval: self.agent_interval,
            agent_extra: self.agent,
            bind_extra: self.bind,
            check_extra: self.check,
            tables: self.tables,
        };
        if let Some(directory) = &settings.certificates {
            certs::init(directory)?;
            let address = settings.manager.ip().to_string();
            certs::issue(directory, "manager", "manager", &[&address])?;
            certs::issue(directory, "edge", "edge", &[])?;
            for server in &network.servers {
                certs::issue(directory, server.name(), "agent", &[])?;
            }
        }
        let mut lab = Lab::new(site, network, servers, settings);
        for server in 0..lab.servers().len() {
            lab.start_nginx(server)?;
        }
        Ok(lab)
    }

    /// Everything: `sluice`, an agent on every server, and every server bound
    /// to every service.
    pub fn start(self) -> Result<Lab> {
        let mut lab = self.prepare()?;
        lab.start_sluice(&[])?;
        for server in 0..lab.servers().len() {
            lab.start_agent(server)?;
        }
        lab.wait_all_active(Duration::from_secs(20))?;
        Ok(lab)
    }
}

/// Bytes without a pattern (xorshift64, Marsaglia 2003), the same every time.
fn write_noise(path: &Path, bytes: usize) -> Result<()> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(bytes / 8)
    .flatten()
    .collect();
    fs::write(path, noise).with_context(|| path.display().to_string())
}
