//! What a host is meant to be.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    config::{AgentSettings, EdgeSettings, ServiceSettings, TlsSettings},
    model::{Name, ServiceSpec},
};

/// What to look at: the roles of a host, as its configuration or what is pinned
/// in its kernel says.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    pub edge: Option<EdgeRole>,
    pub server: Option<ServerRole>,
    /// A manager that runs here, or that the roles speak to.
    pub manager: Option<ManagerRole>,
    /// Services and static backends of the file.
    pub services: Vec<ServiceSettings>,
    pub tls: Option<TlsSettings>,
    /// The file itself.
    pub config: Option<PathBuf>,
    /// The command that looks again with more privilege.
    pub again: String,
}

/// An edge runs here, or should.
#[derive(Clone, Debug)]
pub struct EdgeRole {
    pub settings: EdgeSettings,
    /// The settings are a file's, and not only what was found pinned.
    pub from_file: bool,
    /// The command that starts it.
    pub start: String,
}

/// Applications run here, or should.
#[derive(Clone, Debug)]
pub struct ServerRole {
    pub settings: AgentSettings,
    /// The command that starts the agent.
    pub start: String,
}

/// Where the manager is.
#[derive(Clone, Debug)]
pub struct ManagerRole {
    /// `HOST:PORT` or `unix:/path`.
    pub target: String,
    /// The command that starts it, where it should run on this host.
    pub start: Option<String>,
}

impl Subject {
    /// For the line above the findings, such as `edge \`edge1\` on eth0`.
    pub fn describe(&self) -> String {
        let edge = self.edge.as_ref().map(|EdgeRole { settings, .. }| {
            format!("edge `{}` on {}", settings.name, settings.interfaces.join(", "))
        });
        let bind = |server: &ServerRole| {
            let binds = server.settings.binds.iter();
            let binds: Vec<_> =
                binds.map(|bind| format!("{}={}", bind.service, bind.address)).collect();
            format!("server of {}", binds.join(", "))
        };
        let manager = self.manager.as_ref().map(|manager| format!("manager {}", manager.target));
        let parts = [edge, self.server.as_ref().map(bind), manager];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// `sluice` with these words, as it is called on this host.
    pub(super) fn command(&self, words: &str) -> String {
        match &self.config {
            Some(path) => format!("sluice {words} --config {}", path.display()),
            None => format!("sluice {words}"),
        }
    }

    /// Interfaces that carry a program of ours, or should.
    pub(super) fn interfaces(&self) -> Vec<&str> {
        let edge = self.edge.iter().flat_map(|edge| &edge.settings.interfaces);
        let decap = self.server.iter().filter_map(|server| server.settings.decap.as_ref());
        let mut names: Vec<&str> =
            edge.chain(decap.flat_map(|decap| &decap.interfaces)).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The file's service of this name.
    pub(super) fn configured(&self, name: &Name) -> Option<ServiceSpec> {
        self.services.iter().find(|service| service.name == *name).map(ServiceSettings::spec)
    }

    /// The addresses of the file's static backends, with their services.
    pub(super) fn static_backends(&self) -> impl Iterator<Item = (&Name, SocketAddr)> {
        let of = |service: &'_ ServiceSettings| -> Vec<SocketAddr> {
            service.backends.iter().map(|backend| backend.address).collect()
        };
        self.services
            .iter()
            .flat_map(move |service| of(service).into_iter().map(move |at| (&service.name, at)))
    }
}
