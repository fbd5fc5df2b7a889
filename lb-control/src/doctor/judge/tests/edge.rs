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
fn the_host() {
    let mut sick = edge(Mode::L2);
    sick.facts.host.missing_capabilities = vec!["CAP_NET_ADMIN", "CAP_BPF"];
    let what = "lacks CAP_NET_ADMIN and CAP_BPF";
    sick.says(Problem, "privileges", "host", what, "sudo sluice doctor");
    let mut sick = edge(Mode::L2);
    sick.facts.host.new_enough = Ok(false);
    sick.says(Problem, "kernel", "host", "6.12.1 is too old", "boot a newer kernel");
    let mut sick = edge(Mode::L2);
    sick.facts.host.lacks = Ok(vec!["maps of type ringbuf".to_owned()]);
    let remedy = "boot a kernel with CONFIG_BPF_SYSCALL";
    sick.says(Problem, "kernel", "host", "without maps of type ringbuf", remedy);
    let mut sick = edge(Mode::L2);
    sick.facts.host.btf = false;
    sick.says(Note, "kernel", "host", "BTF", "");
    let mut sick = edge(Mode::L2);
    sick.facts.host.jit = Some(0);
    let remedy = "sysctl -w net.core.bpf_jit_enable=1";
    sick.says(Warning, "jit", "host", "are interpreted", remedy);
    let mut sick = edge(Mode::L2);
    sick.facts.host.has_programs = false;
    sick.says(Problem, "build", "host", "without the XDP programs", "cargo xtask build --release");
    let mut sick = edge(Mode::L2);
    sick.edge().bpffs = Ok(false);
    let remedy = "mkdir -p /sys/fs/bpf && mount -t bpf bpf /sys/fs/bpf";
    sick.says(Problem, "bpffs", "host", "is not in a BPF file system", remedy);
}

#[test]
fn interfaces() {
    let mut sick = edge(Mode::L2);
    sick.eth0().up = false;
    sick.says(Problem, "interface", "interface eth0", "is down", "ip link set dev eth0 up");
    let mut sick = edge(Mode::L2);
    sick.eth0().carrier = false;
    let remedy = "ip -details link show dev eth0";
    sick.says(Problem, "interface", "interface eth0", "no carrier", remedy);
    let mut sick = edge(Mode::L2);
    sick.eth0().mac = None;
    let remedy = "ip -brief link";
    sick.says(Problem, "interface", "interface eth0", "no Ethernet address", remedy);
    let mut sick = edge(Mode::L2);
    sick.subject.edge.as_mut().unwrap().settings.interfaces.push("eth7".to_owned());
    sick.says(Problem, "interface", "interface eth7", "there are lo, eth0", remedy);
}

#[test]
fn programs() {
    let place = "interface eth0";
    let mut sick = edge(Mode::L2);
    sick.eth0().program = Some(Attached { name: Some("xdp_pass".to_owned()), ..program(8) });
    let what = "carries XDP program 8 `xdp_pass` (native), which is not ours: nothing is steered";
    sick.says(Problem, "program", place, what, "ip link set dev eth0 xdp off");
    sick.eth0().program.as_mut().unwrap().link = Some(3);
    sick.says(Problem, "program", place, what, "bpftool link detach id 3");
    sick.eth0().program = Some(Attached { place: Place::Generic, ..program(8) });
    let what = "`sluice` (generic), which is not ours";
    sick.says(Problem, "program", place, what, "ip link set dev eth0 xdpgeneric off");
    let mut sick = edge(Mode::L2);
    sick.eth0().program = None;
    sick.says(Problem, "program", place, "has lost our program", START);
    sick.survey().links.clear();
    sick.says(Problem, "program", place, "carries no XDP program", START);
    let mut sick = edge(Mode::L2);
    sick.eth0().program.as_mut().unwrap().place = Place::Generic;
    let remedy = format!("sluice detach --config sluice.toml && {START}");
    sick.says(Warning, "program", place, "although driver ice has the native one", &remedy);
    sick.eth0().xdp = Some(0);
    sick.says(Note, "program", place, "driver ice has no native one", "");
    sick.subject.edge.as_mut().unwrap().settings.xdp = XdpMode::Generic;
    sick.says(Note, "program", place, "as configured", "");
    sick.eth0().mtu = 9000;
    sick.says(Note, "program", place, "as configured", "");
    // Native mode of a large MTU is proved by the program that is there.
    let mut well = edge(Mode::L2);
    well.eth0().mtu = 9000;
    well.is_well();
    well.eth0().program = Some(Attached { place: Place::Generic, ..program(7) });
    well.eth0().xdp = None;
    let complaints = well.complaints();
    assert_eq!(complaints[0].remedy.as_deref(), Some("ip link set dev eth0 mtu 1500"));
    let mut blind = edge(Mode::L2);
    blind.edge().survey = Err("Operation not permitted".to_owned());
    let complaints = blind.complaints();
    assert!(complaints.iter().all(|found| found.what.contains("Operation not permitted")));
    assert_eq!(complaints.iter().map(|found| found.check).collect::<Vec<_>>(), ["program", "edge"]);
}

#[test]
fn drivers() {
    let place = "interface eth0";
    for (feature, remedy) in
        [("rx-lro", "ethtool -K eth0 lro off"), ("rx-gro-hw", "ethtool -K eth0 rx-gro-hw off")]
    {
        let mut sick = edge(Mode::L2);
        sick.eth0().features.as_mut().unwrap().insert(feature.to_owned());
        sick.says(Problem, "offload", place, "glues packets together", remedy);
    }
    let mut sick = edge(Mode::L2);
    let vlan = Link { kind: Some("vlan".to_owned()), lower: Some(ETH0), ..link(9, "eth0.7") };
    sick.facts.links.as_mut().unwrap().push(vlan);
    sick.says(Warning, "offload", place, "those of eth0.7", "ethtool -K eth0 rxvlan off");
    sick.eth0().features.as_mut().unwrap().remove("rx-vlan-hw-parse");
    sick.is_well();
    let mut sick = edge(Mode::L2);
    sick.eth0().channels = Some(Channels { now: 1, most: 8, combined: true });
    sick.says(Note, "queues", place, "1 of 8", "ethtool -L eth0 combined 4");
    sick.eth0().channels = Some(Channels { now: 1, most: 2, combined: false });
    sick.says(Note, "queues", place, "1 of 2", "ethtool -L eth0 rx 2");
    sick.eth0().channels = Some(Channels { now: 1, most: 1, combined: false });
    sick.is_well();
}

#[test]
fn veths() {
    let place = "interface eth0";
    let veth = || {
        let mut patient = edge(Mode::L2);
        patient.eth0().kind = Some("veth".to_owned());
        patient.eth0().lower = Some(9);
        patient.eth0().peer_program = Some(true);
        patient.facts.links.as_mut().unwrap().push(link(9, "peer"));
        patient
    };
    veth().is_well();
    let mut sick = veth();
    let peer = sick.facts.links.as_mut().unwrap().last_mut().unwrap();
    peer.features.as_mut().unwrap().insert("tx-checksum-ip-generic".to_owned());
    sick.says(Problem, "checksum", place, "leaves checksums", "ethtool -K peer tx off");
    let mut sick = veth();
    sick.eth0().xdp = Some(3);
    sick.says(Problem, "other_end", place, "is lost", "ethtool -K peer gro on");
    let mut sick = veth();
    sick.eth0().peer_program = Some(false);
    let remedy = "attach an XDP program that passes everything to its other end";
    sick.says(Warning, "other_end", place, "may wait", remedy);
    let mut far = veth();
    far.eth0().elsewhere = true;
    far.says(Note, "checksum", place, "in another network namespace", "");
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

#[test]
fn next_hops() {
    let place = "backend 10.0.0.11";
    let ping = "ping -c 3 10.0.0.11";
    let mut sick = edge(Mode::L2);
    sick.way(Way::Unanswered);
    sick.says(Problem, "next_hop", place, "its next hop does not answer", ping);
    sick.way(Way::None("10.0.0.11 does not answer".to_owned()));
    sick.says(Problem, "next_hop", place, "dropped as `unreachable`", ping);
    sick.way(Way::None("no route to 10.0.0.11: Network is unreachable".to_owned()));
    let route = "ip route get 10.0.0.11";
    sick.says(Problem, "next_hop", place, "Network is unreachable", route);
    sick.way(Way::None("10.0.0.11 is an address of this host".to_owned()));
    sick.facts.addresses.as_mut().unwrap().push(address(ETH0, "10.0.0.11/24"));
    let remedy = "give it a host of its own: an edge cannot be its own backend";
    sick.says(Problem, "next_hop", place, "is an address of this host", remedy);
    let mut sick = edge(Mode::L2);
    sick.tables().bindings[0].reachable = false;
    sick.says(Warning, "next_hop", place, "the edge does not", START);
}

#[test]
fn mtus() {
    let place = "backend 10.0.0.11";
    let small = |mode: Mode, mtu: u16| {
        let mut patient = edge(mode);
        patient.way(Way::Known { ifindex: ETH0, mac: MAC, mtu });
        patient
    };
    for (mode, needed) in
        [(Mode::L2, 1500), (Mode::Nat, 1500), (Mode::Ipip, 1520), (Mode::Gue, 1528)]
    {
        small(mode, needed).is_well();
        let mut sick = small(mode, needed - 1);
        sick.eth0().mtu = u32::from(needed - 1).min(1500);
        if mode.is_tunnel() {
            let remedy = format!("ip link set dev eth0 mtu {needed}");
            sick.says(Warning, "mtu", place, "leaves 1499 for packets of service www", &remedy);
        } else {
            // Clients' packets cannot be longer than what the interface takes.
            sick.is_well();
        }
    }
    let mut route = small(Mode::L2, 1400);
    route.says(Warning, "mtu", place, "takes 1400 bytes", "ip route get 10.0.0.11");
    route.way(Way::Known { ifindex: ETH0, mac: MAC, mtu: 0 });
    route.is_well();
    let mut tiny = small(Mode::Ipip, 590);
    tiny.eth0().mtu = 590;
    let remedy = "ip link set dev eth0 mtu 1520";
    tiny.says(Problem, "mtu", place, "leaves 570 for packets", remedy);
    // IPv6 must get through with 1280.
    let mut v6 = small(Mode::Ipip, 1290);
    v6.tables().services[0].address = "[2001:db8::10]:80".parse::<Vip>().unwrap();
    v6.facts.local = BTreeMap::from([(ip("2001:db8::10"), Ok(true))]);
    let complaints = v6.complaints();
    assert_eq!(complaints[0].severity, Problem);
    assert!(complaints[0].what.contains("fewer than 1280"), "{complaints:#?}");
}

#[test]
fn another_way_out() {
    let apart = |xdp: Option<u64>| {
        let mut patient = edge(Mode::L2);
        let mut eth1 = link(3, "eth1");
        (eth1.xdp, eth1.program) = (xdp, None);
        patient.facts.links.as_mut().unwrap().push(eth1);
        patient.way(Way::Known { ifindex: 3, mac: MAC, mtu: 1500 });
        patient
    };
    apart(Some(7)).is_well();
    let mut sick = apart(Some(3));
    let place = "interface eth1";
    let what = "driver ice does not take the frames that come in by eth0";
    let remedy = "set `xdp = \"generic\"` in [edge], or let them leave by eth0";
    sick.says(Problem, "redirect", place, what, remedy);
    // What the stack sends needs nothing of the driver.
    sick.eth0().program.as_mut().unwrap().place = Place::Generic;
    sick.subject.edge.as_mut().unwrap().settings.xdp = XdpMode::Generic;
    sick.says(Note, "program", "interface eth0", "generic mode", "");
    apart(None).says(Note, "redirect", place, "does not tell", "");
    let mut veth = apart(Some(3));
    let links = veth.facts.links.as_mut().unwrap();
    links.last_mut().unwrap().kind = Some("veth".to_owned());
    links.last_mut().unwrap().driver = None;
    links.last_mut().unwrap().lower = Some(4);
    links.push(link(4, "eth1-peer"));
    let remedy = "ethtool -K eth1-peer gro on";
    veth.says(Problem, "redirect", place, "driver veth does not take", remedy);
}

#[test]
fn filters() {
    let place = "interface eth0";
    let mut strict = edge(Mode::Nat);
    strict.set("ipv4/conf/all/rp_filter", 1);
    strict.facts.host.reverse_path_drops = Some(5);
    let remedy = "sysctl -w net.ipv4.conf.eth0.rp_filter=2";
    strict.says(Warning, "rp_filter", place, "(5 packets were dropped by it)", remedy);
    strict.set("ipv4/conf/eth0/rp_filter", 2);
    strict.is_well();
    // In other modes no packet that is steered comes to the kernel.
    let mut strict = edge(Mode::L2);
    strict.set("ipv4/conf/eth0/rp_filter", 1);
    strict.is_well();
    let mut off = edge(Mode::Nat);
    off.set("ipv4/conf/eth0/forwarding", 0);
    let remedy = "sysctl -w net.ipv4.conf.eth0.forwarding=1";
    off.says(Problem, "forwarding", place, "forwarding is off", remedy);
    off.set("ipv4/ip_forward", 0);
    off.says(Problem, "forwarding", place, "`no_route`", "sysctl -w net.ipv4.ip_forward=1");
    let mut off = edge(Mode::Ipip);
    off.set("ipv4/conf/eth0/forwarding", 0);
    off.is_well();
}

#[test]
fn vips() {
    let place = "service www";
    // Routers send it here.
    let mut routed = edge(Mode::L2);
    routed.facts.local = BTreeMap::from([(ip(VIP), Ok(false))]);
    routed.facts.addresses.as_mut().unwrap().pop();
    routed.says(Note, "vip", place, "routers must send it to this host", "");
    // Hosts of eth0's network ask for it.
    let mut asked = routed;
    asked.facts.addresses.as_mut().unwrap().push(address(ETH0, "203.0.113.1/24"));
    let remedy = "ip addr add 203.0.113.10/32 dev eth0";
    asked.says(Problem, "vip", place, "nobody answers for 203.0.113.10", remedy);
    asked.facts.local = BTreeMap::from([(ip(VIP), Ok(true))]);
    asked.facts.addresses.as_mut().unwrap().push(address(LO, "203.0.113.10/32"));
    asked.is_well();
    asked.set("ipv4/conf/all/arp_ignore", 1);
    asked.says(Problem, "vip", place, "nobody answers for 203.0.113.10", remedy);
    asked.facts.addresses.as_mut().unwrap().push(address(ETH0, "203.0.113.10/32"));
    asked.is_well();
}

#[test]
fn claims() {
    let mut sick = edge(Mode::L2);
    sick.edge().claims = Ok(vec![Claim { vip: ip(VIP), ifindex: ETH0, mac: MAC }]);
    let remedy = "sysctl -w net.ipv4.conf.all.arp_ignore=1 && \
                  sysctl -w net.ipv4.conf.all.arp_announce=2";
    let what = "backend 10.0.0.11 (02:00:00:00:00:11) answers for 203.0.113.10 on eth0";
    sick.says(Problem, "arp", "service www", what, remedy);
    sick.edge().claims.as_mut().unwrap()[0].mac = [2, 0, 0, 0, 0, 0x99];
    sick.says(Problem, "arp", "service www", "02:00:00:00:00:99 answers", remedy);
    // Another interface of this host.
    sick.edge().claims.as_mut().unwrap()[0].mac = [2, 0, 0, 0, 0, ETH0 as u8];
    sick.is_well();
    sick.edge().claims = Err("Operation not permitted".to_owned());
    sick.says(Warning, "vip", "edge", "could not be looked at: Operation not permitted", "");
}
