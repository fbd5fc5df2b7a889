//! What an edge has in the kernel, and what it has counted.

use lb_common::abi::Reason;

use super::{
    super::{
        facts::{EdgeFacts, Facts},
        finding::Finding,
        subject::{EdgeRole, Subject},
    },
    service, unknown,
};
use crate::edge::survey::{Survey, Tables};

const EDGE: &str = "edge";

/// Reasons that mean trouble when they are counted, and why they are.
const TROUBLE: [(Reason, &str); 11] = [
    (Reason::NoBackend, "no backend owned them: answered by RST"),
    (Reason::Unreachable, "the way to their backend was not known"),
    (Reason::MalformedTcp, "their TCP header was cut short or malformed"),
    (Reason::MalformedUdp, "their UDP header was cut short or malformed"),
    (Reason::MalformedIcmp, "they were ICMP messages that quote too little"),
    (Reason::Fragment, "they were fragments, which name no port: senders must send less"),
    (Reason::ExtensionHeaders, "they had more IPv6 extension headers than are followed"),
    (
        Reason::NoRoute,
        "no route led from a `nat` backend back to the client, or forwarding is off where they \
         came in",
    ),
    (Reason::TooBig, "they were longer than the way to the backend takes: senders were told"),
    (Reason::AnswerLimited, "more ICMP answers were due than `icmp_answers` allows"),
    (Reason::TtlExpired, "their TTL was used up: do they go in circles?"),
];
/// Reasons that are defects.
const DEFECTS: [Reason; 2] = [Reason::Inconsistent, Reason::RewriteFailed];

pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let (Some(role), Some(edge)) = (&subject.edge, &facts.edge) else { return Vec::new() };
    let survey = match &edge.survey {
        Ok(Some(survey)) => survey,
        Ok(None) => return vec![never_started(role)],
        Err(why) => return vec![unknown(subject, facts, "edge", EDGE, why)],
    };
    let mut findings = pins(subject, role, survey);
    match &survey.tables {
        Some(tables) => {
            findings.extend(services(subject, tables));
            findings.extend(counters(subject, edge, tables));
        }
        None => findings.push(never_started(role)),
    }
    findings
}

fn never_started(role: &EdgeRole) -> Finding {
    let what =
        format!("no edge has anything in {}: nothing is steered", role.settings.pin.display());
    Finding::problem("edge", EDGE, what).remedy(role.start.clone())
}

fn pins(subject: &Subject, role: &EdgeRole, survey: &Survey) -> Vec<Finding> {
    let mut findings = Vec::new();
    for other in &survey.others {
        let what = format!(
            "{} is of another version of sluice: an older one is taken over by starting this one; \
             of a newer one, start that again, or take it away, after which connections are not \
             steered until this one is started",
            other.display()
        );
        findings.push(Finding::problem("pins", EDGE, what).remedy(subject.command("detach")));
    }
    // Without a file the sizes are the defaults', and mean nothing.
    let misfits = survey.misfits.iter().filter(|misfit| role.from_file || misfit.setting.is_none());
    for misfit in misfits {
        let what = format!(
            "pinned map {} {}: an edge that is started will not adopt it",
            misfit.map, misfit.difference
        );
        let remedy = match &misfit.setting {
            Some(line) => format!("set `{line}` in [edge]"),
            None => subject.command("detach"),
        };
        findings.push(Finding::problem("pins", EDGE, what).remedy(remedy));
    }
    if survey.tables.is_some() {
        findings.push(match survey.holder {
            Some(pid) => Finding::ok("edge", EDGE, format!("runs as process {pid}")),
            None => {
                let what = "does not run: packets are steered as it did last, and no change \
                            reaches them";
                Finding::warning("edge", EDGE, what).remedy(role.start.clone())
            }
        });
    }
    findings
}

fn services(subject: &Subject, tables: &Tables) -> Vec<Finding> {
    let mut findings = Vec::new();
    if tables.services.is_empty() {
        let what = "has no service: it steers nothing until its manager has told it what to";
        findings
            .push(Finding::problem("service", EDGE, what).remedy(subject.command("get services")));
    }
    for spec in &tables.services {
        let of_it = tables.bindings.iter().filter(|bound| bound.service == spec.name);
        let serving = of_it.filter(|bound| bound.serving).count();
        let place = service(&spec.name);
        findings.push(if serving == 0 {
            let what = "no backend takes new connections: they are answered by RST";
            let remedy = subject.command(&format!("get backends {}", spec.name));
            Finding::problem("service", &place, what).remedy(remedy)
        } else {
            Finding::ok("service", &place, format!("backends for new connections: {serving}"))
        });
    }
    if tables.flows_full {
        let what = "the table of remembered flows is full: new connections on slots that move go \
                    to their old owner";
        let remedy = "raise `flows` in [edge]";
        findings.push(Finding::warning("flows", EDGE, what).remedy(remedy));
    }
    findings
}

fn counters(subject: &Subject, edge: &EdgeFacts, tables: &Tables) -> Vec<Finding> {
    let count = |counts: &[(Reason, u64)], reason: Reason| {
        counts.iter().find(|(counted, _)| *counted == reason).map_or(0, |(_, packets)| *packets)
    };
    let mut findings = Vec::new();
    let mut quiet = Vec::new();
    for (reason, why) in TROUBLE {
        let before = count(&tables.reasons, reason);
        let now = count(&edge.later, reason).max(before);
        if now > before {
            let what = format!(
                "{} packets left for `{}` while doctor looked, {now} altogether: {why}",
                now - before,
                reason.name()
            );
            let remedy = subject.command("trace --watch --for 10s");
            findings.push(Finding::warning("counters", EDGE, what).remedy(remedy));
        } else if now > 0 {
            quiet.push(format!("{} {now}", reason.name()));
        }
    }
    if !quiet.is_empty() {
        let what =
            format!("counted in the past, and not while doctor looked: {}", quiet.join(", "));
        findings.push(Finding::note("counters", EDGE, what));
    }
    for reason in DEFECTS {
        let packets = count(&tables.reasons, reason).max(count(&edge.later, reason));
        if packets > 0 {
            let what = format!(
                "{packets} packets were dropped for `{}`, which is a defect of sluice",
                reason.name()
            );
            let remedy = "report it, with the configuration and `sluice trace` of such a packet";
            findings.push(Finding::problem("counters", EDGE, what).remedy(remedy));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("counters", EDGE, "no packet was lost"));
    }
    findings
}
