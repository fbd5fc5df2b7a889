//! What the manager says, and whether it says anything.

use super::{
    super::{
        facts::{Facts, Manager},
        finding::Finding,
        subject::{ManagerRole, Subject},
    },
    service, unknown,
};
use crate::model::Share;

const MANAGER: &str = "manager";

pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let (Some(role), Some(manager)) = (&subject.manager, &facts.manager) else {
        return Vec::new();
    };
    let manager = match manager {
        Ok(manager) => manager,
        Err(why) => return vec![silent(subject, facts, role, why)],
    };
    let mut findings = vec![Finding::ok("manager", MANAGER, format!("answers at {}", role.target))];
    if manager.learning {
        let what = "has just started and is learning: it removes nothing yet";
        findings.push(Finding::note("manager", MANAGER, what));
    }
    for alarm in &manager.alarms {
        let remedy = subject.command("status");
        findings.push(Finding::warning("alarm", MANAGER, alarm.clone()).remedy(remedy));
    }
    // A server's own binds are told of there.
    if subject.edge.is_some() || subject.server.is_none() {
        findings.extend(switches(manager));
        findings.extend(backends(subject, manager));
    }
    findings.extend(refusals(subject, manager));
    findings
}

fn silent(subject: &Subject, facts: &Facts, role: &ManagerRole, why: &str) -> Finding {
    if why.contains("Permission denied") {
        return unknown(subject, facts, "manager", MANAGER, why);
    }
    if why.contains("may not look") {
        let what = format!("answers at {}, but {why}", role.target);
        let remedy =
            "give this certificate the role `viewer` too, or show a viewer's by --tls-cert";
        return Finding::note("manager", MANAGER, what).remedy(remedy);
    }
    let finding = Finding::problem("manager", MANAGER, why.to_owned());
    match &role.start {
        Some(start) => finding.remedy(start.clone()),
        None => finding.remedy("look whether it runs there, and whether a firewall is in between"),
    }
}

fn switches(manager: &Manager) -> Vec<Finding> {
    if manager.switches.is_empty() {
        let what = "no edge has ever connected: nothing is steered";
        let remedy = "on an edge: sluice edge --config FILE";
        return vec![Finding::problem("switch", MANAGER, what).remedy(remedy)];
    }
    let judge = |switch: &super::super::facts::Switch| {
        let place = format!("edge {}", switch.name);
        if !switch.connected {
            let what = "is not connected: no change reaches its packets";
            return Finding::problem("switch", &place, what)
                .remedy("on that host: sluice doctor --config FILE");
        }
        if !switch.error.is_empty() {
            let what = format!("refused the last change: {}", switch.error);
            return Finding::warning("switch", &place, what).remedy("sluice get switches -o wide");
        }
        Finding::ok("switch", &place, "connected")
    };
    manager.switches.iter().map(judge).collect()
}

fn backends(subject: &Subject, manager: &Manager) -> Vec<Finding> {
    let mut findings = Vec::new();
    for served in &manager.services {
        let name = served.spec.name.as_str();
        let place = service(name);
        let of_it: Vec<_> = manager.backends.iter().filter(|b| b.service == name).collect();
        for backend in &of_it {
            let why = if backend.reason.is_empty() {
                String::new()
            } else {
                format!(": {}", backend.reason)
            };
            let what = format!("backend {} is {}{why}", backend.address, backend.state);
            let remedy = subject.command(&format!("events --service {name}"));
            match backend.state.as_str() {
                "active" => {}
                "draining" => findings.push(Finding::note("backend", &place, what)),
                _ => findings.push(Finding::warning("backend", &place, what).remedy(remedy)),
            }
        }
        // Where there is an edge, its own tables tell what packets see.
        let serves = of_it.iter().any(|b| b.state == "active" && b.weight > 0);
        if !serves && subject.edge.is_none() {
            let what = "no backend takes new connections: they are answered by RST";
            let remedy = subject.command(&format!("get backends {name}"));
            findings.push(Finding::problem("service", &place, what).remedy(remedy));
        }
    }
    findings
}

fn refusals(subject: &Subject, manager: &Manager) -> Vec<Finding> {
    let mut findings = Vec::new();
    for served in &manager.services {
        let name = &served.spec.name;
        for (class, share) in served.refused.iter().filter(|(_, share)| *share != Share::NONE) {
            let percent = f64::from(share.ppm()) / 10_000.0;
            let what = format!("{percent}% of the new connections of class {class} are refused");
            let remedy = subject.command(&format!("drop {name} 0 --class {class}"));
            let place = service(name);
            findings.push(if *share == Share::ALL {
                Finding::warning("refused", &place, what).remedy(remedy)
            } else {
                Finding::note("refused", &place, what).remedy(remedy)
            });
        }
    }
    findings
}
