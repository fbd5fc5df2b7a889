//! The XDP programs on the interfaces: whose, and where they run.

use super::{
    super::{
        facts::{Attached, Facts, Known, Link},
        finding::Finding,
        subject::Subject,
    },
    interface, unknown,
};
use crate::{config::XdpMode, xdp::interfaces::Place};

/// Drivers that hold a packet in one page take about this much of it: the page
/// without the room before it and the kernel's own data behind it.
const NATIVE_MTU: u32 = 3498;
/// `NETDEV_XDP_ACT_BASIC` (linux/netdev.h).
const BASIC: u64 = 1;

/// A program of ours that interfaces should carry.
struct Ours<'a> {
    interfaces: &'a [String],
    xdp: XdpMode,
    /// Of each pinned link, the interface's index and the program's id.
    links: &'a [(u32, u32)],
    /// What it does, for people.
    does: &'a str,
    /// The command that attaches it.
    start: &'a str,
    /// The command that takes it away, where there is one.
    detach: Option<String>,
}

pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let cannot = |why: &str| vec![unknown(subject, facts, "program", "host", why)];
    if let (Some(role), Some(edge)) = (&subject.edge, &facts.edge) {
        let links = links_of(&edge.survey, |survey| &survey.links);
        findings.extend(match links {
            Err(why) => cannot(why),
            Ok(links) => ours(
                facts,
                &Ours {
                    interfaces: &role.settings.interfaces,
                    xdp: role.settings.xdp,
                    links: links.unwrap_or_default(),
                    does: "nothing is steered",
                    start: &role.start,
                    detach: Some(subject.command("detach")),
                },
            ),
        });
    }
    if let (Some(role), Some(server)) = (&subject.server, &facts.server)
        && let Some(decap) = &role.settings.decap
    {
        let links = links_of(&server.decap, |survey| &survey.links);
        findings.extend(match links {
            Err(why) => cannot(why),
            Ok(links) => ours(
                facts,
                &Ours {
                    interfaces: &decap.interfaces,
                    xdp: decap.xdp,
                    links: links.unwrap_or_default(),
                    does: "packets stay in their tunnels",
                    start: &role.start,
                    detach: None,
                },
            ),
        });
    }
    findings
}

fn links_of<S>(
    survey: &Known<Option<S>>,
    links: impl Fn(&S) -> &Vec<(u32, u32)>,
) -> Result<Option<&[(u32, u32)]>, &str> {
    match survey {
        Ok(survey) => Ok(survey.as_ref().map(|survey| links(survey).as_slice())),
        Err(why) => Err(why),
    }
}

fn ours(facts: &Facts, ours: &Ours) -> Vec<Finding> {
    let links = ours.interfaces.iter().filter_map(|name| facts.link(name));
    links.flat_map(|link| one(link, ours)).collect()
}

fn one(link: &Link, ours: &Ours) -> Vec<Finding> {
    let place = interface(&link.name);
    let pinned = ours.links.iter().find(|(index, _)| *index == link.index).map(|(_, id)| *id);
    let mut findings = Vec::new();
    match (&link.program, pinned) {
        (Some(program), Some(id)) if program.id == id => findings.push(mode(link, program, ours)),
        (Some(program), _) => {
            let name = program.name.as_deref().unwrap_or("without a name");
            let what = format!(
                "carries XDP program {} `{name}` ({}), which is not ours: {}",
                program.id,
                program.place.name(),
                ours.does
            );
            findings.push(
                Finding::problem("program", &place, what).remedy(take_off(&link.name, program)),
            );
        }
        (None, Some(_)) => {
            let what =
                format!("has lost our program, as one that was made anew has: {}", ours.does);
            findings.push(Finding::problem("program", &place, what).remedy(ours.start));
        }
        (None, None) => {
            let what = format!("carries no XDP program: {}", ours.does);
            findings.push(Finding::problem("program", &place, what).remedy(ours.start));
        }
    }
    let native = link.program.as_ref().is_some_and(|program| program.place == Place::Native);
    if !native && ours.xdp != XdpMode::Generic && link.mtu > NATIVE_MTU {
        let what = format!(
            "has an MTU of {}: few drivers run XDP programs beside packets of more than about \
             {NATIVE_MTU} bytes",
            link.mtu
        );
        let remedy = format!("ip link set dev {} mtu 1500", link.name);
        findings.push(Finding::warning("mtu", &place, what).remedy(remedy));
    }
    findings
}

fn mode(link: &Link, program: &Attached, ours: &Ours) -> Finding {
    let place = interface(&link.name);
    if program.place == Place::Native {
        return Finding::ok("program", &place, format!("program {}, native", program.id));
    }
    if ours.xdp == XdpMode::Generic {
        return Finding::note("program", &place, "generic mode, as configured: it is slow");
    }
    let driver = link.driver_name();
    if link.xdp.is_some_and(|features| features & BASIC != 0) {
        let what =
            format!("generic mode, which is slow, although driver {driver} has the native one");
        let finding = Finding::warning("program", &place, what);
        return match &ours.detach {
            Some(detach) => finding.remedy(format!("{detach} && {}", ours.start)),
            None => finding.remedy(format!("stop the agent, then {}", ours.start)),
        };
    }
    let what = format!("generic mode, which is slow: driver {driver} has no native one");
    Finding::note("program", &place, what)
}

/// The command that removes somebody else's program.
fn take_off(name: &str, program: &Attached) -> String {
    match (program.link, program.place) {
        // `ip` cannot take off what a link holds.
        (Some(link), _) => format!("bpftool link detach id {link}"),
        (None, Place::Native) => format!("ip link set dev {name} xdp off"),
        (None, Place::Generic) => format!("ip link set dev {name} xdpgeneric off"),
    }
}
