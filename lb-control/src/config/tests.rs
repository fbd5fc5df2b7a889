//! Bad files and the exact text that each is answered with.

mod fuzzed;

use std::path::Path;

use super::*;

/// A service to put faults beside; lines 1 to 4.
const WWW: &str = "[[service]]\nname = \"www\"\naddress = \"203.0.113.10:80\"\nmode = \"l2\"\n";

fn answer(text: &str) -> String {
    match parse(text, Path::new("sluice.toml")) {
        Ok(settings) => format!("{settings:?}"),
        Err(error) => error.to_string(),
    }
}

/// Compares without the indentation that the expectation has in this file.
#[track_caller]
fn refused(text: &str, expected: &str) {
    let expected: Vec<&str> = expected
        .lines()
        .skip(1)
        .map(|line| line.strip_prefix("        ").unwrap_or(line))
        .collect();
    assert_eq!(answer(text), expected.join("\n").trim_end());
}

#[test]
fn unknown_names() {
    refused(
        "[edge]\ninterface = [\"eth0\"]\n",
        r#"
        sluice.toml:2:1: unknown field `interface`: did you mean `interfaces`?
         2 | interface = ["eth0"]
           | ^^^^^^^^^
           = valid here: name, interfaces, xdp, manager, metrics, pin, flow_key, flows, syn_flows, udp_flows, tunnel_sources, icmp_answers, ring_pool, idle, tracking, admission_epoch, verify"#,
    );
    refused(
        "[managr]\n",
        r#"
        sluice.toml:1:2: unknown field `managr`: did you mean `manager`?
         1 | [managr]
           |  ^^^^^^
           = valid here: manager, edge, agent, tls, service, switch, class"#,
    );
    refused(
        "[[service]]\nname = \"www\"\nmode = \"nit\"\n",
        r#"
        sluice.toml:3:8: unknown value `nit`: did you mean `nat`?
         3 | mode = "nit"
           |        ^^^^^
           = valid here: l2, nat, ipip, gue"#,
    );
    refused(
        "[tls]\nwhat = 1\n",
        r#"
        sluice.toml:2:1: unknown field `what`
         2 | what = 1
           | ^^^^
           = valid here: ca, cert, key, server_name"#,
    );
}

#[test]
fn wrong_types() {
    refused(
        &format!("{WWW}[[service.backend]]\naddress = \"10.0.0.1\"\n"),
        r#"
        sluice.toml:6:11: expected an address and port such as 203.0.113.10:80 or [2001:db8::10]:80
         6 | address = "10.0.0.1"
           |           ^^^^^^^^^^"#,
    );
    refused(
        &format!("{WWW}[[service.backend]]\naddress = \"10.0.0.1:80\"\nweight = 70000\n"),
        r#"
        sluice.toml:7:10: expected a whole number from 0 to 65535, not integer `70000`
         7 | weight = 70000
           |          ^^^^^"#,
    );
    refused(
        "[service]\nname = \"www\"\n",
        r#"
        sluice.toml:1:1: expected an array, not a table
         1 | [service]
           | ^^^^^^^^^
           = there may be several: put the table's name in double brackets, as in [[service]]"#,
    );
    refused(
        "[manager]\nlearning = 5\n",
        r#"
        sluice.toml:2:12: expected a duration such as "250ms" or "5s", not integer `5`
         2 | learning = 5
           |            ^"#,
    );
    refused(
        "[manager]\nlearning = \"5 parsecs\"\n",
        r#"
        sluice.toml:2:12: `5 parsecs` is not a duration such as 250ms or 5s: unknown time unit "parsecs", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations)
         2 | learning = "5 parsecs"
           |            ^^^^^^^^^^^"#,
    );
    refused(
        "[[class]]\nname = \"Gold\"\n",
        r#"
        sluice.toml:2:8: `Gold` is not a name: use 1 to 63 of a-z, 0-9, '-', '.', '_', beginning with a letter or digit
         2 | name = "Gold"
           |        ^^^^^^"#,
    );
    refused(
        "[[class]]\nname = \"gold\"\nsources = [\n\t\"192.0.2.1/24\",\n]\n",
        r#"
        sluice.toml:3:11: `192.0.2.1/24` has bits beyond its length: write 192.0.2.0/24
         3 | sources = [
           |           ^"#,
    );
    refused(
        "[[service]]\nprotocol = 17\n",
        r#"
        sluice.toml:2:12: expected a string: one of the names it may have
         2 | protocol = 17
           |            ^^"#,
    );
    refused(
        "tls = 3\n",
        r#"
        sluice.toml:1:7: expected a table, not integer `3`
         1 | tls = 3
           |       ^"#,
    );
}

#[test]
fn broken_toml() {
    refused(
        "[manager\n",
        r#"
        sluice.toml:1:9: unclosed table, expected `]`
         1 | [manager
           |         ^"#,
    );
    refused(
        "[tls]\nca = \"a\"\nca = \"b\"\n",
        r#"
        sluice.toml:3:1: this name is given twice
         3 | ca = "b"
           | ^^
           = merge the two, or remove one"#,
    );
    refused(
        "[[service]]\nname = \"www\"\naddress = \"203.0.113.10:80\"\n",
        r#"
        sluice.toml:1:1: missing field `mode`
         1 | [[service]]
           | ^^^^^^^^^^^
           = this table needs `mode`"#,
    );
}

#[test]
fn services_that_no_switch_would_take() {
    refused(
        &format!("{WWW}\n{}", WWW.replace("www", "shop")),
        r#"
        sluice.toml:8:11: 203.0.113.10:80 over tcp is already the address of service `www`: give `shop` another address or port
         8 | address = "203.0.113.10:80"
           |           ^^^^^^^^^^^^^^^^^"#,
    );
    refused(
        &format!("{WWW}\n{WWW}"),
        r#"
        sluice.toml:7:8: service `www` is given twice
         7 | name = "www"
           |        ^^^^^"#,
    );
    refused(
        &format!("{WWW}ring_size = 0\n"),
        r#"
        sluice.toml:5:13: service `www`: a ring has 1 to 1048576 slots, not 0
         5 | ring_size = 0
           |             ^"#,
    );
    refused(
        &format!(
            "{WWW}backend = [{{ address = \"[2001:db8::1]:80\" }}, {{ address = \"10.0.0.1:8080\" }}]\n"
        ),
        r#"
        sluice.toml:5:24: backend [2001:db8::1]:80 and service `www` (203.0.113.10:80) are of different IP families; mode l2 does not translate between IPv4 and IPv6
         5 | backend = [{ address = "[2001:db8::1]:80" }, { address = "10.0.0.1:8080" }]
           |                        ^^^^^^^^^^^^^^^^^^
        sluice.toml:5:58: mode l2 does not rewrite ports: backend 10.0.0.1:8080 of service `www` must listen on port 80
         5 | backend = [{ address = "[2001:db8::1]:80" }, { address = "10.0.0.1:8080" }]
           |                                                          ^^^^^^^^^^^^^^^"#,
    );
    refused(
        &format!(
            "{WWW}backend = [{{ address = \"10.0.0.1:80\" }}, {{ address = \"10.0.0.1:80\" }}]\n"
        ),
        r#"
        sluice.toml:5:53: service `www` has backend 10.0.0.1:80 twice
         5 | backend = [{ address = "10.0.0.1:80" }, { address = "10.0.0.1:80" }]
           |                                                     ^^^^^^^^^^^^^"#,
    );
    refused(
        &format!(
            "{WWW}health = {{ probe = \"none\", rise = 0, interval = \"0s\" }}\nbackend = [{{ address = \"10.0.0.1:80\" }}]\n"
        ),
        r#"
        sluice.toml:5:20: service `www` has backends without an agent, which only a probe can vouch for: set `probe = "path"`, or bind them by agents
         5 | health = { probe = "none", rise = 0, interval = "0s" }
           |                    ^^^^^^
        sluice.toml:5:35: `rise` must be at least 1
         5 | health = { probe = "none", rise = 0, interval = "0s" }
           |                                   ^
        sluice.toml:5:49: `interval` must be at least 10ms
         5 | health = { probe = "none", rise = 0, interval = "0s" }
           |                                                 ^^^^"#,
    );
}

#[test]
fn server_ids() {
    refused(
        &format!("{WWW}server_id_bytes = 4\n"),
        r#"
        sluice.toml:5:19: service `www`: `server_id_bytes` is 0 to 8, and more than 0 only with `udp = "quic"`
         5 | server_id_bytes = 4
           |                   ^"#,
    );
    let quic = format!("{WWW}protocol = \"tcp+udp\"\nudp = \"quic\"\nserver_id_bytes = 1\n");
    refused(
        &format!(
            "{quic}backend = [\n{{ address = \"10.0.0.1:80\", server_id = \"01\" }},\n{{ address = \"10.0.0.2:80\", server_id = \"01\" }},\n{{ address = \"10.0.0.3:80\", server_id = \"0102\" }}]\n"
        ),
        r#"
        sluice.toml:10:40: server id 01 of 10.0.0.2:80 is already that of www/10.0.0.1:80: give each its own
         10 | { address = "10.0.0.2:80", server_id = "01" },
            |                                        ^^^^
        sluice.toml:11:40: service `www` takes server ids of 1 byte(s), and 10.0.0.3:80 has 0102: set `server_id_bytes` of the service, or another id
         11 | { address = "10.0.0.3:80", server_id = "0102" }]
            |                                        ^^^^^^"#,
    );
    refused(
        &format!("{quic}backend = [{{ address = \"10.0.0.1:80\", server_id = \"1\" }}]\n"),
        r#"
        sluice.toml:8:51: `1` is not a server id: write 1 to 8 bytes in hexadecimal, such as 0a1b2c3d
         8 | backend = [{ address = "10.0.0.1:80", server_id = "1" }]
           |                                                   ^^^"#,
    );
}

#[test]
fn policies_and_classes() {
    refused(
        &format!("{WWW}[[service.policy]]\nclass = \"gold\"\nrefuse_percent = 10\n"),
        r#"
        sluice.toml:6:9: service `www`: there is no class `gold`: add a [[class]], or use `default`
         6 | class = "gold"
           |         ^^^^^^"#,
    );
    refused(
        &format!("{WWW}[[service.policy]]\nclass = \"default\"\nrefuse_percent = 100.5\n"),
        r#"
        sluice.toml:7:18: service `www`: `refuse_percent` is 0 to 100
         7 | refuse_percent = 100.5
           |                  ^^^^^"#,
    );
    refused(
        &format!(
            "{WWW}policy = [{{ class = \"default\", refuse_percent = 1 }}, {{ class = \"default\", refuse_percent = 2 }}]\n"
        ),
        r#"
        sluice.toml:5:64: service `www` has a policy for class `default` twice
         5 | policy = [{ class = "default", refuse_percent = 1 }, { class = "default", refuse_percent = 2 }]
           |                                                                ^^^^^^^^^"#,
    );
    refused(
        "[[class]]\nname = \"gold\"\n[[class]]\nname = \"gold\"\n[[class]]\nname = \"default\"\n",
        r#"
        sluice.toml:4:8: class `gold` is given twice, or is called `default`, which every site has
         4 | name = "gold"
           |        ^^^^^^
        sluice.toml:6:8: class `default` is given twice, or is called `default`, which every site has
         6 | name = "default"
           |        ^^^^^^^^^"#,
    );
    refused(
        "[[class]]\nname = \"gold\"\ndscp = [46, 64]\n",
        r#"
        sluice.toml:3:8: class `gold`: DSCP is 0 to 63, not 64
         3 | dscp = [46, 64]
           |        ^^^^^^^^"#,
    );
}

#[test]
fn roles() {
    refused(
        "[manager]\nlisten = \"0.0.0.0:7400\"\nlearning = \"0s\"\nmissed_heartbeats = 0\n",
        r#"
        sluice.toml:2:10: 0.0.0.0:7400 can be reached from other hosts, which could then change the configuration: add [tls], listen on a loopback address, or set `insecure = true`
         2 | listen = "0.0.0.0:7400"
           |          ^^^^^^^^^^^^^^
        sluice.toml:3:12: `learning` must be at least 10ms
         3 | learning = "0s"
           |            ^^^^
        sluice.toml:4:21: `missed_heartbeats` must be at least 1
         4 | missed_heartbeats = 0
           |                     ^"#,
    );
    refused(
        "[manager]\nlisten = \"127.0.0.1:7400\"\nmetrics = \"0.0.0.0:7400\"\n",
        r#"
        sluice.toml:3:11: 0.0.0.0:7400 is taken by `listen`: give monitors a port of their own
         3 | metrics = "0.0.0.0:7400"
           |           ^^^^^^^^^^^^^^"#,
    );
    refused(
        "[edge]\ninterfaces = []\n",
        r#"
        sluice.toml:2:14: an edge needs an interface, such as interfaces = ["eth0"]
         2 | interfaces = []
           |              ^^"#,
    );
    refused(
        "[edge]\ninterfaces = [\"eth0\", \"eth0\", \"a-name-too-long-for-it\"]\nidle = \"0s\"\n",
        r#"
        sluice.toml:2:23: interface `eth0` is given twice
         2 | interfaces = ["eth0", "eth0", "a-name-too-long-for-it"]
           |                       ^^^^^^
        sluice.toml:2:31: `a-name-too-long-for-it` is not an interface name: 1 to 15 bytes, without '/', ':' or blanks
         2 | interfaces = ["eth0", "eth0", "a-name-too-long-for-it"]
           |                               ^^^^^^^^^^^^^^^^^^^^^^^^
        sluice.toml:3:8: `idle` must be at least 10ms
         3 | idle = "0s"
           |        ^^^^"#,
    );
    refused(
        &format!("[edge]\ninterfaces = [\"eth0\"]\nring_pool = 100\n{WWW}"),
        r#"
        sluice.toml:3:13: the services' rings, three times each, need `ring_pool` to be at least 196614, not 100
         3 | ring_pool = 100
           |             ^^^"#,
    );
    refused(
        "[agent]\nmanager = \"m:7400\"\nbind = []\n",
        r#"
        sluice.toml:3:8: an agent needs something to bind: add [[agent.bind]]
         3 | bind = []
           |        ^^"#,
    );
    refused(
        "[agent]\nmanager = \"m\"\n[[agent.bind]]\nservice = \"www\"\naddress = \"0.0.0.0:80\"\ncheck.http = \"health\"\n",
        r#"
        sluice.toml:2:11: `m` is not an address to connect to: write HOST:PORT, such as manager.example:7400 or [2001:db8::1]:7400, or unix:/path
         2 | manager = "m"
           |           ^^^
        sluice.toml:5:11: 0.0.0.0:80 is not this server's address: give the one that the edge reaches it at, with its port
         5 | address = "0.0.0.0:80"
           |           ^^^^^^^^^^^^
        sluice.toml:6:14: `http` is the path to GET, such as "/health"
         6 | check.http = "health"
           |              ^^^^^^^^"#,
    );
}

#[test]
fn who_may_do_what() {
    let tls = "[tls]\nca = \"ca\"\ncert = \"c\"\nkey = \"k\"\n";
    refused(
        "[[manager.allow]]\nidentity = \"a.example\"\nrole = \"agent\"\n",
        r#"
        sluice.toml:1:1: [[manager.allow]] needs [tls]: without certificates nobody can show who he is
         1 | [[manager.allow]]
           | ^^^^^^^^^^^^^^^^^"#,
    );
    refused(
        &format!(
            "[manager.limits]\nbinds_per_agent = 0\n[[manager.allow]]\nidentity = \"*b.example\"\n\
             role = \"edge\"\nmax_weight = 1\n[[manager.allow]]\nidentity = \"*\"\n\
             role = \"agent\"\nservices = [\"wwww\"]\n{tls}"
        ),
        r#"
        sluice.toml:2:19: `binds_per_agent` must be at least 1
         2 | binds_per_agent = 0
           |                   ^
        sluice.toml:4:12: `*b.example` would take parts of names: a `*` stands before a dot, as in "*.example", after a slash, as in "spiffe://example/agent/*", or alone
         4 | identity = "*b.example"
           |            ^^^^^^^^^^^^
        sluice.toml:6:14: `max_weight` says nothing of role `edge`
         6 | max_weight = 1
           |              ^
        sluice.toml:10:12: there is no service `wwww` in this file
         10 | services = ["wwww"]
            |            ^^^^^^^^"#,
    );
    refused(
        &format!("{tls}[[manager.allow]]\nidentity = \"a*b\"\nrole = \"agent\"\n"),
        r#"
        sluice.toml:6:12: `a*b` is not a pattern: write a name, with `*` only as its first or its last character
         6 | identity = "a*b"
           |            ^^^^^"#,
    );
    refused(
        &format!("{tls}[[manager.allow]]\nidentity = \"a\"\nrole = \"agents\"\n"),
        r#"
        sluice.toml:7:8: unknown value `agents`: did you mean `agent`?
         7 | role = "agents"
           |        ^^^^^^^^
           = valid here: agent, edge, operator, viewer"#,
    );
}

#[test]
fn defaults() {
    let settings = parse(WWW, Path::new("sluice.toml")).unwrap();
    assert_eq!(settings.manager, ManagerSettings::default());
    assert_eq!(settings.services[0].ring_size, 65_537);
    assert_eq!(settings.edge, None);
}

#[test]
fn no_file() {
    let error = load(Path::new("/nonexistent/sluice.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nonexistent/sluice.toml: cannot be read: No such file or directory (os error 2)"
    );
}

/// The text of a file under `examples`, and what it says.
fn example(name: &str) -> (String, Settings) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let settings = parse(&text, Path::new(name)).unwrap_or_else(|error| panic!("{error}"));
    (text, settings)
}

/// With every value that is commented out in place.
fn in_full(text: &str) -> String {
    let is_value = |text: &str| text.starts_with('[') || text.split(' ').nth(1) == Some("=");
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(value) if is_value(value) => value.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

#[test]
fn examples_hold_and_show_the_defaults() {
    for name in ["sluice.toml", "agent.toml"] {
        let (text, settings) = example(name);
        let full = in_full(&text);
        let mut full = parse(&full, Path::new(name)).unwrap_or_else(|error| panic!("{error}"));
        // What has no default.
        full.tls.take().unwrap();
        let rules = std::mem::take(&mut full.manager.allow).len();
        for switch in std::mem::take(&mut full.switches) {
            let bare: SwitchSettings = toml::from_str("name = \"lb\"\nkind = \"any\"").unwrap();
            let periods = |of: &SwitchSettings| (of.poll, of.verify, of.timeout);
            assert_eq!(periods(&switch), periods(&bare));
        }
        let metrics = full.manager.metrics.take().map(|address| address.to_string());
        assert_eq!(metrics.as_deref(), (name == "sluice.toml").then_some("127.0.0.1:9740"));
        if name == "sluice.toml" {
            let dfp = "name = \"shop\"\naddress = \"10.0.0.21:8080\"\nbackends = [\"10.0.0.0/24\"]";
            let dfp = toml::from_str(dfp).unwrap();
            assert_eq!(std::mem::take(&mut full.manager.dfp), [dfp]);
            let check = full.manager.agent_check.take().unwrap();
            assert_eq!(check.listen.to_string(), "127.0.0.1:7402");
        }
        assert_eq!(rules, if name == "sluice.toml" { 4 } else { 0 });
        for service in &mut full.services {
            // Where nothing is said, it depends on `port`.
            let probe = service.health.probe.take();
            assert!(probe.is_none_or(|probe| probe == service.health.kind()), "{probe:?}");
        }
        if let Some(edge) = &mut full.edge {
            edge.manager.take().unwrap();
            edge.metrics.take().unwrap();
        }
        if let Some(agent) = &mut full.agent {
            agent.name.take().unwrap();
            agent.binds[0].server_id.take().unwrap();
            let poll = agent.binds[0].agent_check.take().unwrap();
            assert_eq!(poll, toml::from_str("port = 9999\naddress = \"10.0.0.11\"").unwrap());
            let watchdog = Some(std::time::Duration::from_secs(10));
            let notify = NotifySettings { watchdog, ..NotifySettings::default() };
            assert_eq!(agent.notify.take(), Some(notify));
            let bare: DecapSettings = toml::from_str("interfaces = [\"eth0\"]").unwrap();
            assert_eq!(agent.decap.take(), Some(bare));
        }
        assert_eq!(full, settings, "{name}");
    }
}

#[test]
fn dfp_agents_and_agent_checks() {
    let agent = |name: &str, address: &str, rest: &str| {
        format!("[[manager.dfp]]\nname = \"{name}\"\naddress = \"{address}\"\n{rest}\n")
    };
    let good = [
        agent("a", "10.0.0.1:8080", ""),
        agent("b", "10.0.0.2:8080", "keepalive = \"0s\"\nlost = \"closed\""),
        agent("c", "[2001:db8::1]:8080", "backends = [\"10.0.1.0/24\"]"),
    ];
    parse(&good.concat(), Path::new("sluice.toml")).unwrap();
    refused(
        &agent("a", "0.0.0.0:8080", "keepalive = \"1500ms\"\ninterval = \"0s\""),
        r#"
        sluice.toml:3:11: 0.0.0.0:8080 is not where a DFP agent listens
         3 | address = "0.0.0.0:8080"
           |           ^^^^^^^^^^^^^^
        sluice.toml:4:13: `keepalive` is in whole seconds, such as "10s", or "0s" for none
         4 | keepalive = "1500ms"
           |             ^^^^^^^^
        sluice.toml:5:12: `interval` must be at least 10ms
         5 | interval = "0s"
           |            ^^^^"#,
    );
    refused(
        &agent("a", "[2001:db8::1]:8080", "backends = [\"2001:db8::/64\"]"),
        r#"
        sluice.toml:4:12: `2001:db8::/64` is of IPv6, of which DFP has no words
         4 | backends = ["2001:db8::/64"]
           |            ^^^^^^^^^^^^^^^^^"#,
    );
    let overlapping = [
        agent("a", "10.0.0.1:8080", "backends = [\"10.0.0.0/24\"]"),
        agent("a", "10.0.0.2:8080", "backends = [\"10.0.1.0/24\", \"10.0.0.128/25\"]"),
    ];
    refused(
        &overlapping.concat(),
        r#"
        sluice.toml:6:8: two DFP agents are named `a`
         6 | name = "a"
           |        ^^^
        sluice.toml:8:12: DFP agents `a` and `a` both speak of 10.0.0.128/25: which one counts?
         8 | backends = ["10.0.1.0/24", "10.0.0.128/25"]
           |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#,
    );
    refused(
        "[manager.agent_check]\nlisten = \"0.0.0.0:7400\"\n",
        r#"
        sluice.toml:2:10: 0.0.0.0:7400 is taken by `manager.listen`: give it a port of its own
         2 | listen = "0.0.0.0:7400"
           |          ^^^^^^^^^^^^^^"#,
    );
}

#[test]
fn damping_and_slow_starts() {
    refused(
        &format!(
            "[manager]\nflap_damping = {{ hold = \"10s\", most = \"5s\", window = \"0s\" }}\n{WWW}slow_start = {{ duration = \"10s\", from_percent = 101, steps = 0 }}\n"
        ),
        r#"
        sluice.toml:2:39: `most` is the longest hold: it cannot be shorter than `hold`, the first
         2 | flap_damping = { hold = "10s", most = "5s", window = "0s" }
           |                                       ^^^^
        sluice.toml:2:54: `window` must be at least 10ms
         2 | flap_damping = { hold = "10s", most = "5s", window = "0s" }
           |                                                      ^^^^
        sluice.toml:7:49: `from_percent` is a share of the weight, 0 to 100
         7 | slow_start = { duration = "10s", from_percent = 101, steps = 0 }
           |                                                 ^^^
        sluice.toml:7:62: `steps` is 1 to 1000
         7 | slow_start = { duration = "10s", from_percent = 101, steps = 0 }
           |                                                              ^"#,
    );
}

#[test]
fn how_an_agent_hears_of_its_application() {
    let agent = |rest: &str| {
        format!(
            "[agent]\nmanager = \"m:1\"\n[[agent.bind]]\nservice = \"www\"\naddress = \"10.0.0.1:80\"\n{rest}\n"
        )
    };
    refused(
        &agent(
            "check = { http = \"/\", command = [\"check --fast\"] }\nagent_check = { port = 0 }",
        ),
        r#"
        sluice.toml:6:33: a check has either `http` or `command`
         6 | check = { http = "/", command = ["check --fast"] }
           |                                 ^^^^^^^^^^^^^^^^
        sluice.toml:6:33: `command` is a program's absolute path and its arguments, without a shell, such as ["/usr/lib/check", "--fast"]
         6 | check = { http = "/", command = ["check --fast"] }
           |                                 ^^^^^^^^^^^^^^^^
        sluice.toml:7:24: `port` is where the application answers, not 0
         7 | agent_check = { port = 0 }
           |                        ^"#,
    );
    refused(
        &agent("[agent.notify]\nsocket = \"here\"\nmode = \"rw\""),
        r#"
        sluice.toml:8:8: `rw` is no mode of a socket, such as "0660"
         8 | mode = "rw"
           |        ^^^^"#,
    );
    refused(
        &agent("[agent.notify]\nsocket = \"here\"\nsystemd_socket = \"here\"\nwatchdog = \"1ms\""),
        r#"
        sluice.toml:7:10: `socket` must be an absolute path of 107 bytes at the most
         7 | socket = "here"
           |          ^^^^^^
        sluice.toml:8:18: `systemd_socket` must be an absolute path of 107 bytes at the most
         8 | systemd_socket = "here"
           |                  ^^^^^^
        sluice.toml:8:18: `socket` and `systemd_socket` are two sockets
         8 | systemd_socket = "here"
           |                  ^^^^^^
        sluice.toml:9:12: `watchdog` must be at least 10ms
         9 | watchdog = "1ms"
           |            ^^^^^"#,
    );
}
