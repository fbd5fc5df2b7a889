//! A healthy host, and what is said when one thing of it is sick.

mod edge;
mod server;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use super::{
    super::{
        facts::{
            Address, Attached, Back, Backend, Certificate, Channels, Facts, Host, Link, Manager,
            Served, Switch, Sysctls,
        },
        finding::{Finding, Severity},
        subject::{ManagerRole, Subject},
    },
    judge,
};
use crate::{
    model::{Mode, ServiceSpec},
    xdp::interfaces::Place,
};

const VIP: &str = "203.0.113.10";
const ETH0: u32 = 2;
const LO: u32 = 1;
const MINUTE: Duration = Duration::from_secs(60);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn www(mode: Mode) -> ServiceSpec {
    ServiceSpec::tcp("www".parse().unwrap(), socket("203.0.113.10:80"), mode)
}

/// An interface on which all is well, with our program 7 on it.
fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        driver: Some("ice".to_owned()),
        up: true,
        carrier: true,
        mac: Some([2, 0, 0, 0, 0, index as u8]),
        mtu: 1500,
        program: Some(program(7)),
        features: Some(BTreeSet::from(["rx-gro".to_owned(), "rx-vlan-hw-parse".to_owned()])),
        channels: Some(Channels { now: 4, most: 4, combined: true }),
        xdp: Some(7),
        ..Link::default()
    }
}

fn lo() -> Link {
    Link {
        index: LO,
        name: "lo".to_owned(),
        up: true,
        carrier: true,
        mtu: 65536,
        ..Link::default()
    }
}

fn program(id: u32) -> Attached {
    Attached { id, place: Place::Native, name: Some("sluice".to_owned()), link: None }
}

fn address(link: u32, text: &str) -> Address {
    let (at, len) = text.split_once('/').unwrap();
    Address { link, ip: ip(at), prefix_len: len.parse().unwrap() }
}

fn sysctls(values: &[(&str, i64)]) -> Sysctls {
    Sysctls(values.iter().map(|&(path, value)| (path.to_owned(), value)).collect())
}

/// What every healthy host has.
fn facts() -> Facts {
    Facts {
        host: Host {
            missing_capabilities: Vec::new(),
            has_programs: true,
            release: "6.12.1".to_owned(),
            new_enough: Ok(true),
            btf: true,
            jit: Some(1),
            lacks: Ok(Vec::new()),
            cpus: 4,
            reverse_path_drops: Some(0),
        },
        links: Ok(vec![lo(), link(ETH0, "eth0")]),
        addresses: Ok(vec![address(ETH0, "10.0.0.1/24"), address(LO, "203.0.113.10/32")]),
        sysctls: sysctls(&[("ipv4/conf/all/rp_filter", 0), ("ipv4/conf/eth0/rp_filter", 0)]),
        local: BTreeMap::from([(ip(VIP), Ok(true))]),
        back: BTreeMap::new(),
        edge: None,
        server: None,
        manager: Some(Ok(manager(Mode::L2))),
        certificates: None,
        now: SystemTime::UNIX_EPOCH + 1000 * MINUTE,
    }
}

fn manager(mode: Mode) -> Manager {
    let backend = Backend {
        service: "www".to_owned(),
        address: "10.0.0.11:80".to_owned(),
        weight: 100,
        state: "active".to_owned(),
        reason: String::new(),
    };
    let switch = Switch { name: "edge".to_owned(), connected: true, error: String::new() };
    Manager {
        services: vec![Served { spec: www(mode), refused: Vec::new() }],
        backends: vec![backend],
        switches: vec![switch],
        ..Manager::default()
    }
}

fn subject() -> Subject {
    Subject {
        manager: Some(ManagerRole {
            target: "unix:/run/sluice/sluice.sock".to_owned(),
            start: Some("sluice run --config sluice.toml".to_owned()),
        }),
        config: Some("sluice.toml".into()),
        again: "sudo sluice doctor".to_owned(),
        ..Subject::default()
    }
}

/// A host, as a test makes it sick.
struct Patient {
    subject: Subject,
    facts: Facts,
}

impl Patient {
    fn eth0(&mut self) -> &mut Link {
        let links = self.facts.links.as_mut().unwrap();
        links.iter_mut().find(|link| link.name == "eth0").unwrap()
    }

    fn manager(&mut self) -> &mut Manager {
        self.facts.manager.as_mut().unwrap().as_mut().unwrap()
    }

    fn set(&mut self, path: &str, value: i64) {
        self.facts.sysctls.0.insert(path.to_owned(), value);
    }

    fn complaints(&self) -> Vec<Finding> {
        let findings = judge(&self.subject, &self.facts);
        assert!(findings.is_sorted_by_key(|finding| finding.severity));
        findings.into_iter().filter(|finding| finding.severity != Severity::Ok).collect()
    }

    /// Nothing but this is said. Without a remedy there is to be none.
    #[track_caller]
    fn says(&self, severity: Severity, check: &str, place: &str, what: &str, remedy: &str) {
        let complaints = self.complaints();
        let [one] = complaints.as_slice() else { panic!("{check}: {complaints:#?}") };
        assert_eq!((one.severity, one.check, one.place.as_str()), (severity, check, place));
        assert!(one.what.contains(what), "{}", one.what);
        assert_eq!(one.remedy.as_deref().unwrap_or_default(), remedy);
    }

    #[track_caller]
    fn is_well(&self) {
        assert_eq!(self.complaints(), []);
    }
}

#[test]
fn certificates() {
    let expires = |when: SystemTime| {
        let certificate = Certificate { path: "/etc/sluice/cert.pem".into(), expires: when };
        let mut facts = facts();
        facts.certificates = Some(Ok(vec![certificate]));
        Patient { subject: subject(), facts }
    };
    let now = facts().now;
    let show = "openssl x509 -noout -subject -enddate -in /etc/sluice/cert.pem";
    expires(now - MINUTE).says(Severity::Problem, "tls", "host", "has expired", show);
    let soon = expires(now + 60 * 24 * 3 * MINUTE);
    soon.says(Severity::Warning, "tls", "host", "expires in 3 days", show);
    expires(now + 60 * 24 * 30 * MINUTE).is_well();
    let mut broken = expires(now);
    broken.facts.certificates = Some(Err("tls.ca: cannot read /ca.pem".to_owned()));
    broken.says(Severity::Problem, "tls", "host", "cannot read /ca.pem", "");
}

/// A host that only runs the manager.
#[test]
fn managers() {
    use Severity::{Note, Problem, Warning};
    let new = || Patient { subject: subject(), facts: facts() };
    new().is_well();
    let mut sick = new();
    sick.facts.manager = Some(Err("cannot connect to unix:/run/sluice/sluice.sock".to_owned()));
    sick.says(Problem, "manager", "manager", "cannot connect", "sluice run --config sluice.toml");
    let mut sick = new();
    sick.facts.manager = Some(Err("Permission denied".to_owned()));
    sick.facts.host.missing_capabilities = vec!["CAP_BPF"];
    sick.says(Warning, "manager", "manager", "could not be looked at", "sudo sluice doctor");
    let mut guarded = new();
    guarded.facts.manager = Some(Err("`a.example` from 192.0.2.1 may not look: no".to_owned()));
    let remedy = "give this certificate the role `viewer` too, or show a viewer's by --tls-cert";
    guarded.says(Note, "manager", "manager", "answers at", remedy);
    let mut sick = new();
    sick.manager().alarms = vec!["flows are full".to_owned()];
    let status = "sluice status --config sluice.toml";
    sick.says(Warning, "alarm", "manager", "flows are full", status);
    let mut sick = new();
    sick.manager().switches.clear();
    let start = "on an edge: sluice edge --config FILE";
    sick.says(Problem, "switch", "manager", "no edge has ever connected", start);
    let mut sick = new();
    sick.manager().switches[0].connected = false;
    let look = "on that host: sluice doctor --config FILE";
    sick.says(Problem, "switch", "edge edge", "is not connected", look);
    let mut sick = new();
    sick.manager().switches[0].error = "the pool is full".to_owned();
    let look = "sluice get switches -o wide";
    sick.says(Warning, "switch", "edge edge", "the pool is full", look);
    let mut well = new();
    well.manager().learning = true;
    well.says(Note, "manager", "manager", "is learning", "");
    let mut sick = new();
    sick.manager().services[0].refused = vec![("bots".parse().unwrap(), crate::model::Share::ALL)];
    let admit = "sluice drop www 0 --class bots --config sluice.toml";
    sick.says(Warning, "refused", "service www", "100% of the new connections", admit);
    let half = crate::model::Share::from_percent(12.5).unwrap();
    sick.manager().services[0].refused[0].1 = half;
    sick.says(Note, "refused", "service www", "12.5% of the new connections", admit);
    let mut sick = new();
    sick.manager().backends[0].state = "down".to_owned();
    sick.manager().backends[0].reason = "connection refused".to_owned();
    let complaints = sick.complaints();
    assert_eq!(complaints.len(), 2);
    assert!(complaints[0].what.contains("no backend takes new connections"), "{complaints:#?}");
    assert!(complaints[1].what.contains("is down: connection refused"), "{complaints:#?}");
}
