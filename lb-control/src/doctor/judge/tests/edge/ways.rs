//! The ways of packets: to backends, and from clients.

use super::*;

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
