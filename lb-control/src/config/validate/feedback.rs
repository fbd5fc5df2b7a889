//! `[[manager.dfp]]` and `[manager.agent_check]`

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};

use super::{Faults, Place};
use crate::{
    config::{DfpSettings, Settings},
    model::Prefix,
};

pub(super) fn check(settings: &Settings, faults: &mut Faults) {
    let mut seen = HashSet::new();
    let agents = &settings.manager.dfp;
    for (index, agent) in agents.iter().enumerate() {
        let place = Place::default().key("manager").element("dfp", index);
        if !seen.insert(&agent.name) {
            faults.push(place.key("name"), format!("two DFP agents are named `{}`", agent.name));
        }
        one(agent, &place, faults);
        let others = agents.iter().take(index);
        if let Some((other, prefix)) = others.filter_map(|o| Some((o, overlap(agent, o)?))).next() {
            let message = format!(
                "DFP agents `{}` and `{}` both speak of {prefix}: which one counts?",
                other.name, agent.name
            );
            faults.push(place.key("backends"), message);
        }
    }
    if let Some(agent_check) = &settings.manager.agent_check {
        let listen = agent_check.listen;
        let taken =
            [("listen", Some(settings.manager.listen)), ("metrics", settings.manager.metrics)];
        let same = |(_, other): &(_, Option<SocketAddr>)| other.is_some_and(|o| clash(o, listen));
        if let Some((by, _)) = taken.into_iter().find(same) {
            faults.push(
                Place::default().key("manager").key("agent_check").key("listen"),
                format!("{listen} is taken by `manager.{by}`: give it a port of its own"),
            );
        }
    }
}

/// Whether one host cannot listen on both.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let any = |address: SocketAddr| address.ip().is_unspecified();
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || any(one) || any(other))
}

fn one(agent: &DfpSettings, place: &Place, faults: &mut Faults) {
    let ip = agent.address.ip();
    if agent.address.port() == 0 || ip.is_unspecified() || ip.is_multicast() {
        let message = format!("{} is not where a DFP agent listens", agent.address);
        faults.push(place.key("address"), message);
    }
    if agent.backends.is_empty() && ip.is_ipv6() {
        let message = "DFP speaks of servers by their IPv4 addresses: name them by `backends`";
        faults.push(place.key("backends"), message);
    }
    if let Some(six) = agent.backends.iter().find(|prefix| prefix.addr().is_ipv6()) {
        let message = format!("`{six}` is of IPv6, of which DFP has no words");
        faults.push(place.key("backends"), message);
    }
    if agent.keepalive.subsec_nanos() != 0 || u32::try_from(agent.keepalive.as_secs()).is_err() {
        let message = "`keepalive` is in whole seconds, such as \"10s\", or \"0s\" for none";
        faults.push(place.key("keepalive"), message);
    }
    faults.periods(place, &[("interval", agent.interval), ("timeout", agent.timeout)]);
}

/// What both may speak of.
fn overlap(one: &DfpSettings, other: &DfpSettings) -> Option<Prefix> {
    let of = |agent: &DfpSettings| match agent.backends.as_slice() {
        [] => vec![Prefix::from(agent.address.ip())],
        some => some.to_vec(),
    };
    let (ones, others) = (of(one), of(other));
    let first = |prefix: &Prefix| -> IpAddr { prefix.addr() };
    ones.iter().find_map(|a| {
        let both = others.iter().find(|b| a.takes(first(b)) || b.takes(first(a)))?;
        Some(if a.len() > both.len() { *a } else { *both })
    })
}
