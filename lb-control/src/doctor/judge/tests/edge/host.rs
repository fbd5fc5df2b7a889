//! The host, its interfaces and the programs on them.

use super::*;

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
