//! Who answers for the VIPs in front of an edge.

use std::net::IpAddr;

use super::{
    super::{
        facts::{Facts, Link, mac, set_sysctl},
        finding::Finding,
        services,
        subject::Subject,
    },
    service, unknown,
};
use crate::{edge::survey::Way, model::ServiceSpec};

pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let (Some(role), Some(edge)) = (&subject.edge, &facts.edge) else { return Vec::new() };
    let links: Vec<&Link> =
        role.settings.interfaces.iter().filter_map(|name| facts.link(name)).collect();
    let services = services(subject, facts);
    let single: Vec<_> = services.iter().filter(|spec| !spec.address.is_prefix()).collect();
    let mut findings: Vec<Finding> =
        single.iter().filter_map(|spec| ours(facts, spec, &links)).collect();
    match &edge.claims {
        Err(why) => findings.push(unknown(subject, facts, "vip", "edge", why)),
        Ok(_) => findings.extend(single.iter().filter_map(|spec| claimed(facts, spec))),
    }
    findings
}

/// Packets to a VIP come to the edge because it answers for the address on the
/// link, or because a router sends them.
fn ours(facts: &Facts, spec: &ServiceSpec, links: &[&Link]) -> Option<Finding> {
    let vip = spec.address.ip();
    let place = service(&spec.name);
    let local = match facts.local.get(&vip)? {
        Ok(local) => *local,
        Err(why) => return Some(Finding::unknown("vip", &place, why)),
    };
    let Some(link) = links.iter().find(|link| is_on(facts, vip, link)) else {
        return Some(if local {
            Finding::ok("vip", &place, format!("{vip} is an address of this host"))
        } else {
            let what = format!(
                "{vip} is in no network of the edge's interfaces: routers must send it to this host"
            );
            Finding::note("vip", &place, what)
        });
    };
    let on_it = facts.links_of(vip).any(|owner| owner.index == link.index);
    // IPv4 addresses are answered for on every interface, unless that is
    // switched off; IPv6 addresses on their own.
    let ignores = facts.sysctls.larger(&link.name, "arp_ignore").is_some_and(|value| value > 0);
    let answered = if vip.is_ipv4() { local && (on_it || !ignores) } else { on_it };
    if answered {
        return Some(Finding::ok("vip", &place, format!("{vip} is answered for on {}", link.name)));
    }
    let bits = if vip.is_ipv4() { 32 } else { 128 };
    let what = format!(
        "nobody answers for {vip}, which is in the network of {}: routers there find no Ethernet \
         address for it",
        link.name
    );
    let remedy = format!("ip addr add {vip}/{bits} dev {}", link.name);
    Some(Finding::problem("vip", &place, what).remedy(remedy))
}

/// Whether hosts on the link look for the address there.
fn is_on(facts: &Facts, ip: IpAddr, link: &Link) -> bool {
    let addresses = facts.addresses.as_deref().unwrap_or_default().iter();
    // An address of its own, without a network, is not what routers go by.
    let mut networks = addresses.filter(|address| address.link == link.index && address.ip != ip);
    networks.any(|network| {
        let prefix = crate::model::Prefix::of(network.ip, network.prefix_len);
        prefix.is_some_and(|prefix| crate::model::Vip::new(prefix, None).holds(ip))
    })
}

/// Somebody else in front of the edge answers for the VIP.
fn claimed(facts: &Facts, spec: &ServiceSpec) -> Option<Finding> {
    let vip = spec.address.ip();
    let edge = facts.edge.as_ref()?;
    let ours = |found: [u8; 6]| {
        facts.links.as_deref().unwrap_or_default().iter().any(|link| link.mac == Some(found))
    };
    let claims = edge.claims.as_deref().unwrap_or_default().iter();
    let claim = claims.filter(|claim| claim.vip == vip).find(|claim| !ours(claim.mac))?;
    let ways = edge.ways.as_deref().unwrap_or_default().iter();
    let whose = ways.filter(|(_, way)| matches!(way, Way::Known { mac, .. } if *mac == claim.mac));
    let whose: Vec<_> = whose.map(|(ip, _)| format!("backend {ip}")).collect();
    let who = match whose.as_slice() {
        [] => mac(claim.mac),
        [one] => format!("{one} ({})", mac(claim.mac)),
        // A gateway, or several addresses of one server.
        [first, ..] => format!("{first} or another ({})", mac(claim.mac)),
    };
    let what = format!(
        "{who} answers for {vip} on {}, and takes its packets past the edge: do this on that host",
        facts.link_name(claim.ifindex)
    );
    let remedy = format!(
        "{} && {}",
        set_sysctl("ipv4/conf/all/arp_ignore", 1),
        set_sysctl("ipv4/conf/all/arp_announce", 2)
    );
    Some(Finding::problem("arp", &service(&spec.name), what).remedy(remedy))
}
