//! A server's end of tunnels.

use lb_common::abi::decap::Reason;

use super::{
    super::{
        facts::{Facts, Link},
        finding::Finding,
        subject::{ServerRole, Subject},
    },
    hops::{CLIENT_MTU, overhead},
    interface,
    server::spec_of,
    service, unknown,
};
use crate::{
    config::{AgentBind, DecapSettings},
    decap::survey::Survey,
    model::{Prefix, ServiceSpec, Vip},
};

const DECAP: &str = "tunnels";
/// Interfaces of the kernel's own that take packets out of tunnels.
const KERNEL_TUNNELS: [&str; 4] = ["ipip", "ip6tnl", "sit", "fou"];

pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let (Some(role), Some(server)) = (&subject.server, &facts.server) else { return Vec::new() };
    let tunnelled: Vec<(&AgentBind, ServiceSpec)> = role
        .settings
        .binds
        .iter()
        .filter_map(|bind| Some((bind, spec_of(subject, facts, bind)?)))
        .filter(|(_, spec)| spec.mode.is_tunnel())
        .collect();
    if tunnelled.is_empty() {
        return Vec::new();
    }
    let Some(decap) = &role.settings.decap else {
        return vec![without_program(subject, facts, &tunnelled)];
    };
    let mut findings = Vec::new();
    match &server.decap {
        Err(why) => findings.push(unknown(subject, facts, "decap", DECAP, why)),
        // What is not on the interfaces is told of there.
        Ok(None) => {}
        Ok(Some(survey)) => {
            findings.extend(running(role, survey));
            findings.extend(
                tunnelled
                    .iter()
                    .flat_map(|(bind, spec)| addresses(facts, role, survey, bind, spec)),
            );
            findings.extend(counters(survey, decap));
        }
    }
    for link in decap.interfaces.iter().filter_map(|name| facts.link(name)) {
        findings.extend(too_small(link, &tunnelled));
    }
    findings
}

fn without_program(
    subject: &Subject,
    facts: &Facts,
    tunnelled: &[(&AgentBind, ServiceSpec)],
) -> Finding {
    let links = facts.links.as_deref().unwrap_or_default().iter();
    let tunnels: Vec<_> = links
        .filter(|link| KERNEL_TUNNELS.iter().any(|kind| link.is(kind)) && link.up)
        .map(|link| link.name.as_str())
        .collect();
    if !tunnels.is_empty() {
        let what = format!(
            "there is no [agent.decap], and {} are there: they take packets out where they are \
             set up for it",
            tunnels.join(", ")
        );
        return Finding::note("decap", DECAP, what);
    }
    let names: Vec<_> = tunnelled.iter().map(|(_, spec)| spec.name.as_str()).collect();
    let what = format!("nothing takes packets of {} out of their tunnel", names.join(", "));
    let ours: Vec<_> = tunnelled
        .iter()
        .flat_map(|(bind, _)| facts.links_of(bind.address.ip()))
        .map(|link| format!("\"{}\"", link.name))
        .collect();
    let remedy = format!(
        "add `[agent.decap]` with `interfaces = [{}]` to {}",
        ours.first().map_or("\"eth0\"", String::as_str),
        subject.config.as_ref().map_or_else(
            || "a file, and start the agent with it".to_owned(),
            |path| path.display().to_string()
        )
    );
    Finding::problem("decap", DECAP, what).remedy(remedy)
}

fn running(role: &ServerRole, survey: &Survey) -> Option<Finding> {
    if survey.holder.is_some() {
        return None;
    }
    let what = "no agent runs: its program goes on, and no change of addresses reaches it";
    Some(Finding::warning("decap", DECAP, what).remedy(role.start.clone()))
}

/// Outside and inside, packets must be to addresses that the program knows.
fn addresses(
    facts: &Facts,
    role: &ServerRole,
    survey: &Survey,
    bind: &AgentBind,
    spec: &ServiceSpec,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let place = service(&bind.service);
    let ip = bind.address.ip();
    if !survey.servers.contains(&ip) {
        let what = format!(
            "tunnelled packets to {ip} stay as they are: the agent was started with \
                            other binds"
        );
        findings.push(Finding::problem("decap", &place, what).remedy(role.start.clone()));
    }
    let vip = spec.address.ip();
    let holds = |prefix: &Prefix| Vip::new(*prefix, None).holds(vip);
    if survey.vips.iter().any(holds) {
        return findings;
    }
    // One that is nowhere is told of as such.
    let elsewhere: Vec<_> = facts.links_of(vip).map(|link| link.name.as_str()).collect();
    if !elsewhere.is_empty() {
        let bits = if vip.is_ipv4() { 32 } else { 128 };
        let what = format!(
            "VIP {vip} is on {}: only packets to addresses of lo, or of `vips` in [agent.decap], \
             are taken out of tunnels",
            elsewhere.join(", ")
        );
        let remedy = format!("ip addr add {vip}/{bits} dev lo");
        findings.push(Finding::problem("decap", &place, what).remedy(remedy));
    } else if spec.address.is_prefix() {
        let what = format!("{} is not in `vips` of [agent.decap]", spec.address.prefix());
        let remedy = format!("set `vips = [\"{}\"]` in [agent.decap]", spec.address.prefix());
        findings.push(Finding::problem("decap", &place, what).remedy(remedy));
    }
    findings
}

fn counters(survey: &Survey, decap: &DecapSettings) -> Vec<Finding> {
    let count = |reason: Reason| {
        survey.counters.iter().find(|(counted, _)| *counted == reason).map_or(0, |(_, n)| *n)
    };
    let mut findings = Vec::new();
    let allowed: Vec<_> = decap.sources.iter().map(ToString::to_string).collect();
    for (reason, why, remedy) in [
        (
            Reason::Source,
            format!("they came from others than `sources` ({})", allowed.join(", ")),
            "set `sources` in [agent.decap] to the edges' `tunnel_sources`",
        ),
        (
            Reason::Destination,
            "what was inside was to none of the VIPs here".to_owned(),
            "ip addr show dev lo",
        ),
        (
            Reason::Malformed,
            "what was inside was cut short, or no IP packet".to_owned(),
            "tcpdump -ni any 'ip proto 4 or ip proto 41 or udp port 6080'",
        ),
    ] {
        let packets = count(reason);
        if packets > 0 {
            let what = format!("{packets} tunnelled packets were dropped: {why}");
            findings.push(Finding::warning("decap", DECAP, what).remedy(remedy));
        }
    }
    let out = count(Reason::Decapsulated);
    findings.push(if out == 0 {
        let what =
            "no packet has come out of a tunnel yet: where one should have, look at the edge";
        Finding::note("decap", DECAP, what)
    } else {
        Finding::ok("decap", DECAP, format!("{out} packets came out of tunnels"))
    });
    findings
}

/// What the edge sends is longer than what the client sent.
fn too_small(link: &Link, tunnelled: &[(&AgentBind, ServiceSpec)]) -> Option<Finding> {
    let most = tunnelled.iter().map(|(bind, spec)| overhead(spec.mode, bind.address.ip())).max()?;
    let needed = CLIENT_MTU + most;
    if link.mtu >= needed {
        return None;
    }
    let what = format!(
        "takes packets of {} bytes: a client's of {CLIENT_MTU} have {needed} in the tunnel, so \
         that clients must be told to send less",
        link.mtu
    );
    let remedy = format!("ip link set dev {} mtu {needed}", link.name);
    Some(Finding::note("mtu", &interface(&link.name), what).remedy(remedy))
}
