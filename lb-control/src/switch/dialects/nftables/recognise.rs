//! From what the kernel shows to a plan.
//!
//! The plan is read from the elements of sets, and from a comment what stands in no
//! set. Then the table of that plan is made again and compared with what is there:
//! whole is only what is as we would have made it, to the last rule.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{
    attribute::{covers, find},
    delta::{comment, read_comment},
    dump::Dump,
    expression::Verdict,
    key::{Family, Front, Path, read_backend},
    ruleset::{Chain, Data, Edge, Elements, Ruleset, Set, chain_of, leaving, map_of, read_refusal},
    uapi::*,
};
use crate::{
    model::{Name, Phase, Protocol, Share, Verdict as Manner},
    switch::{Plan, PlannedServer, PlannedService},
};

/// Grows when tables of before mean something else.
const VERSION: u32 = 1;
/// What the comment of every table of ours begins with.
const OURS: &str = "sluice ";

/// What its rules depend on beside the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Making {
    pub(super) masquerade: bool,
    /// Of the hash that refuses.
    pub(super) seed: u32,
}

impl Making {
    /// The table's comment.
    pub(super) fn label(self) -> String {
        let masquerade = if self.masquerade { ", masquerades" } else { "" };
        format!("{OURS}{VERSION}: made by its manager, seed {:08x}{masquerade}", self.seed)
    }

    fn read(label: &str) -> Option<Self> {
        let seed = label.split_once("seed ")?.1.get(..8)?;
        let seed = u32::from_str_radix(seed, 16).ok()?;
        let making = Self { masquerade: label.ends_with("masquerades"), seed };
        (making.label() == label).then_some(making)
    }
}

/// A table of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// How it was made; None: somebody has changed it.
    pub(super) whole: Option<Making>,
    /// What can be read of it.
    pub(super) plan: Plan,
}

/// None: it is not of our making.
pub(super) fn recognise(table: &str, dump: &Dump) -> Option<Seen> {
    let label = dump.comment.as_deref().filter(|label| label.starts_with(OURS))?;
    let plan = plan(dump);
    let is_whole = |making: &Making| {
        let ruleset = Ruleset::of(&plan.services, making.masquerade, making.seed);
        !dump.dormant && is_as_made(table, &ruleset, dump)
    };
    Some(Seen { whole: Making::read(label).filter(is_whole), plan })
}

fn is_as_made(table: &str, ruleset: &Ruleset, dump: &Dump) -> bool {
    let chain = |(name, chain): (&String, &Chain)| {
        let rules = dump.rules.get(name).map(Vec::as_slice).unwrap_or_default();
        dump.chains.get(name).is_some_and(|bytes| covers(&chain.attributes(table, name), bytes))
            && rules.len() == chain.rules.len()
            && chain.rules.iter().zip(rules).all(|(rule, bytes)| {
                let theirs = find(bytes, RULE_USERDATA).ok().flatten();
                covers(&rule.attributes(table, name), bytes)
                    && theirs == rule.comment.as_deref().map(comment).as_deref()
            })
    };
    let set = |(name, set): (&String, &Set)| {
        dump.sets.get(name).is_some_and(|(bytes, elements)| {
            covers(&set.attributes(table, name), bytes) && *elements == set.elements
        })
    };
    ruleset.chains.len() == dump.chains.len()
        && ruleset.sets.len() == dump.sets.len()
        && ruleset.chains.iter().all(chain)
        && ruleset.sets.iter().all(set)
}

/// What makes no sense is left out.
fn plan(dump: &Dump) -> Plan {
    let mut plan = Plan::default();
    let mut names = BTreeMap::new();
    for family in Family::ALL {
        for ((key, _), data) in elements(dump, &family.set("services")) {
            let Some((front, name)) = read_service(family, key, data.as_ref()) else { continue };
            let (refuse, verdict) = refusal(dump, &name);
            let mut protocol = if front.protocol == 6 { Protocol::Tcp } else { Protocol::Udp };
            if plan.services.get(&name).is_some_and(|other| other.protocol != protocol) {
                protocol = Protocol::TcpAndUdp;
            }
            let service = PlannedService {
                address: front.address.ip(),
                port: front.address.port(),
                protocol,
                servers: BTreeMap::new(),
                refuse,
                verdict,
            };
            names.insert(front, name.clone());
            plan.services.insert(name, service);
        }
    }
    for family in Family::ALL {
        for key in elements(dump, &family.set("bindings")).keys() {
            let left = elements(dump, &family.set("leaving")).get(key).cloned().flatten();
            let phase = |phase: &Phase| left == leaving(*phase).map(Data::Verdict);
            let phases = [Phase::Serve, Phase::Drain, Phase::Break];
            let phase = phases.into_iter().find(phase).unwrap_or(Phase::Serve);
            let Some(path) = Path::read(family, &key.0) else { continue };
            let service = names.get(&path.front).and_then(|name| plan.services.get_mut(name));
            let Some(service) = service else { continue };
            let server = PlannedServer { weight: 0, phase };
            service.servers.insert(path.backend, server);
        }
    }
    for (name, service) in &mut plan.services {
        for (backend, weight) in shares(dump, Family::of(service.address), name) {
            if let Some(server) = service.servers.get_mut(&backend) {
                server.weight = weight;
            }
        }
    }
    plan
}

static NONE: Elements = Elements::new();

fn elements<'a>(dump: &'a Dump, set: &str) -> &'a Elements {
    dump.sets.get(set).map_or(&NONE, |(_, elements)| elements)
}

fn read_service(family: Family, key: &[u8], data: Option<&Data>) -> Option<(Front, Name)> {
    let Some(Data::Verdict(Verdict::Goto(chain))) = data else { return None };
    Some((Front::read(family, key)?, chain.strip_prefix("service-")?.parse().ok()?))
}

/// The lengths of a service's intervals.
fn shares(dump: &Dump, family: Family, service: &Name) -> Vec<(SocketAddr, u32)> {
    let mut shares = Vec::new();
    let mut open = None;
    for ((key, edge), data) in elements(dump, &map_of(service)) {
        let Ok(at) = key.as_slice().try_into().map(u32::from_be_bytes) else { continue };
        match (edge, data) {
            (Edge::Start, Some(Data::Value(backend))) => open = Some((at, backend)),
            (Edge::Start, _) => {}
            (Edge::End, _) => {
                let Some((start, backend)) = open.take() else { continue };
                let backend = read_backend(family, backend);
                shares.extend(backend.map(|backend| (backend, at.saturating_sub(start))));
            }
        }
    }
    shares
}

/// Whom the service refuses, as a comment in its chain says.
fn refusal(dump: &Dump, service: &Name) -> (Share, Manner) {
    let rules = dump.rules.get(&chain_of(service)).into_iter().flatten();
    let comments = rules.filter_map(|rule| find(rule, RULE_USERDATA).ok()?);
    let mut refusals = comments.filter_map(|userdata| read_refusal(read_comment(userdata)?));
    refusals.next().unwrap_or_default()
}
