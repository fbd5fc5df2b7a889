//! The table that makes a plan so.
//!
//! ```text
//! chain choose        only for the first packet of a connection
//!   ip daddr . meta l4proto . th dport vmap @services4     → service-www
//! chain service-www
//!   tcp flags & (fin|syn|rst|ack) != syn goto reset        of a connection that is gone
//!   jhash ip saddr . th sport mod 1000000 < 250000 goto reset
//!   dnat ip to numgen random mod 300 map @servers-www
//!   goto reset                                             nobody serves; else drop
//! chain cut           every packet
//!   ct status dnat, SERVICE . BACKEND vmap @leaving4       broken: goto reset
//! chain count         only for the first packet of a connection
//!   ct status dnat, SERVICE . BACKEND @bindings4           counts; may masquerade
//! ```
//!
//! Where a connection goes is remembered by conntrack: whatever changes here, it stays.
//! Whether it is refused is a hash of its source, so that a SYN that is sent again
//! gets the same answer.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{
    attribute::Attribute,
    expression::{self as is, Verdict},
    key::{self, Family, Front, Path},
    uapi::*,
};
use crate::{
    model::{Name, Phase, Share, Verdict as Manner},
    switch::PlannedService,
};

const RESET: &str = "reset";
const TCP: u8 = 6;
/// FIN, SYN, RST, ACK; and SYN alone.
const FLAGS: (u8, u8) = (0x17, 0x02);
const RST: u8 = 0x04;
/// A share of all (`Share::ALL`).
const WHOLE: u32 = 1_000_000;

/// Everything in our table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ruleset {
    pub(super) chains: BTreeMap<String, Chain>,
    pub(super) sets: BTreeMap<String, Set>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// Type, hook and priority.
    pub(super) base: Option<(&'static str, i32, i32)>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) expressions: Vec<Attribute>,
    pub(super) comment: Option<String>,
    /// A map that is the chain's own, and is made anew where it changes.
    pub(super) map: Option<String>,
}

/// A set or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// Type and length.
    pub(super) key: (u32, u32),
    pub(super) data: Option<(u32, u32)>,
    pub(super) intervals: bool,
    /// Each element has a counter.
    pub(super) counted: bool,
    pub(super) elements: Elements,
}

/// By key.
pub(super) type Elements = BTreeMap<(Vec<u8>, Edge), Option<Data>>;

/// Where one interval ends and the next begins, the kernel wants the end first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edge {
    /// The first key after an interval.
    End,
    /// The first key of an interval, or one that stands alone.
    Start,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Data {
    Value(Vec<u8>),
    Verdict(Verdict),
}

/// Chain of a service.
pub(super) fn chain_of(service: &Name) -> String {
    format!("service-{service}")
}

/// Map of a service: from a random number to a backend.
pub(super) fn map_of(service: &Name) -> String {
    format!("servers-{service}")
}

/// What says, in the chain of a service, whom it refuses.
pub(super) fn refusal(refuse: Share, manner: Manner) -> String {
    let manner = match manner {
        Manner::Reset => "reset",
        Manner::Silent => "drop",
    };
    format!("refuses {} ppm: {manner}", refuse.ppm())
}

pub(super) fn read_refusal(comment: &str) -> Option<(Share, Manner)> {
    let (ppm, manner) = comment.strip_prefix("refuses ")?.split_once(" ppm: ")?;
    let manner = match manner {
        "reset" => Manner::Reset,
        "drop" => Manner::Silent,
        _ => return None,
    };
    Some((Share::from_ppm(ppm.parse().ok()?)?, manner))
}

/// How a binding leaves, in `leaving4`.
pub(super) fn leaving(phase: Phase) -> Option<Verdict> {
    match phase {
        Phase::Serve => None,
        Phase::Drain => Some(Verdict::Return),
        Phase::Break => Some(Verdict::Goto(RESET.to_owned())),
    }
}

/// The keys of a service.
pub(super) fn fronts(service: &PlannedService) -> impl Iterator<Item = Front> {
    let address = SocketAddr::new(service.address, service.port);
    service.protocol.numbers().iter().map(move |&protocol| Front { address, protocol })
}

impl Ruleset {
    /// All of it, for these services.
    pub(super) fn of<'a>(
        services: impl IntoIterator<Item = (&'a Name, &'a PlannedService)>,
        masquerade: bool,
        seed: u32,
    ) -> Self {
        let mut ruleset = Self::default();
        ruleset.skeleton(masquerade);
        for (name, service) in services {
            ruleset.service(name, service, seed);
        }
        ruleset
    }

    /// What does not depend on services.
    fn skeleton(&mut self, masquerade: bool) {
        // Before and after those of the site that have the usual priorities.
        let base = [
            ("prerouting", ("nat", NF_INET_PRE_ROUTING, -110), "choose"),
            ("output", ("nat", NF_INET_LOCAL_OUT, -110), "choose"),
            ("postrouting", ("nat", NF_INET_POST_ROUTING, 90), "count"),
            ("forward", ("filter", NF_INET_FORWARD, -10), "cut"),
            ("local", ("filter", NF_INET_LOCAL_OUT, -10), "cut"),
        ];
        for (name, hook, target) in base {
            let jump = is::verdict(&Verdict::Jump(target.to_owned()));
            let chain = Chain { base: Some(hook), rules: vec![rule([jump])] };
            self.chains.insert(name.to_owned(), chain);
        }
        self.chain(RESET, answers());
        self.chain("choose", Family::ALL.into_iter().map(choose).collect());
        self.chain("cut", Family::ALL.into_iter().map(cut).collect());
        let count = |family| count(family, masquerade);
        self.chain("count", Family::ALL.into_iter().map(count).collect());
        for family in Family::ALL {
            let address = u32::from(family.len());
            let front = concat(&[family.address_type(), INET_PROTO, INET_SERVICE]);
            let path = front << (2 * TYPE_BITS) | backend_type(family);
            let (front, path) = ((front, address + 8), (path, 2 * address + 12));
            let verdict = Some((DATA_TYPE_VERDICT, 0));
            let set = |key, data, counted| Set {
                key,
                data,
                intervals: false,
                counted,
                elements: BTreeMap::new(),
            };
            self.sets.insert(family.set("services"), set(front, verdict, false));
            self.sets.insert(family.set("leaving"), set(path, verdict, false));
            self.sets.insert(family.set("bindings"), set(path, None, true));
        }
    }

    fn chain(&mut self, name: &str, rules: Vec<Rule>) {
        self.chains.insert(name.to_owned(), Chain { base: None, rules });
    }

    fn service(&mut self, name: &Name, service: &PlannedService, seed: u32) {
        let family = Family::of(service.address);
        let chain = chain_of(name);
        let goto = Data::Verdict(Verdict::Goto(chain.clone()));
        for front in fronts(service) {
            self.element(&family.set("services"), front.key(), Some(goto.clone()));
            for (&backend, server) in &service.servers {
                let key = Path { front, backend }.key();
                if let Some(verdict) = leaving(server.phase) {
                    self.element(&family.set("leaving"), key.clone(), Some(Data::Verdict(verdict)));
                }
                self.element(&family.set("bindings"), key, None);
            }
        }
        let mut rules = Vec::new();
        if service.protocol.has_tcp() {
            rules.push(not_a_beginning());
        }
        if service.refuse != Share::NONE {
            rules.push(refuse(family, service.refuse, service.verdict, seed));
        }
        let (elements, total) = shares(service);
        if total > 0 {
            rules.push(choice(family, name, service, total));
            let map = Set {
                key: (MARK, 4),
                data: Some((backend_type(family), u32::from(family.len()) + 4)),
                intervals: true,
                counted: false,
                elements,
            };
            self.sets.insert(map_of(name), map);
        }
        // Every number has its server in the map, but to a packet that is looked at while
        // one generation follows the other: rules are of the one, elements already of the
        // other. Such a SYN comes again.
        let rest = if total > 0 { Verdict::Drop } else { Verdict::Goto(RESET.to_owned()) };
        rules.push(rule([is::verdict(&rest)]));
        self.chain(&chain, rules);
    }

    fn element(&mut self, set: &str, key: Vec<u8>, data: Option<Data>) {
        if let Some(set) = self.sets.get_mut(set) {
            set.elements.insert((key, Edge::Start), data);
        }
    }
}

fn rule(expressions: impl Into<Vec<Attribute>>) -> Rule {
    Rule { expressions: expressions.into(), comment: None, map: None }
}

fn concat(types: &[u32]) -> u32 {
    types.iter().fold(0, |all, one| all << TYPE_BITS | one)
}

fn backend_type(family: Family) -> u32 {
    concat(&[family.address_type(), INET_SERVICE])
}

/// To the service's chain.
fn choose(family: Family) -> Rule {
    let words = family.words();
    rule([
        is::meta(NFT_META_NFPROTO, 0),
        is::compare(0, CMP_EQ, [family.number()]),
        is::payload(NETWORK_HEADER, family.offsets().1, family.len(), 0),
        is::meta(NFT_META_L4PROTO, words),
        is::payload(TRANSPORT_HEADER, 2, 2, words + 1),
        is::verdict_of(&family.set("services"), 0),
    ])
}

/// Loads a connection's service and backend, from register 0 on, if it is translated.
fn path(family: Family) -> Vec<Attribute> {
    let words = family.words();
    let (source, destination) = family.ct_keys();
    vec![
        is::ct(NFT_CT_STATUS, None, 0),
        is::mask(0, &IPS_DST_NAT.to_ne_bytes()),
        is::compare(0, CMP_NEQ, [0; 4]),
        is::ct(destination, Some(ORIGINAL), 0),
        is::meta(NFT_META_L4PROTO, words),
        is::ct(NFT_CT_PROTO_DST, Some(ORIGINAL), words + 1),
        is::ct(source, Some(REPLY), words + 2),
        is::ct(NFT_CT_PROTO_SRC, Some(REPLY), 2 * words + 2),
    ]
}

fn cut(family: Family) -> Rule {
    let mut expressions = path(family);
    expressions.push(is::verdict_of(&family.set("leaving"), 0));
    rule(expressions)
}

fn count(family: Family, masquerade: bool) -> Rule {
    let mut expressions = path(family);
    expressions.push(is::lookup(&family.set("bindings"), 0));
    expressions.extend(masquerade.then(is::masquerade));
    rule(expressions)
}

/// Chain [`RESET`]. A server's own RST is let through, or conntrack would take the
/// connection for closed, and what the client sends for invalid, before it has heard.
fn answers() -> Vec<Rule> {
    let tcp = || [is::meta(NFT_META_L4PROTO, 0), is::compare(0, CMP_EQ, [TCP])];
    let is_reset = [
        is::payload(TRANSPORT_HEADER, TCP_FLAGS_OFFSET, 1, 0),
        is::mask(0, &[RST]),
        is::compare(0, CMP_NEQ, [0]),
        is::verdict(&Verdict::Return),
    ];
    let let_through = tcp().into_iter().chain(is_reset).collect::<Vec<_>>();
    let reset = tcp().into_iter().chain([is::reset()]).collect::<Vec<_>>();
    vec![rule(let_through), rule(reset), rule([is::unreachable()])]
}

/// TCP that does not begin here: conntrack has forgotten it, and no server but its
/// own knows it.
fn not_a_beginning() -> Rule {
    rule([
        is::meta(NFT_META_L4PROTO, 0),
        is::compare(0, CMP_EQ, [TCP]),
        is::payload(TRANSPORT_HEADER, TCP_FLAGS_OFFSET, 1, 0),
        is::mask(0, &[FLAGS.0]),
        is::compare(0, CMP_NEQ, [FLAGS.1]),
        is::verdict(&Verdict::Goto(RESET.to_owned())),
    ])
}

fn refuse(family: Family, share: Share, manner: Manner, seed: u32) -> Rule {
    let to = match manner {
        Manner::Reset => Verdict::Goto(RESET.to_owned()),
        Manner::Silent => Verdict::Drop,
    };
    let source = 4;
    let expressions = [
        is::payload(NETWORK_HEADER, family.offsets().0, family.len(), source),
        is::payload(TRANSPORT_HEADER, 0, 2, source + family.words()),
        is::hash(source, u32::from(family.len()) + 4, WHOLE, seed, 0),
        is::network_order(0),
        is::compare(0, CMP_LT, share.ppm().to_be_bytes()),
        is::verdict(&to),
    ];
    Rule { comment: Some(refusal(share, manner)), ..rule(expressions) }
}

/// Weights are the lengths of intervals, end to end from 0 on.
fn shares(service: &PlannedService) -> (Elements, u32) {
    let mut elements = Elements::new();
    let mut end = 0_u32;
    let serve = service.servers.iter().filter(|(_, server)| server.phase == Phase::Serve);
    for (&backend, server) in serve.filter(|(_, server)| server.weight > 0) {
        let key = |at: u32, edge| (at.to_be_bytes().to_vec(), edge);
        elements.insert(key(end, Edge::Start), Some(Data::Value(key::backend(backend))));
        end = end.saturating_add(server.weight);
        elements.insert(key(end, Edge::End), None);
    }
    (elements, end)
}

fn choice(family: Family, name: &Name, service: &PlannedService, total: u32) -> Rule {
    let map = map_of(name);
    let expressions = [
        is::random(total, 0),
        is::network_order(0),
        is::data_of(&map, 0, 0),
        is::dnat(service.address, 0, family.words()),
    ];
    Rule { map: Some(map), ..rule(expressions) }
}
