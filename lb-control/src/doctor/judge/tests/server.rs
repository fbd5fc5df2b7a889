use lb_common::abi::decap::Reason;

use super::*;
use crate::{
    config,
    decap::survey::Survey,
    doctor::{
        facts::{Listener, ServerFacts},
        subject::ServerRole,
    },
};
use Severity::{Note, Problem, Warning};

const START: &str = "sluice agent --config sluice.toml";
const SERVER: &str = "10.0.0.11";
const PLACE: &str = "service www";

fn listener(udp: bool, at: &str) -> Listener {
    Listener { udp, address: socket(at) }
}

fn server(mode: Mode) -> Patient {
    let mut text = "[agent]\nmanager = \"10.0.0.1:7400\"\n".to_owned();
    text += "bind = [{ service = \"www\", address = \"10.0.0.11:80\" }]\n";
    if mode.is_tunnel() {
        text += "[agent.decap]\ninterfaces = [\"eth0\"]\n";
    }
    let settings = config::parse(&text, std::path::Path::new("x")).unwrap().agent.unwrap();
    let survey = Survey {
        holder: Some(4711),
        links: vec![(ETH0, 7)],
        sources: settings.decap.iter().flat_map(|decap| decap.sources.clone()).collect(),
        servers: BTreeSet::from([ip(SERVER)]),
        vips: BTreeSet::from([ip(VIP).into()]),
        counters: vec![(Reason::NotTunnelled, 5), (Reason::Decapsulated, 9)],
    };
    let mut facts = facts();
    facts.addresses = Ok(vec![address(ETH0, "10.0.0.11/24"), address(LO, "203.0.113.10/32")]);
    let back = Back { ifindex: ETH0, gateway: Some(ip("10.0.0.1")) };
    facts.back = BTreeMap::from([(ip(VIP), Ok(Some(back))), (ip(SERVER), Ok(Some(back)))]);
    facts.sysctls = sysctls(&[
        ("ipv4/conf/all/rp_filter", 0),
        ("ipv4/conf/eth0/rp_filter", 0),
        ("ipv4/conf/all/arp_ignore", 1),
        ("ipv4/conf/eth0/arp_ignore", 0),
        ("ipv4/conf/all/arp_announce", 2),
        ("ipv4/conf/eth0/arp_announce", 0),
    ]);
    facts.server = Some(ServerFacts {
        bpffs: Ok(true),
        decap: Ok(mode.is_tunnel().then_some(survey)),
        listeners: Ok(vec![listener(false, "0.0.0.0:80"), listener(false, "[::]:80")]),
        health: vec![Ok(())],
    });
    facts.manager = Some(Ok(manager(mode)));
    let mut patient = Patient {
        subject: Subject {
            server: Some(ServerRole { settings, start: START.to_owned() }),
            ..subject()
        },
        facts,
    };
    patient.eth0().mtu = 1528;
    if !mode.is_tunnel() {
        patient.eth0().program = None;
    }
    patient
}

impl Patient {
    fn server(&mut self) -> &mut ServerFacts {
        self.facts.server.as_mut().unwrap()
    }

    fn decap(&mut self) -> &mut Survey {
        self.server().decap.as_mut().unwrap().as_mut().unwrap()
    }

    fn www(&mut self) -> &mut ServiceSpec {
        &mut self.manager().services[0].spec
    }
}

#[test]
fn healthy_servers() {
    for mode in [Mode::L2, Mode::Ipip, Mode::Gue] {
        server(mode).is_well();
    }
    let what = "answers to clients go by 10.0.0.1 (eth0), which must be an edge";
    server(Mode::Nat).says(Note, "gateway", PLACE, what, "");
}

#[test]
fn the_vip() {
    for mode in [Mode::L2, Mode::Ipip] {
        let mut sick = server(mode);
        sick.facts.addresses.as_mut().unwrap().pop();
        sick.facts.local = BTreeMap::from([(ip(VIP), Ok(false))]);
        let remedy = "ip addr add 203.0.113.10/32 dev lo";
        sick.says(Problem, "vip", PLACE, "VIP 203.0.113.10 is missing here", remedy);
    }
    let mut prefix = server(Mode::L2);
    prefix.www().address = "203.0.113.0/24:80".parse().unwrap();
    prefix.facts.local = BTreeMap::from([(ip("203.0.113.0"), Ok(false))]);
    let remedy = "ip route add local 203.0.113.0/24 dev lo";
    prefix.says(Problem, "vip", PLACE, "203.0.113.0/24 is not local", remedy);
    // Servers of mode `nat` need none.
    let mut nat = server(Mode::Nat);
    nat.facts.local = BTreeMap::from([(ip(VIP), Ok(false))]);
    assert_eq!(nat.complaints().len(), 1);
}

#[test]
fn neighbours() {
    let place = "interface eth0";
    for (mode, severity) in [(Mode::L2, Problem), (Mode::Gue, Warning)] {
        let mut sick = server(mode);
        sick.set("ipv4/conf/all/arp_ignore", 0);
        let remedy = "sysctl -w net.ipv4.conf.all.arp_ignore=1";
        sick.says(severity, "arp", place, "answers ARP for VIP 203.0.113.10", remedy);
        sick.set("ipv4/conf/eth0/arp_ignore", 2);
        sick.is_well();
        sick.set("ipv4/conf/all/arp_announce", 1);
        let remedy = "sysctl -w net.ipv4.conf.all.arp_announce=2";
        sick.says(severity, "arp", place, "in the name of VIP 203.0.113.10", remedy);
    }
    let mut nat = server(Mode::Nat);
    nat.set("ipv4/conf/all/arp_ignore", 0);
    assert_eq!(nat.complaints().len(), 1);
}

#[test]
fn the_way_back() {
    let place = "interface eth0";
    for mode in [Mode::L2, Mode::Ipip] {
        let mut strict = server(mode);
        strict.set("ipv4/conf/eth0/rp_filter", 1);
        strict.is_well();
        strict.facts.host.reverse_path_drops = Some(7);
        let remedy = "sysctl -w net.ipv4.conf.eth0.rp_filter=2";
        strict.says(Warning, "rp_filter", place, "(7 packets were dropped by it)", remedy);
        strict.facts.links.as_mut().unwrap().push(link(3, "eth1"));
        let other = Back { ifindex: 3, gateway: None };
        strict.facts.back.insert(ip(VIP), Ok(Some(other)));
        let what = "the way back to clients is by eth1";
        strict.says(Problem, "rp_filter", place, what, remedy);
        strict.set("ipv4/conf/eth0/rp_filter", 2);
        strict.is_well();
        strict.facts.back.insert(ip(VIP), Ok(None));
        let what = "no route leads from 203.0.113.10";
        strict.says(Warning, "way_back", PLACE, what, "ip route");
    }
    let mut nat = server(Mode::Nat);
    nat.facts.back.insert(ip(SERVER), Ok(None));
    let remedy = "ip route add default via <the edge's address>";
    nat.says(Problem, "gateway", PLACE, "no route leads from 10.0.0.11", remedy);
}

#[test]
fn listening() {
    let tcp = "ss -ltnp 'sport = :80'";
    let hears = |mode: Mode, listeners: Vec<Listener>| {
        let mut patient = server(mode);
        patient.server().listeners = Ok(listeners);
        patient
    };
    let what = "nobody listens at TCP 203.0.113.10:80";
    hears(Mode::L2, vec![]).says(Problem, "listen", PLACE, what, tcp);
    let own = vec![listener(false, "10.0.0.11:80"), listener(true, "0.0.0.0:80")];
    let what = "nobody listens at TCP 203.0.113.10:80, but at 10.0.0.11:80";
    hears(Mode::L2, own.clone()).says(Problem, "listen", PLACE, what, tcp);
    assert_eq!(hears(Mode::Nat, own).complaints().len(), 1);
    for at in ["203.0.113.10:80", "[::ffff:203.0.113.10]:80", "[::]:80", "0.0.0.0:80"] {
        hears(Mode::L2, vec![listener(false, at)]).is_well();
    }
    let mut any = hears(Mode::L2, vec![]);
    any.www().address = "203.0.113.10:*".parse().unwrap();
    any.is_well();
    let mut prefix = hears(Mode::L2, vec![listener(false, "203.0.113.77:80")]);
    prefix.www().address = "203.0.113.0/24:80".parse().unwrap();
    prefix.facts.local = BTreeMap::from([(ip("203.0.113.0"), Ok(true))]);
    prefix.is_well();
    let mut both = server(Mode::L2);
    both.www().protocol = crate::model::Protocol::TcpAndUdp;
    let udp = "ss -lunp 'sport = :80'";
    both.says(Problem, "listen", PLACE, "nobody listens at UDP 203.0.113.10:80", udp);
}

#[test]
fn the_agent() {
    let mut sick = server(Mode::L2);
    sick.server().health = vec![Err("status 500".to_owned())];
    let what = "the agent's check fails, so it gets no new connections: status 500";
    sick.says(Problem, "health", PLACE, what, "ss -ltnp 'sport = :80'");
    let bind = &mut sick.subject.server.as_mut().unwrap().settings.binds[0];
    bind.check.http = Some("/health".to_owned());
    bind.check.port = Some(81);
    sick.says(Problem, "health", PLACE, what, "curl -v http://10.0.0.11:81/health");
    let mut sick = server(Mode::L2);
    sick.subject.server.as_mut().unwrap().settings.binds[0].address = socket("10.0.0.99:80");
    sick.manager().backends[0].address = "10.0.0.99:80".to_owned();
    let what = "10.0.0.99 is no address of this host";
    sick.says(Problem, "address", PLACE, what, "ip -brief address");
}

#[test]
fn the_managers_word() {
    let mut sick = server(Mode::L2);
    sick.manager().backends.clear();
    sick.says(Problem, "backend", PLACE, "does the agent run?", START);
    let mut sick = server(Mode::L2);
    sick.manager().backends[0].state = "down".to_owned();
    sick.manager().backends[0].reason = "the probe timed out".to_owned();
    let events = "sluice events --service www --config sluice.toml";
    let what = "backend 10.0.0.11:80 is down: the probe timed out";
    sick.says(Problem, "backend", PLACE, what, events);
    sick.manager().backends[0].state = "draining".to_owned();
    sick.says(Note, "backend", PLACE, "is draining", "");
    let mut idle = server(Mode::L2);
    idle.manager().backends[0].weight = 0;
    let raise = "sluice weight www 10.0.0.11:80 100 --config sluice.toml";
    idle.says(Warning, "backend", PLACE, "has weight 0", raise);
    let mut other = server(Mode::L2);
    other.www().name = "web".parse().unwrap();
    let get = "sluice get services --config sluice.toml";
    other.says(Problem, "service", PLACE, "no such service: it has web", get);
    let mut alone = server(Mode::L2);
    alone.facts.manager = Some(Err("no answer".to_owned()));
    alone.subject.manager.as_mut().unwrap().start = None;
    let complaints = alone.complaints();
    let said: Vec<_> = complaints.iter().map(|f| (f.severity, f.check)).collect();
    assert_eq!(said, [(Problem, "manager"), (Warning, "vip")]);
}

#[test]
fn tunnels() {
    let mut none = server(Mode::Ipip);
    none.subject.server.as_mut().unwrap().settings.decap = None;
    let remedy = "add `[agent.decap]` with `interfaces = [\"eth0\"]` to sluice.toml";
    none.says(Problem, "decap", "tunnels", "nothing takes packets of www out", remedy);
    let tunnel = Link { kind: Some("ipip".to_owned()), program: None, ..link(8, "tunl0") };
    none.facts.links.as_mut().unwrap().push(tunnel);
    none.says(Note, "decap", "tunnels", "tunl0 are there", "");
    let mut gone = server(Mode::Ipip);
    gone.server().decap = Ok(None);
    gone.eth0().program = None;
    let what = "carries no XDP program: packets stay in their tunnels";
    gone.says(Problem, "program", "interface eth0", what, START);
    let mut dead = server(Mode::Ipip);
    dead.decap().holder = None;
    dead.says(Warning, "decap", "tunnels", "no agent runs", START);
    let mut other = server(Mode::Ipip);
    other.decap().servers = BTreeSet::from([ip("10.0.0.12")]);
    other.says(Problem, "decap", PLACE, "tunnelled packets to 10.0.0.11 stay", START);
    let mut elsewhere = server(Mode::Ipip);
    elsewhere.decap().vips.clear();
    elsewhere.facts.addresses =
        Ok(vec![address(ETH0, "10.0.0.11/24"), address(ETH0, "203.0.113.10/32")]);
    let remedy = "ip addr add 203.0.113.10/32 dev lo";
    elsewhere.says(Problem, "decap", PLACE, "VIP 203.0.113.10 is on eth0", remedy);
    let mut small = server(Mode::Gue);
    small.eth0().mtu = 1500;
    let remedy = "ip link set dev eth0 mtu 1528";
    small.says(Note, "mtu", "interface eth0", "have 1528 in the tunnel", remedy);
}

#[test]
fn what_tunnels_have_counted() {
    let counted = |counters: &[(Reason, u64)]| {
        let mut patient = server(Mode::Ipip);
        patient.decap().counters = counters.to_vec();
        patient
    };
    let none = counted(&[]);
    none.says(Note, "decap", "tunnels", "no packet has come out of a tunnel yet", "");
    let one = (Reason::Decapsulated, 1);
    let cases = [
        (
            Reason::Source,
            "4 tunnelled packets were dropped: they came from others than `sources` \
             (198.18.0.0/15, 100::/96)",
            "set `sources` in [agent.decap] to the edges' `tunnel_sources`",
        ),
        (Reason::Destination, "was to none of the VIPs", "ip addr show dev lo"),
        (
            Reason::Malformed,
            "was cut short",
            "tcpdump -ni any 'ip proto 4 or ip proto 41 or udp port 6080'",
        ),
    ];
    for (reason, what, remedy) in cases {
        counted(&[one, (reason, 4)]).says(Warning, "decap", "tunnels", what, remedy);
    }
}
