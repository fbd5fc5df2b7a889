//! From what the kernel shows to a plan.
//!
//! The plan is read from the elements of sets, and from comments what stands in no
//! set. Then the table of that plan is made again and compared with what is there.
//! So a table is ours to the last rule, or it is not ours at all.

use std::collections::BTreeMap;

use super::{
    attribute::covers,
    delta::comment,
    dump::Dump,
    key::{Family, Front, Path, read_backend},
    ruleset::{Data, Edge, Elements, Ruleset, chain_of, leaving, map_of, read_refusal},
};
use super::{attribute::find, delta::read_comment, expression::Verdict, uapi::*};
use crate::{
    model::{Name, Phase, Protocol, Share, Verdict as Manner},
    switch::{Plan, PlannedServer, PlannedService},
};

/// Grows when tables of before mean something else.
const VERSION: u32 = 1;

/// The table's comment: what its rules depend on beside the plan.
pub(super) fn label(masquerade: bool, seed: u32) -> String {
    let masquerade = if masquerade { ", masquerades" } else { "" };
    format!("sluice {VERSION}: made by its manager, seed {seed:08x}{masquerade}")
}

fn seed_of(label: &str) -> Option<u32> {
    let seed = label.split_once("seed ")?.1.get(..8)?;
    u32::from_str_radix(seed, 16).ok()
}

/// The plan of a table and its seed; None: it is not as we would have made it.
pub(super) fn recognise(table: &str, masquerade: bool, dump: &Dump) -> Option<(u32, Plan)> {
    let seed = seed_of(dump.comment.as_deref()?)?;
    if dump.comment.as_deref() != Some(label(masquerade, seed).as_str()) || dump.dormant {
        return None;
    }
    let plan = plan(dump)?;
    let ruleset = Ruleset::of(&plan.services, masquerade, seed);
    is_as_made(table, &ruleset, dump).then_some((seed, plan))
}

fn is_as_made(table: &str, ruleset: &Ruleset, dump: &Dump) -> bool {
    let no_rules = Vec::new();
    let chain = |(name, chain): (&String, &super::ruleset::Chain)| {
        let rules = dump.rules.get(name).unwrap_or(&no_rules);
        dump.chains.get(name).is_some_and(|bytes| covers(&chain.attributes(table, name), bytes))
            && rules.len() == chain.rules.len()
            && chain.rules.iter().zip(rules).all(|(rule, bytes)| {
                let theirs = find(bytes, RULE_USERDATA).ok().flatten();
                covers(&rule.attributes(table, name), bytes)
                    && theirs == rule.comment.as_deref().map(comment).as_deref()
            })
    };
    let set = |(name, set): (&String, &super::ruleset::Set)| {
        dump.sets.get(name).is_some_and(|(bytes, elements)| {
            covers(&set.attributes(table, name), bytes) && *elements == set.elements
        })
    };
    ruleset.chains.len() == dump.chains.len()
        && ruleset.sets.len() == dump.sets.len()
        && ruleset.chains.iter().all(chain)
        && ruleset.sets.iter().all(set)
}

fn plan(dump: &Dump) -> Option<Plan> {
    let mut plan = Plan::default();
    let mut names = BTreeMap::new();
    for family in Family::ALL {
        for ((key, _), data) in elements(dump, &family.set("services"))? {
            let front = Front::read(family, key)?;
            let Some(Data::Verdict(Verdict::Goto(chain))) = data else { return None };
            let name: Name = chain.strip_prefix("service-")?.parse().ok()?;
            names.insert(front, name.clone());
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
            plan.services.insert(name, service);
        }
    }
    for family in Family::ALL {
        for (key, _) in elements(dump, &family.set("bindings"))?.keys() {
            let path = Path::read(family, key)?;
            let service = plan.services.get_mut(names.get(&path.front)?)?;
            let left = elements(dump, &family.set("leaving"))?.get(&(key.clone(), Edge::Start));
            let phase = match left {
                None => Phase::Serve,
                Some(Some(Data::Verdict(verdict))) => [Phase::Drain, Phase::Break]
                    .into_iter()
                    .find(|phase| leaving(*phase).as_ref() == Some(verdict))?,
                Some(_) => return None,
            };
            service.servers.insert(path.backend, PlannedServer { weight: 0, phase });
        }
    }
    for (name, service) in &mut plan.services {
        let Some((_, shares)) = dump.sets.get(&map_of(name)) else { continue };
        let family = Family::of(service.address);
        let at = |key: &[u8]| key.try_into().ok().map(u32::from_be_bytes);
        let starts = shares.iter().filter(|((_, edge), _)| *edge == Edge::Start);
        let mut ends = shares.keys().filter(|(_, edge)| *edge == Edge::End);
        for ((start, _), data) in starts {
            let Some(Data::Value(backend)) = data else { return None };
            let weight = at(&ends.next()?.0)?.checked_sub(at(start)?)?;
            service.servers.get_mut(&read_backend(family, backend)?)?.weight = weight;
        }
    }
    Some(plan)
}

fn elements<'a>(dump: &'a Dump, set: &str) -> Option<&'a Elements> {
    dump.sets.get(set).map(|(_, elements)| elements)
}

/// Whom the service refuses, as a comment in its chain says.
fn refusal(dump: &Dump, service: &Name) -> (Share, Manner) {
    let rules = dump.rules.get(&chain_of(service)).into_iter().flatten();
    let comments = rules.filter_map(|rule| find(rule, RULE_USERDATA).ok()?);
    let refusals = comments.filter_map(|userdata| read_refusal(read_comment(userdata)?));
    refusals.last().unwrap_or_default()
}
