//! Queues, offloads, and the other ends of veths.

use super::{
    super::{
        facts::{Facts, Link},
        finding::Finding,
        subject::Subject,
    },
    interface,
};

/// `NETDEV_XDP_ACT_NDO_XMIT` (linux/netdev.h): takes frames that XDP programs
/// send.
pub(super) const TAKES_FRAMES: u64 = 4;

pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for link in subject.interfaces().into_iter().filter_map(|name| facts.link(name)) {
        findings.extend(queues(link, facts.host.cpus));
        findings.extend(offloads(link, facts));
    }
    let edge = subject.edge.iter().flat_map(|edge| &edge.settings.interfaces);
    for link in edge.filter_map(|name| facts.link(name)).filter(|link| link.is("veth")) {
        findings.extend(other_end(link, facts));
    }
    findings
}

fn queues(link: &Link, cpus: u32) -> Option<Finding> {
    let channels = link.channels?;
    let place = interface(&link.name);
    let wanted = cpus.min(channels.most);
    if channels.now >= wanted {
        let what = format!("{} receive queues for {cpus} CPUs", channels.now);
        return Some(Finding::ok("queues", &place, what));
    }
    let kind = if channels.combined { "combined" } else { "rx" };
    let what = format!(
        "{} of {} receive queues in use: as many of the {cpus} CPUs steer packets",
        channels.now, channels.most
    );
    let remedy = format!("ethtool -L {} {kind} {wanted}", link.name);
    Some(Finding::note("queues", &place, what).remedy(remedy))
}

fn offloads(link: &Link, facts: &Facts) -> Vec<Finding> {
    let (name, place) = (&link.name, interface(&link.name));
    let mut findings = Vec::new();
    for (feature, option, what) in
        [("rx-lro", "lro", "LRO"), ("rx-gro-hw", "rx-gro-hw", "GRO in hardware")]
    {
        if link.has(feature) {
            let what = format!(
                "{what} is on: it glues packets together before the XDP program sees them, or \
                 keeps the driver from running one"
            );
            let remedy = format!("ethtool -K {name} {option} off");
            findings.push(Finding::problem("offload", &place, what).remedy(remedy));
        }
    }
    let links = facts.links.as_deref().unwrap_or_default().iter();
    let vlans = links.filter(|l| l.is("vlan") && l.lower == Some(link.index) && !l.elsewhere);
    let vlans: Vec<_> = vlans.map(|vlan| vlan.name.as_str()).collect();
    if link.has("rx-vlan-hw-parse") && !vlans.is_empty() {
        let what = format!(
            "takes the tags off packets of VLANs before the XDP program sees them: those of {} \
             look untagged to it",
            vlans.join(", ")
        );
        let remedy = format!("ethtool -K {name} rxvlan off");
        findings.push(Finding::warning("offload", &place, what).remedy(remedy));
    }
    if findings.is_empty() && link.features.is_some() {
        findings.push(Finding::ok("offload", &place, "none that XDP programs cannot bear"));
    }
    findings
}

/// A veth hands what its other end sends to the program, and what the program
/// sends to its other end.
fn other_end(link: &Link, facts: &Facts) -> Vec<Finding> {
    let place = interface(&link.name);
    let peer = peer_of(link, facts);
    let mut findings = Vec::new();
    match peer {
        Some(peer) if peer.has("tx-checksum-ip-generic") => {
            let what = format!(
                "its other end, {}, leaves checksums to be finished by hardware that is not there: \
                 packets that are rewritten leave with wrong ones",
                peer.name
            );
            let remedy = format!("ethtool -K {} tx off", peer.name);
            findings.push(Finding::problem("checksum", &place, what).remedy(remedy));
        }
        Some(_) => findings.push(Finding::ok("checksum", &place, "finished by its other end")),
        None => {
            let what = "its other end is in another network namespace and cannot be looked at: \
                        there, `ethtool -K <it> tx off` finishes checksums";
            findings.push(Finding::note("checksum", &place, what));
        }
    }
    if link.xdp.is_some_and(|features| features & TAKES_FRAMES == 0) {
        let what = "its other end has neither an XDP program nor GRO: what the program sends there \
                    is lost";
        findings.push(Finding::problem("other_end", &place, what).remedy(let_it_take(peer)));
    } else if link.peer_program == Some(false) {
        let what = "its other end has GRO but no XDP program: what the program sends there may \
                    wait for the next ordinary packet, for tens of milliseconds";
        let remedy = "attach an XDP program that passes everything to its other end";
        findings.push(Finding::warning("other_end", &place, what).remedy(remedy));
    }
    findings
}

/// The other end of a veth, where it can be seen.
pub(super) fn peer_of<'a>(link: &Link, facts: &'a Facts) -> Option<&'a Link> {
    link.lower.filter(|_| !link.elsewhere).and_then(|index| facts.link_at(index))
}

/// The command with which a veth's other end takes what programs send.
pub(super) fn let_it_take(peer: Option<&Link>) -> String {
    match peer {
        Some(peer) => format!("ethtool -K {} gro on", peer.name),
        None => "in the network namespace of its other end: ethtool -K <it> gro on".to_owned(),
    }
}
