//! Looks at a host. Everything that can be looked at is, whatever else fails;
//! nothing is changed. What goes out are questions for Ethernet addresses, the
//! agent's own checks, and a call of the manager.

mod device;
mod host;
mod links;
mod manager;
mod sockets;
mod ways;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
    time::SystemTime,
};

use rtnetlink::Handle;
use tokio::task::JoinSet;

use self::device::Devices;
use super::{
    facts::{EdgeFacts, Facts, Known, Link, ServerFacts, Sysctls},
    services,
    subject::{EdgeRole, ServerRole, Subject},
};
use crate::{
    agent,
    config::AgentBind,
    decap::survey::Survey as DecapSurvey,
    edge::survey::{self, Survey, Way},
    xdp::pin::is_bpffs,
};

/// The most VIPs that are asked for: a burst of questions reaches every host of
/// the segment.
const MOST_QUESTIONS: usize = 64;

pub(super) async fn gather(subject: &Subject) -> Facts {
    let mut facts = Facts {
        host: host::read(),
        links: Err("not looked at".to_owned()),
        addresses: Err("not looked at".to_owned()),
        sysctls: Sysctls::default(),
        local: BTreeMap::new(),
        back: BTreeMap::new(),
        edge: subject.edge.as_ref().map(edge),
        server: subject.server.as_ref().map(server),
        manager: None,
        certificates: subject.tls.as_ref().map(manager::certificates),
        now: SystemTime::now(),
    };
    if let Some(role) = &subject.manager {
        facts.manager = Some(manager::ask(&role.target, subject.tls.as_ref()).await);
    }
    match rtnetlink::new_connection() {
        Ok((connection, handle, _)) => {
            let connection = tokio::spawn(connection);
            network(subject, &handle, &mut facts).await;
            connection.abort();
        }
        Err(error) => facts.links = Err(format!("netlink: {error}")),
    }
    if let (Some(role), Some(server)) = (&subject.server, &mut facts.server) {
        server.health = health(&role.settings.binds).await;
    }
    if let (Some(role), Some(edge)) = (&subject.edge, &mut facts.edge) {
        edge.later = survey::counted(&role.settings.pin).unwrap_or_default();
    }
    facts
}

fn text(error: anyhow::Error) -> String {
    format!("{error:#}")
}

fn bpffs(pin: &Path) -> Known<bool> {
    is_bpffs(pin).map_err(text)
}

fn edge(role: &EdgeRole) -> EdgeFacts {
    EdgeFacts {
        bpffs: bpffs(&role.settings.pin),
        survey: Survey::read(&role.settings).map_err(text),
        later: Vec::new(),
        ways: Ok(Vec::new()),
        claims: Ok(Vec::new()),
    }
}

fn server(role: &ServerRole) -> ServerFacts {
    let decap = role.settings.decap.as_ref();
    ServerFacts {
        bpffs: decap.map_or(Ok(true), |decap| bpffs(&decap.pin)),
        decap: decap.map_or(Ok(None), |decap| DecapSurvey::read(decap).map_err(text)),
        listeners: sockets::listeners(),
        health: Vec::new(),
    }
}

async fn network(subject: &Subject, handle: &Handle, facts: &mut Facts) {
    let devices = Devices::read().await;
    let ours = subject.interfaces();
    let is_ours = |link: &Link| ours.contains(&link.name.as_str());
    facts.links = links::links(handle, &devices, is_ours).await;
    facts.addresses = ways::addresses(handle).await;
    let services = services(subject, facts);
    if let Some(role) = &subject.edge {
        let backends = backends(subject, facts);
        let interfaces = role.settings.interfaces.iter();
        let indices: Vec<u32> =
            interfaces.filter_map(|name| Some(facts.link(name)?.index)).collect();
        let vips = services.iter().filter(|spec| !spec.address.is_prefix());
        let vips: BTreeSet<IpAddr> = vips.map(|spec| spec.address.ip()).collect();
        let questions: Vec<(IpAddr, u32)> = vips
            .into_iter()
            .flat_map(|vip| indices.iter().map(move |&index| (vip, index)))
            .take(MOST_QUESTIONS)
            .collect();
        let (ways, claims) =
            tokio::join!(survey::ways(&backends), ways::claims(handle, &questions));
        if let Some(edge) = &mut facts.edge {
            (edge.ways, edge.claims) = (ways.map_err(text), claims);
        }
    }
    for spec in &services {
        let vip = spec.address.ip();
        facts.local.insert(vip, ways::is_local(handle, vip).await);
    }
    if let Some(role) = &subject.server {
        let binds = role.settings.binds.iter();
        let vips = services.iter().map(|spec| spec.address.ip());
        let ours: BTreeSet<IpAddr> = binds.map(|bind| bind.address.ip()).chain(vips).collect();
        for from in ours {
            facts.back.insert(from, ways::back(handle, from).await);
        }
    }
    facts.sysctls = host::sysctls(parameters_of(subject, facts).iter().map(String::as_str));
}

/// Where the edge sends to, or would.
fn backends(subject: &Subject, facts: &Facts) -> Vec<IpAddr> {
    let bound: Vec<IpAddr> = match facts.tables() {
        Some(tables) => tables.bindings.iter().map(|bound| bound.backend.ip()).collect(),
        None => subject.static_backends().map(|(_, backend)| backend.ip()).collect(),
    };
    bound.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Interfaces whose parameters count: those with a program, those towards the
/// servers, and those that have a server's addresses.
fn parameters_of(subject: &Subject, facts: &Facts) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = subject.interfaces().into_iter().map(str::to_owned).collect();
    let ways = facts.edge.iter().filter_map(|edge| edge.ways.as_ref().ok()).flatten();
    for (_, way) in ways {
        if let Way::Known { ifindex, .. } = way {
            names.insert(facts.link_name(*ifindex));
        }
    }
    let binds = subject.server.iter().flat_map(|server| &server.settings.binds);
    for bind in binds {
        names.extend(facts.links_of(bind.address.ip()).map(|link| link.name.clone()));
    }
    names
}

/// The agent's check of each bind, once, side by side.
async fn health(binds: &[AgentBind]) -> Vec<Result<(), String>> {
    let mut tasks = JoinSet::new();
    for (index, bind) in binds.iter().cloned().enumerate() {
        tasks.spawn(async move { (index, agent::check_once(&bind).await) });
    }
    let mut results = tasks.join_all().await;
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
