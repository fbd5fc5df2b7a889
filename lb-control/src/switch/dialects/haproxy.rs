//! HAProxy, by its Runtime API (HAProxy management guide, section 9.3).
//!
//! The site's haproxy.cfg has the frontends and backends; servers are added to and
//! taken out of backends at run time, under names of our own. A restart forgets
//! them, and is noticed by pid and uptime.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `wire` | commands and replies |
//! | `tables` | what HAProxy says of itself |
//! | `steps` | from what it holds to a plan |

mod steps;
mod tables;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde::Deserialize;

use self::{
    steps::{Outcome, PREFIX, Step},
    tables::{Boot, Server},
    wire::Address,
};
use super::{Dialect, options};
use crate::{
    config::SwitchSettings,
    model::{BindingKey, Name, Phase, Protocol, Share, Verdict, shown},
    switch::{Capabilities, Count, Device, Failure, Plan, PlannedServer, PlannedService},
};

pub(super) static DIALECT: Dialect =
    Dialect { kind: "haproxy", about: "HAProxy, by its Runtime API", needs: &[], make };

/// Steps of one exchange.
const AT_ONCE: usize = 1000;

/// `[switch.options]` of kind `haproxy`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// A `stats socket` of `level admin`: `unix:/run/haproxy/admin.sock`, or `HOST:PORT`.
    #[serde(deserialize_with = "address")]
    address: Address,
    /// The backend of haproxy.cfg that has a service's servers. Default: the one
    /// that is named as the service.
    #[serde(default)]
    backends: BTreeMap<Name, String>,
    /// What else is said of each server, as on a `server` line in haproxy.cfg.
    /// Default `check`.
    #[serde(default = "check")]
    server: String,
}

fn address<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
    Address::try_from(String::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn check() -> String {
    "check".to_owned()
}

fn make(settings: &SwitchSettings) -> Result<Box<dyn Device>, String> {
    Ok(Box::new(new(settings)?))
}

fn new(settings: &SwitchSettings) -> Result<Haproxy, String> {
    let options: Options = options(settings)?;
    let mut services = BTreeMap::new();
    for (service, proxy) in &options.backends {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if proxy.is_empty() || !proxy.chars().all(allowed) {
            return Err(format!("`{}` is no name of a backend in haproxy.cfg", shown(proxy)));
        }
        if let Some(other) = services.insert(proxy.clone(), service.clone()) {
            return Err(format!(
                "services `{other}` and `{service}` have the same backend `{proxy}`: give each its own"
            ));
        }
    }
    // One line is one command: nobody is to smuggle in another.
    if !options.server.chars().all(|c| c == ' ' || c.is_ascii_graphic() && !";\\#<\"'".contains(c))
    {
        return Err(
            "`server` holds words as on a `server` line, such as \"check inter 1s\"".to_owned()
        );
    }
    Ok(Haproxy {
        timeout: settings.timeout,
        given: settings.services.iter().cloned().collect(),
        options,
        services,
        version: None,
        lacking: Vec::new(),
        boot: None,
        leaving: BTreeSet::new(),
        places: BTreeMap::new(),
    })
}

/// A place of a service, as a plan has it.
type Place = (IpAddr, u16, Protocol);

struct Haproxy {
    options: Options,
    timeout: Duration,
    /// The only services that it has, if there are any here.
    given: BTreeSet<Name>,
    /// By backend, of `options.backends`.
    services: BTreeMap<String, Name>,
    version: Option<String>,
    /// Backends that were named and are not there.
    lacking: Vec<String>,
    /// The start of HAProxy that was read.
    boot: Option<Boot>,
    /// Servers that are deleted once their connections have ended, by backend and name.
    leaving: BTreeSet<(String, String)>,
    /// HAProxy does not say where its frontends are in a way that names services:
    /// what the last plan said.
    places: BTreeMap<Name, Place>,
}

impl Haproxy {
    fn proxy<'a>(&'a self, service: &'a Name) -> &'a str {
        self.options.backends.get(service).map_or(service.as_str(), String::as_str)
    }

    /// Whose servers a backend has; None: it is none of ours.
    fn service(&self, proxy: &str) -> Option<Name> {
        let service = match self.services.get(proxy) {
            Some(service) => service.clone(),
            None => proxy.parse().ok().filter(|name| !self.options.backends.contains_key(name))?,
        };
        (self.given.is_empty() || self.given.contains(&service)).then_some(service)
    }

    async fn exchange(&self, commands: &[String]) -> Result<Vec<String>, Failure> {
        wire::exchange(&self.options.address, self.timeout, commands).await
    }

    fn lost(&self, why: String) -> Failure {
        Failure::Lost(format!("HAProxy at {}: {why}", self.options.address))
    }

    /// All servers of ours, and the start and version of who says so.
    async fn look(&mut self) -> Result<(Boot, Vec<Server>), Failure> {
        let commands = ["show info", "show backend", "show servers state"].map(str::to_owned);
        let replies = self.exchange(&commands).await?;
        let [info, proxies, state] = &replies[..] else {
            return Err(self.lost("replies are missing".to_owned()));
        };
        let read = || -> Result<_, String> {
            let (boot, version) = tables::info(info, Instant::now())?;
            let mut servers = tables::servers(state, PREFIX)?;
            servers.retain(|server| self.service(&server.proxy).is_some());
            Ok((boot, version, tables::proxies(proxies)?, servers))
        };
        let (boot, version, proxies, servers) = read().map_err(|why| self.lost(why))?;
        self.version = Some(version);
        let configured = self.options.backends.keys().chain(&self.given);
        let configured: BTreeSet<_> = configured.map(|service| self.proxy(service)).collect();
        let missing = configured.into_iter().filter(|proxy| !proxies.contains(*proxy));
        self.lacking = missing.map(str::to_owned).collect();
        Ok((boot, servers))
    }

    /// What it holds of a plan.
    fn held(&self, servers: &[Server]) -> Plan {
        let mut plan = Plan::default();
        for server in servers {
            let waits = || self.leaving.contains(&(server.proxy.clone(), server.name.clone()));
            let Some(service) = self.service(&server.proxy).filter(|_| !server.out() || !waits())
            else {
                continue;
            };
            // Without translation between families, a service is of its servers'.
            let anywhere = match server.address {
                std::net::SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                std::net::SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            let unknown = (anywhere, 1, Protocol::Tcp);
            let (address, port, protocol) = self.places.get(&service).copied().unwrap_or(unknown);
            let held = plan.services.entry(service).or_insert_with(|| PlannedService {
                address,
                port,
                protocol,
                servers: BTreeMap::new(),
                refuse: Share::NONE,
                verdict: Verdict::default(),
            });
            let (phase, weight) = match server {
                _ if server.out() => (Phase::Break, 0),
                _ if server.drains() => (Phase::Drain, 0),
                _ => (Phase::Serve, server.weight),
            };
            // Two of one address are together what clients see of it.
            let here = PlannedServer { weight, phase };
            let sum =
                held.servers.entry(server.address).or_insert(PlannedServer { weight: 0, phase });
            *sum = PlannedServer { weight: sum.weight.saturating_add(here.weight), ..here };
        }
        plan
    }

    /// The commands between what it holds and a plan: first what takes connections,
    /// then what does no more.
    fn steps(&self, servers: &[Server], plan: &Plan) -> Vec<Step> {
        let held: BTreeMap<_, _> = servers
            .iter()
            .map(|server| ((server.proxy.as_str(), server.name.as_str()), server))
            .collect();
        let mut planned = BTreeSet::new();
        let mut steps = Vec::new();
        for (name, service) in &plan.services {
            let proxy = self.proxy(name);
            for (&address, &server) in &service.servers {
                let own = steps::server_name(address);
                let there = held.get(&(proxy, own.as_str())).copied();
                let step = steps::put(proxy, address, server, there, &self.options.server);
                steps.extend(step.map(|step| (server.phase != Phase::Serve, step)));
                planned.insert((proxy, own));
            }
        }
        let strange = servers
            .iter()
            .filter(|server| !planned.contains(&(server.proxy.as_str(), server.name.clone())));
        steps.extend(strange.map(|server| (true, steps::remove(&server.proxy, &server.name))));
        steps.sort_by_key(|(leaves, _)| *leaves);
        steps.into_iter().map(|(_, step)| step).collect()
    }

    /// Carries steps out. The first refusal, and how many there are.
    async fn carry_out(&mut self, steps: &[Step]) -> Result<Option<(String, usize)>, Failure> {
        let mut refusals = Vec::new();
        for some in steps.chunks(AT_ONCE) {
            let commands: Vec<_> = some
                .iter()
                .flat_map(|step| &step.commands)
                .map(|(command, _)| command.clone())
                .collect();
            let replies = self.exchange(&commands).await?;
            let mut replies = replies.iter().map(String::as_str);
            for step in some {
                let own: Vec<_> = replies.by_ref().take(step.commands.len()).collect();
                let server = step.server.split_once('/').map(|(p, s)| (p.to_owned(), s.to_owned()));
                match step.judge(own) {
                    Outcome::Waits => self.leaving.extend(server),
                    Outcome::Done => {
                        if let Some(server) = server {
                            self.leaving.remove(&server);
                        }
                    }
                    Outcome::Refused(words) => refusals.push(words),
                }
            }
        }
        let count = refusals.len();
        Ok(refusals.into_iter().next().map(|first| (first, count)))
    }

    /// Fails where it is another start of HAProxy than the one that was read.
    fn same_start(&mut self, boot: Boot) -> Result<(), Failure> {
        match self.boot.replace(boot) {
            Some(before) if !before.is_still(boot) => {
                self.leaving.clear();
                Err(Failure::Rebooted(format!("HAProxy at {} was restarted", self.options.address)))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Device for Haproxy {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            weights: Some(256),
            drain: true,
            breaks: true,
            admission: false,
            ipv6: true,
            udp: false,
            counters: true,
        }
    }

    fn description(&self) -> String {
        let version = self.version.as_deref().unwrap_or("of unknown version");
        let lacking = match &self.lacking[..] {
            [] => String::new(),
            lacking => format!(", without backend {}", lacking.join(", ")),
        };
        format!("HAProxy {version} at {}{lacking}", self.options.address)
    }

    async fn read(&mut self) -> Result<Plan, Failure> {
        let (boot, servers) = self.look().await?;
        // What it is after a restart is just being found out.
        let _ = self.same_start(boot);
        Ok(self.held(&servers))
    }

    async fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        let (boot, servers) = self.look().await?;
        self.same_start(boot)?;
        let place = |service: &PlannedService| (service.address, service.port, service.protocol);
        self.places =
            plan.services.iter().map(|(name, service)| (name.clone(), place(service))).collect();
        // What still waits is found to be strange again.
        self.leaving.clear();
        let steps = self.steps(&servers, plan);
        match self.carry_out(&steps).await? {
            None => Ok(()),
            Some((first, 1)) => Err(Failure::Refused(first)),
            Some((first, count)) => {
                Err(Failure::Refused(format!("{first} (and {} more refusals)", count - 1)))
            }
        }
    }

    async fn poll(&mut self) -> Result<Vec<Count>, Failure> {
        let commands = ["show info", "show stat -1 4 -1"].map(str::to_owned);
        let replies = self.exchange(&commands).await?;
        let [info, stat] = &replies[..] else {
            return Err(self.lost("replies are missing".to_owned()));
        };
        let (boot, _) = tables::info(info, Instant::now()).map_err(|why| self.lost(why))?;
        let counted = tables::counts(stat, PREFIX).map_err(|why| self.lost(why))?;
        self.same_start(boot)?;
        let leaving: Vec<_> =
            self.leaving.iter().map(|(proxy, name)| steps::remove(proxy, name)).collect();
        // What is refused is tried again at the next poll.
        self.carry_out(&leaving).await?;
        let count = |counted: tables::Counted| {
            Some(Count {
                key: BindingKey {
                    service: self.service(&counted.proxy)?,
                    backend: counted.address,
                },
                connections: counted.sessions,
                total: counted.total,
            })
        };
        Ok(counted.into_iter().filter_map(count).collect())
    }
}
