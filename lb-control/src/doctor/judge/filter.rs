//! Settings of the kernel that drop packets, or do not forward them.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    super::{
        facts::{Back, Facts, Known, set_sysctl},
        finding::Finding,
        services,
        subject::Subject,
    },
    interface,
};
use crate::model::{Mode, ServiceSpec};

/// Of `rp_filter`: a packet must come by the interface that leads back to its
/// sender (RFC 3704 section 2.2). 2, the loose way, wants any route back.
const STRICT: i64 = 1;

pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(role) = &subject.edge {
        let nat: Vec<_> =
            services(subject, facts).into_iter().filter(|spec| spec.mode == Mode::Nat).collect();
        for name in &role.settings.interfaces {
            findings.extend(edge_filter(facts, name, !nat.is_empty()));
            findings.extend(forwarding(facts, name, &nat));
        }
    }
    findings
}

/// `max(all, interface)` counts, so that 2 loosens it whatever `all` is.
fn loosen(name: &str) -> String {
    set_sysctl(&format!("ipv4/conf/{name}/rp_filter"), 2)
}

fn dropped(facts: &Facts) -> String {
    match facts.host.reverse_path_drops {
        Some(packets) if packets > 0 => format!(" ({packets} packets were dropped by it)"),
        _ => String::new(),
    }
}

/// On an edge the kernel gets replies of `nat` servers whose client it must
/// resolve first: they come by the servers' interface and have the VIP as
/// source.
fn edge_filter(facts: &Facts, name: &str, nat: bool) -> Option<Finding> {
    let strict = facts.sysctls.larger(name, "rp_filter")? == STRICT;
    let place = interface(name);
    if !strict {
        return Some(Finding::ok("rp_filter", &place, "no strict reverse-path filter"));
    }
    if !nat {
        return Some(Finding::ok("rp_filter", &place, "strict, which is no matter here"));
    }
    let what = format!(
        "the reverse-path filter is strict: it drops replies of `nat` servers that the kernel \
         hands on{}",
        dropped(facts)
    );
    Some(Finding::warning("rp_filter", &place, what).remedy(loosen(name)))
}

/// The way of replies back to clients is the kernel's, and it knows none on
/// interfaces that do not forward.
fn forwarding(facts: &Facts, name: &str, nat: &[ServiceSpec]) -> Vec<Finding> {
    let families: BTreeSet<bool> = nat.iter().map(|spec| spec.address.is_ipv4()).collect();
    let judge = |v4: bool| {
        let (family, all) = if v4 {
            ("ipv4", "ipv4/ip_forward".to_owned())
        } else {
            ("ipv6", "ipv6/conf/all/forwarding".to_owned())
        };
        let own = format!("{family}/conf/{name}/forwarding");
        let place = interface(name);
        if facts.sysctls.get(&own)? != 0 {
            return Some(Finding::ok("forwarding", &place, format!("on ({family})")));
        }
        let what = format!(
            "{family} forwarding is off: replies of `nat` servers are dropped as `no_route`"
        );
        let remedy = match facts.sysctls.get(&all) {
            Some(0) => set_sysctl(&all, 1),
            _ => set_sysctl(&own, 1),
        };
        Some(Finding::problem("forwarding", &place, what).remedy(remedy))
    };
    families.into_iter().filter_map(judge).collect()
}

/// On a server, packets from clients come in by `name`, and answers go `back`.
pub(super) fn server_filter(
    facts: &Facts,
    name: &str,
    vip: IpAddr,
    back: Option<&Known<Option<Back>>>,
) -> Option<Finding> {
    if !vip.is_ipv4() || facts.sysctls.larger(name, "rp_filter")? != STRICT {
        return None;
    }
    let place = interface(name);
    let link = facts.link(name)?;
    let Some(Ok(Some(back))) = back else { return None };
    if back.ifindex != link.index {
        let what = format!(
            "the reverse-path filter is strict, and the way back to clients is by {}: it drops \
             what they send{}",
            facts.link_name(back.ifindex),
            dropped(facts)
        );
        return Some(Finding::problem("rp_filter", &place, what).remedy(loosen(name)));
    }
    if facts.host.reverse_path_drops.is_some_and(|packets| packets > 0) {
        let what = format!(
            "the reverse-path filter is strict: it drops packets from clients to whom another way \
             leads back{}",
            dropped(facts)
        );
        return Some(Finding::warning("rp_filter", &place, what).remedy(loosen(name)));
    }
    Some(Finding::ok("rp_filter", &place, "strict, and the way back is the same"))
}
