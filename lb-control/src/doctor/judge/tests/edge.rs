//! An edge that is well, and what is said when something of it is not.

mod host;
mod ways;

use lb_common::abi::Reason;

use super::*;
use crate::{
    config::{self, XdpMode},
    doctor::{
        facts::{Claim, EdgeFacts},
        subject::EdgeRole,
    },
    edge::survey::{Bound, Survey, SurveyMisfit, Tables, Way},
    model::Vip,
};
use Severity::{Note, Problem, Warning};

const START: &str = "sluice run --config sluice.toml";
const BACKEND: &str = "10.0.0.11";
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];

fn settings() -> config::EdgeSettings {
    let text = "[edge]\ninterfaces = [\"eth0\"]\n";
    config::parse(text, std::path::Path::new("x")).unwrap().edge.unwrap()
}

fn tables(mode: Mode) -> Tables {
    let bound = Bound {
        service: "www".parse().unwrap(),
        backend: socket("10.0.0.11:80"),
        serving: true,
        reachable: true,
    };
    Tables {
        generation: 2,
        flows_full: false,
        services: vec![www(mode)],
        bindings: vec![bound],
        reasons: Reason::ALL.iter().map(|&reason| (reason, 0)).collect(),
    }
}

fn edge(mode: Mode) -> Patient {
    let mut facts = facts();
    let survey = Survey {
        holder: Some(4711),
        links: vec![(ETH0, 7)],
        tables: Some(tables(mode)),
        ..Survey::default()
    };
    let mtu = 1548;
    let way = Way::Known { ifindex: ETH0, mac: MAC, mtu };
    facts.edge = Some(EdgeFacts {
        bpffs: Ok(true),
        survey: Ok(Some(survey)),
        later: tables(mode).reasons,
        ways: Ok(vec![(ip(BACKEND), way)]),
        claims: Ok(Vec::new()),
    });
    facts.manager = Some(Ok(manager(mode)));
    facts.sysctls = sysctls(&[
        ("ipv4/ip_forward", 1),
        ("ipv4/conf/all/rp_filter", 0),
        ("ipv4/conf/eth0/rp_filter", 0),
        ("ipv4/conf/eth0/forwarding", 1),
        ("ipv4/conf/all/arp_ignore", 0),
        ("ipv4/conf/eth0/arp_ignore", 0),
    ]);
    let role = EdgeRole { settings: settings(), from_file: true, start: START.to_owned() };
    Patient { subject: Subject { edge: Some(role), ..subject() }, facts }
}

impl Patient {
    fn edge(&mut self) -> &mut EdgeFacts {
        self.facts.edge.as_mut().unwrap()
    }

    fn survey(&mut self) -> &mut Survey {
        self.edge().survey.as_mut().unwrap().as_mut().unwrap()
    }

    fn tables(&mut self) -> &mut Tables {
        self.survey().tables.as_mut().unwrap()
    }

    fn way(&mut self, way: Way) {
        self.edge().ways = Ok(vec![(ip(BACKEND), way)]);
    }
}

#[test]
fn a_healthy_edge() {
    for mode in [Mode::L2, Mode::Nat, Mode::Ipip, Mode::Gue] {
        edge(mode).is_well();
    }
}

#[test]
fn pins_and_process() {
    let detach = "sluice detach --config sluice.toml";
    let mut sick = edge(Mode::L2);
    sick.survey().others = vec!["/sys/fs/bpf/sluice/v1".into()];
    sick.says(Problem, "pins", "edge", "/sys/fs/bpf/sluice/v1 is of another version", detach);
    let misfit = |setting: Option<&str>| SurveyMisfit {
        map: "FLOWS",
        difference: "has room for 8 entries".to_owned(),
        setting: setting.map(str::to_owned),
    };
    let mut sick = edge(Mode::L2);
    sick.survey().misfits = vec![misfit(Some("flows = 8"))];
    let what = "pinned map FLOWS has room for 8 entries";
    sick.says(Problem, "pins", "edge", what, "set `flows = 8` in [edge]");
    // Without a file, its sizes are as good as any.
    sick.subject.edge.as_mut().unwrap().from_file = false;
    sick.is_well();
    sick.survey().misfits = vec![misfit(None)];
    sick.says(Problem, "pins", "edge", what, detach);
    let mut sick = edge(Mode::L2);
    sick.survey().holder = None;
    sick.says(Warning, "edge", "edge", "does not run", START);
    let mut sick = edge(Mode::L2);
    sick.edge().survey = Ok(None);
    sick.eth0().program = None;
    let complaints = sick.complaints();
    let checks: Vec<_> = complaints.iter().map(|finding| finding.check).collect();
    assert_eq!(checks, ["program", "edge"]);
    assert!(complaints.iter().all(|finding| finding.remedy.as_deref() == Some(START)));
}

#[test]
fn services_and_counters() {
    let mut sick = edge(Mode::L2);
    sick.tables().bindings[0].serving = false;
    let remedy = "sluice get backends www --config sluice.toml";
    sick.says(Problem, "service", "service www", "no backend takes new connections", remedy);
    let mut sick = edge(Mode::L2);
    sick.tables().flows_full = true;
    sick.says(Warning, "flows", "edge", "is full", "raise `flows` in [edge]");
    let mut sick = edge(Mode::L2);
    let at = |reason: Reason| Reason::ALL.iter().position(|&other| other == reason).unwrap();
    sick.edge().later[at(Reason::Fragment)].1 = 3;
    let trace = "sluice trace --watch --for 10s --config sluice.toml";
    let what = "3 packets left for `fragment` while doctor looked, 3 altogether";
    sick.says(Warning, "counters", "edge", what, trace);
    sick.tables().reasons[at(Reason::Fragment)].1 = 3;
    sick.says(Note, "counters", "edge", "in the past, and not while doctor looked: fragment 3", "");
    let mut sick = edge(Mode::L2);
    sick.tables().reasons[at(Reason::Inconsistent)].1 = 1;
    let remedy = "report it, with the configuration and `sluice trace` of such a packet";
    sick.says(Problem, "counters", "edge", "is a defect of sluice", remedy);
    // Forwarding and the like are no trouble.
    let mut well = edge(Mode::L2);
    for reason in [Reason::ForwardNew, Reason::NotOurs, Reason::RefusedReset, Reason::Echo] {
        well.tables().reasons[at(reason)].1 = 1_000_000;
    }
    well.is_well();
}
