//! The ways from an edge to its backends.

use std::{collections::BTreeSet, net::IpAddr};

use lb_common::{abi::mode, tunnel};

use super::{
    super::{
        facts::{Facts, Link},
        finding::Finding,
        services,
        subject::{EdgeRole, Subject},
    },
    device::{TAKES_FRAMES, let_it_take, peer_of},
    interface, unknown,
};
use crate::{
    edge::survey::Way,
    model::{Mode, ServiceSpec},
    xdp::interfaces::Place,
};

/// What clients send at most, since that is what the Internet takes.
pub(super) const CLIENT_MTU: u32 = 1500;
/// What every network takes (RFC 8200 section 5; RFC 791).
const LEAST_V6: u32 = 1280;
const LEAST_V4: u32 = 576;

pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let (Some(role), Some(edge)) = (&subject.edge, &facts.edge) else { return Vec::new() };
    let ways = match &edge.ways {
        Ok(ways) => ways,
        Err(why) => return vec![unknown(subject, facts, "next_hop", "edge", why)],
    };
    let specs = services(subject, facts);
    let mut findings = Vec::new();
    let mut egress = BTreeSet::new();
    for (backend, way) in ways {
        findings.push(next_hop(facts, role, *backend, way));
        if let Way::Known { ifindex, mtu, .. } = *way {
            egress.insert(ifindex);
            let uses = specs.iter().filter(|spec| serves(subject, facts, spec, *backend));
            findings.extend(too_small(facts, role, *backend, ifindex, mtu.into(), uses));
        }
    }
    findings.extend(egress.into_iter().filter_map(|index| redirect(facts, role, index)));
    findings
}

fn place(backend: IpAddr) -> String {
    format!("backend {backend}")
}

/// Whether the backend is one of the service's.
fn serves(subject: &Subject, facts: &Facts, spec: &ServiceSpec, backend: IpAddr) -> bool {
    match facts.tables() {
        Some(tables) => tables
            .bindings
            .iter()
            .any(|bound| bound.service == spec.name && bound.backend.ip() == backend),
        None => subject
            .static_backends()
            .any(|(name, address)| *name == spec.name && address.ip() == backend),
    }
}

fn next_hop(facts: &Facts, role: &EdgeRole, backend: IpAddr, way: &Way) -> Finding {
    let place = place(backend);
    let lost = "packets to it are dropped as `unreachable`";
    match way {
        Way::None(why) => {
            let remedy = if facts.links_of(backend).next().is_some() {
                "give it a host of its own: an edge cannot be its own backend".to_owned()
            } else if why.contains("does not answer") {
                format!("ping -c 3 {backend}")
            } else {
                format!("ip route get {backend}")
            };
            Finding::problem("next_hop", &place, format!("{why}: {lost}")).remedy(remedy)
        }
        Way::Unanswered => {
            let what = format!("its next hop does not answer: {lost}");
            Finding::problem("next_hop", &place, what).remedy(format!("ping -c 3 {backend}"))
        }
        Way::Known { ifindex, mac, .. } => {
            let bindings = facts.tables().map(|tables| tables.bindings.as_slice());
            let mut bindings = bindings.unwrap_or_default().iter();
            let unknown = |bound: &&crate::edge::survey::Bound| {
                bound.backend.ip() == backend && !bound.reachable
            };
            if bindings.find(unknown).is_some() {
                let what = "the kernel knows the way to it, the edge does not: packets to it are \
                            dropped as `unreachable`";
                return Finding::warning("next_hop", &place, what).remedy(role.start.clone());
            }
            let what =
                format!("by {} to {}", facts.link_name(*ifindex), super::super::facts::mac(*mac));
            Finding::ok("next_hop", &place, what)
        }
    }
}

/// Bytes that a service puts before packets to a backend.
pub(super) fn overhead(service: Mode, backend: IpAddr) -> u32 {
    let mode = match service {
        Mode::L2 => mode::L2,
        Mode::Nat => mode::NAT,
        Mode::Ipip => mode::IPIP,
        Mode::Gue => mode::GUE,
    };
    tunnel::overhead(mode, backend.is_ipv4()).into()
}

/// The way does not take what clients send, and what goes before it.
fn too_small<'a>(
    facts: &Facts,
    role: &EdgeRole,
    backend: IpAddr,
    ifindex: u32,
    mtu: u32,
    services: impl Iterator<Item = &'a ServiceSpec>,
) -> Option<Finding> {
    let comes_in = role.settings.interfaces.iter().filter_map(|name| facts.link(name));
    let sent = comes_in.map(|link| link.mtu).max().unwrap_or(CLIENT_MTU).min(CLIENT_MTU);
    let widest = services.max_by_key(|spec| overhead(spec.mode, backend))?;
    let overhead = overhead(widest.mode, backend);
    if mtu == 0 || mtu >= sent + overhead {
        return None;
    }
    let left = mtu.saturating_sub(overhead);
    let name = facts.link_name(ifindex);
    let remedy = if facts.link_at(ifindex).is_some_and(|link| link.mtu < CLIENT_MTU + overhead) {
        format!("ip link set dev {name} mtu {}", CLIENT_MTU + overhead)
    } else {
        // The route's own.
        format!("ip route get {backend}")
    };
    let least = if widest.address.is_ipv4() { LEAST_V4 } else { LEAST_V6 };
    let finding = if left < least {
        let what = format!(
            "the way by {name} takes {mtu} bytes, which leaves {left} for packets of service {}: \
             fewer than {least}, which no client must go below",
            widest.name
        );
        Finding::problem("mtu", &place(backend), what)
    } else {
        let what = format!(
            "the way by {name} takes {mtu} bytes, which leaves {left} for packets of service {}: \
             clients whose packets have {sent} must be told, which firewalls can prevent",
            widest.name
        );
        Finding::warning("mtu", &place(backend), what)
    };
    Some(finding.remedy(remedy))
}

/// Frames leave by another interface than they came in by, whose driver must
/// take them.
fn redirect(facts: &Facts, role: &EdgeRole, egress: u32) -> Option<Finding> {
    let link = facts.link_at(egress)?;
    let native = |ingress: &&Link| {
        ingress.program.as_ref().is_none_or(|program| program.place == Place::Native)
    };
    let ingress = role.settings.interfaces.iter().filter_map(|name| facts.link(name));
    let other: Vec<_> = ingress
        .filter(native)
        .filter(|ingress| ingress.index != egress)
        .map(|ingress| ingress.name.as_str())
        .collect();
    if other.is_empty() {
        return None;
    }
    let from = other.join(", ");
    let place = interface(&link.name);
    Some(match link.xdp {
        Some(features) if features & TAKES_FRAMES != 0 => {
            Finding::ok("redirect", &place, format!("takes frames from {from}"))
        }
        Some(_) => {
            let what = format!(
                "driver {} does not take the frames that come in by {from} and leave here: they \
                 are lost",
                link.driver_name()
            );
            let remedy = if link.is("veth") {
                let_it_take(peer_of(link, facts))
            } else {
                format!("set `xdp = \"generic\"` in [edge], or let them leave by {from}")
            };
            Finding::problem("redirect", &place, what).remedy(remedy)
        }
        None => {
            let what = format!(
                "this kernel does not tell whether driver {} takes the frames that come in by \
                 {from} and leave here",
                link.driver_name()
            );
            Finding::note("redirect", &place, what)
        }
    })
}
