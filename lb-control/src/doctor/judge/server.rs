//! A server: its agent's binds, the VIPs, and whether anybody listens.

use std::net::{IpAddr, SocketAddr};

use super::{
    super::{
        facts::{Facts, Known, Link, Listener, set_sysctl},
        finding::Finding,
        subject::{ServerRole, Subject},
    },
    filter, interface, service, unknown,
};
use crate::{
    config::AgentBind,
    model::{Mode, ServiceSpec},
};

pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let (Some(role), Some(server)) = (&subject.server, &facts.server) else { return Vec::new() };
    let mut findings = Vec::new();
    for (index, bind) in role.settings.binds.iter().enumerate() {
        findings.extend(own_address(facts, bind));
        if let Some(Err(why)) = server.health.get(index) {
            findings.push(unhealthy(bind, why));
        }
        match spec_of(subject, facts, bind) {
            None => findings.extend(no_service(subject, facts, bind)),
            Some(spec) => findings.extend(bound(subject, facts, role, bind, &spec)),
        }
    }
    // Services share interfaces and VIPs.
    let mut seen = Vec::new();
    findings.retain(|finding| {
        let new = !seen.contains(finding);
        if new {
            seen.push(finding.clone());
        }
        new
    });
    findings
}

/// The service that a bind is to.
pub(super) fn spec_of(subject: &Subject, facts: &Facts, bind: &AgentBind) -> Option<ServiceSpec> {
    let told = match &facts.manager {
        Some(Ok(manager)) => manager.services.iter().find(|s| s.spec.name == bind.service),
        _ => None,
    };
    told.map(|served| served.spec.clone()).or_else(|| subject.configured(&bind.service))
}

fn no_service(subject: &Subject, facts: &Facts, bind: &AgentBind) -> Option<Finding> {
    let place = service(&bind.service);
    match &facts.manager {
        Some(Ok(manager)) => {
            let there: Vec<_> = manager.services.iter().map(|s| s.spec.name.as_str()).collect();
            let what = format!("the manager has no such service: it has {}", there.join(", "));
            let remedy = subject.command("get services");
            Some(Finding::problem("service", &place, what).remedy(remedy))
        }
        _ => {
            let why = "without the manager's word or a [[service]] of the file its VIP and mode \
                       are not known";
            Some(unknown(subject, facts, "vip", &place, why))
        }
    }
}

fn own_address(facts: &Facts, bind: &AgentBind) -> Option<Finding> {
    let ip = bind.address.ip();
    let addresses = facts.addresses.as_ref().ok()?;
    if addresses.iter().any(|address| address.ip == ip) {
        return None;
    }
    let what = format!("{ip} is no address of this host: packets to it do not come here");
    Some(Finding::problem("address", &service(&bind.service), what).remedy("ip -brief address"))
}

fn unhealthy(bind: &AgentBind, why: &str) -> Finding {
    let place = service(&bind.service);
    let port = bind.check.port.unwrap_or(bind.address.port());
    let remedy = match &bind.check.http {
        Some(path) => {
            format!("curl -v http://{}{path}", SocketAddr::new(bind.address.ip(), port))
        }
        None => format!("ss -ltnp 'sport = :{port}'"),
    };
    let what = format!("the agent's check fails, so it gets no new connections: {why}");
    Finding::problem("health", &place, what).remedy(remedy)
}

fn bound(
    subject: &Subject,
    facts: &Facts,
    role: &ServerRole,
    bind: &AgentBind,
    spec: &ServiceSpec,
) -> Vec<Finding> {
    let mut findings: Vec<_> = word(subject, facts, role, bind).into_iter().collect();
    if spec.mode == Mode::Nat {
        findings.extend(listening(facts, spec, bind.address.ip(), Some(bind.address.port())));
        findings.extend(gateway(facts, bind));
        return findings;
    }
    let vip = spec.address.ip();
    findings.extend(vip_is_here(facts, spec));
    findings.extend(listening(facts, spec, vip, spec.address.port()));
    findings.extend(no_way_back(facts, spec, vip));
    for link in comes_in_by(facts, role, bind, spec) {
        findings.extend(silent(facts, spec, link));
        findings.extend(filter::server_filter(facts, &link.name, vip, facts.back.get(&vip)));
    }
    findings
}

/// What the manager says of this bind.
fn word(subject: &Subject, facts: &Facts, role: &ServerRole, bind: &AgentBind) -> Option<Finding> {
    let Some(Ok(manager)) = &facts.manager else { return None };
    let place = service(&bind.service);
    let address = bind.address.to_string();
    let name = bind.service.as_str();
    let found = manager.backends.iter().find(|b| b.service == name && b.address == address);
    let Some(backend) = found else {
        let what = format!("the manager knows of no backend {address}: does the agent run?");
        return Some(Finding::problem("backend", &place, what).remedy(role.start.clone()));
    };
    let events = subject.command(&format!("events --service {name}"));
    let why =
        if backend.reason.is_empty() { String::new() } else { format!(": {}", backend.reason) };
    let what = format!("backend {address} is {}{why}", backend.state);
    Some(match backend.state.as_str() {
        "active" if backend.weight == 0 => {
            let what = format!("backend {address} has weight 0, and so gets no new connections");
            let remedy = subject.command(&format!("weight {name} {address} 100"));
            Finding::warning("backend", &place, what).remedy(remedy)
        }
        "active" => Finding::ok("backend", &place, what),
        "draining" => Finding::note("backend", &place, what),
        _ => Finding::problem("backend", &place, what).remedy(events),
    })
}

/// With direct server return the kernel must take packets to the VIP.
fn vip_is_here(facts: &Facts, spec: &ServiceSpec) -> Option<Finding> {
    let vip = spec.address.ip();
    let place = service(&spec.name);
    match facts.local.get(&vip)? {
        Ok(true) => Some(Finding::ok("vip", &place, format!("{vip} is an address of this host"))),
        Ok(false) => {
            let (what, remedy) = if spec.address.is_prefix() {
                let prefix = spec.address.prefix();
                let what = format!("{prefix} is not local: the kernel does not take its packets");
                (what, format!("ip route add local {prefix} dev lo"))
            } else {
                let bits = if vip.is_ipv4() { 32 } else { 128 };
                let what =
                    format!("VIP {vip} is missing here: the kernel does not take its packets");
                (what, format!("ip addr add {vip}/{bits} dev lo"))
            };
            Some(Finding::problem("vip", &place, what).remedy(remedy))
        }
        Err(why) => Some(Finding::unknown("vip", &place, why)),
    }
}

/// Answers to clients need a way.
fn no_way_back(facts: &Facts, spec: &ServiceSpec, from: IpAddr) -> Option<Finding> {
    let Ok(None) = facts.back.get(&from)? else { return None };
    // Without the address there is no way from it either.
    if !matches!(facts.local.get(&from), Some(Ok(true))) {
        return None;
    }
    let what = format!("no route leads from {from} to clients that are anywhere");
    let remedy = if from.is_ipv4() { "ip route" } else { "ip -6 route" };
    Some(Finding::warning("way_back", &service(&spec.name), what).remedy(remedy))
}

/// Interfaces by which packets of a service come in.
fn comes_in_by<'a>(
    facts: &'a Facts,
    role: &'a ServerRole,
    bind: &AgentBind,
    spec: &ServiceSpec,
) -> Vec<&'a Link> {
    match &role.settings.decap {
        Some(decap) if spec.mode.is_tunnel() => {
            decap.interfaces.iter().filter_map(|name| facts.link(name)).collect()
        }
        _ => facts.links_of(bind.address.ip()).collect(),
    }
}

/// The VIP is the edge's on its segment: servers must not answer for it. IPv6
/// addresses of `lo` are not answered for anyway.
fn silent(facts: &Facts, spec: &ServiceSpec, link: &Link) -> Vec<Finding> {
    let vip = spec.address.ip();
    if !vip.is_ipv4() {
        return Vec::new();
    }
    let name = &link.name;
    let place = interface(name);
    // In a tunnel the edge may be anywhere, and nobody here need look for it.
    let bad = |what: String| {
        if spec.mode == Mode::L2 {
            Finding::problem("arp", &place, what)
        } else {
            Finding::warning("arp", &place, what)
        }
    };
    let mut findings = Vec::new();
    if facts.sysctls.larger(name, "arp_ignore") == Some(0) {
        let what = format!(
            "this server answers ARP for VIP {vip}, which is the edge's: packets pass the edge by"
        );
        findings.push(bad(what).remedy(set_sysctl("ipv4/conf/all/arp_ignore", 1)));
    }
    if facts.sysctls.larger(name, "arp_announce").is_some_and(|value| value < 2) {
        let what = format!(
            "this server may ask by ARP in the name of VIP {vip}, and others then take it for the \
             edge"
        );
        findings.push(bad(what).remedy(set_sysctl("ipv4/conf/all/arp_announce", 2)));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("arp", &place, "does not answer for VIPs"));
    }
    findings
}

/// Somebody waits for clients at this address.
fn listening(facts: &Facts, spec: &ServiceSpec, ip: IpAddr, port: Option<u16>) -> Vec<Finding> {
    let place = service(&spec.name);
    let listeners: &Known<Vec<Listener>> = match &facts.server {
        Some(server) => &server.listeners,
        None => return Vec::new(),
    };
    let listeners = match listeners {
        Ok(listeners) => listeners,
        Err(why) => return vec![Finding::unknown("listen", &place, why)],
    };
    // Without a port, any may be waited at.
    let Some(port) = port else { return Vec::new() };
    let judge = |udp: bool| {
        let (protocol, flag) = if udp { ("UDP", "u") } else { ("TCP", "t") };
        let at = SocketAddr::new(ip, port);
        let of_port: Vec<_> = listeners
            .iter()
            .filter(|listener| listener.udp == udp && listener.address.port() == port)
            .collect();
        if of_port.iter().any(|listener| hears(listener.address.ip(), spec, ip)) {
            return Finding::ok("listen", &place, format!("{protocol} {at} is listened at"));
        }
        let others: Vec<_> = of_port.iter().map(|l| l.address.to_string()).collect();
        let what = if others.is_empty() {
            format!("nobody listens at {protocol} {at}")
        } else {
            format!("nobody listens at {protocol} {at}, but at {}", others.join(", "))
        };
        let remedy = format!("ss -l{flag}np 'sport = :{port}'");
        Finding::problem("listen", &place, what).remedy(remedy)
    };
    let numbers = spec.protocol.numbers();
    let mut findings = Vec::new();
    findings.extend(numbers.contains(&6).then(|| judge(false)));
    findings.extend(numbers.contains(&17).then(|| judge(true)));
    findings
}

/// Whether a socket at `at` gets packets to `ip`, of a service whose VIP may be
/// a prefix. A socket at `[::]` takes IPv4 too, unless it says otherwise, which
/// /proc does not tell.
fn hears(at: IpAddr, spec: &ServiceSpec, ip: IpAddr) -> bool {
    match at {
        IpAddr::V6(v6) if v6.is_unspecified() => true,
        IpAddr::V4(v4) if v4.is_unspecified() => ip.is_ipv4(),
        at => {
            let at = match at {
                IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(at, IpAddr::V4),
                IpAddr::V4(_) => at,
            };
            at == ip || (spec.mode != Mode::Nat && spec.address.holds(at))
        }
    }
}

/// Answers of `nat` servers must pass an edge.
fn gateway(facts: &Facts, bind: &AgentBind) -> Option<Finding> {
    let place = service(&bind.service);
    let ip = bind.address.ip();
    match facts.back.get(&ip)? {
        Err(why) => Some(Finding::unknown("gateway", &place, why)),
        Ok(None) => {
            let what =
                format!("no route leads from {ip} to clients: their way is through the edge");
            let remedy = "ip route add default via <the edge's address>";
            Some(Finding::problem("gateway", &place, what).remedy(remedy))
        }
        Ok(Some(back)) => {
            let name = facts.link_name(back.ifindex);
            let what = match back.gateway {
                Some(gateway) => {
                    format!("answers to clients go by {gateway} ({name}), which must be an edge")
                }
                None => format!(
                    "answers to clients go to {name} without a gateway, where they must pass an edge"
                ),
            };
            Some(Finding::note("gateway", &place, what))
        }
    }
}
