//! What is printed, and prompts.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::super::{
    super::config::{Bind, Config, PortDoing},
    prompt::{Host, Mode},
    running, status, text,
};
use crate::{switch::Failure, testing::Fuzz};

const OURS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);
const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 50);

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn running(text: &str) -> Config {
    running::parse(&lines(text)).expect("it has an end")
}

/// As a box prints it: with what is none of ours, and things to trip over.
const RUNNING: &str = "\
!
ver 07.3.05T12
global-protocol-vlan
server predictor least-conn
server port 80
  tcp
!
server real web1 198.51.100.9
 port default disable
 port http
 port http url \"GET /status.html HTTP/1.0\"
!
server real sluice-198.51.100.3 198.51.100.3
 weight 7
 port default disable
 port 8080
 port http disable
 port http url \"GET /disable HTTP/1.0\"
 port ssl
!
server virtual www 203.0.113.50
 predictor weighted
 port default disable
 port http
 port ssl
 bind http web1 http sluice-198.51.100.3 8080
 bind http sluice-198.51.100.3 http
 bind ssl nobody ssl
!
hostname iron
end
";

#[test]
fn a_running_configuration_is_read() {
    let config = running(RUNNING);
    let real = &config.reals[&OURS];
    assert!(real.is_ours());
    assert_eq!(real.weight, 7);
    let ports: Vec<_> = real.ports.clone().into_iter().collect();
    assert_eq!(ports, [(80, false), (443, true), (8080, true)]);
    assert!(!config.reals[&Ipv4Addr::new(198, 51, 100, 9)].is_ours());
    let vip = &config.virtuals[&VIP];
    assert_eq!(vip.name, "www");
    assert_eq!(vip.ports.iter().copied().collect::<Vec<_>>(), [80, 443]);
    let service = SocketAddrV4::new(VIP, 80);
    let bind = |port| Bind { service, server: SocketAddrV4::new(OURS, port) };
    assert_eq!(config.our_binds().collect::<Vec<_>>(), [bind(80), bind(8080)]);
    assert_eq!(config.binds.len(), 3);
}

#[test]
fn half_a_configuration_is_none() {
    let cut = RUNNING.trim_end_matches("end\n");
    let failure = running::parse(&lines(cut)).expect_err("it has no end");
    assert!(matches!(failure, Failure::Lost(_)), "{failure:?}");
    // Nor is the word within a block the end.
    let within = cut.to_owned() + "server virtual x 203.0.113.51\n end\n";
    running::parse(&lines(&within)).expect_err("it has no end");
}

#[test]
fn lines_without_sense_are_passed_over() {
    let config = running(
        "server real sluice-1.2.3.4 1.2.3.4.5\n port http\nserver real\nserver real x\n\
         server real sluice-10.0.0.1 10.0.0.1\n weight many\n weight\n port\n port 70000\n\
         bind http\n port 81\nserver virtual v 10.0.0.9\n bind http\n bind http a\n \
         bind nothing sluice-10.0.0.1 81\n bind http sluice-10.0.0.1 81 sluice-10.0.0.1\nend\n",
    );
    assert_eq!(config.reals.len(), 1);
    // A line at the margin ends a block, and "bind" there is no bind.
    assert!(config.reals[&Ipv4Addr::new(10, 0, 0, 1)].ports.is_empty());
    assert_eq!(config.binds.len(), 1);
}

#[test]
fn ours_of_two_real_servers_of_one_address_is_known() {
    for order in [["web", "sluice-10.0.0.1"], ["sluice-10.0.0.1", "web"]] {
        let text = order.map(|name| format!("server real {name} 10.0.0.1\n port http\n")).concat();
        let config = running(&(text + "end\n"));
        assert_eq!(config.ours().count(), 1, "{order:?}");
    }
}

/// Two layouts, of an old and of a new release.
const STATUS: [&str; 2] = [
    "\
Real Servers Info

State(St) - ACT:active, ENB:enabled, FAL:failed, TST:test, SUS:suspect,
            GDN:grace-dn, UNB:unbind, AWU:await-unbind, AWD:await-delete

Name : sluice-198.51.100.3                IP: 198.51.100.3       State: ACT
Port    St  Ms CurConn TotConn Rx-pkts  Tx-pkts  Rx-octet   Tx-octet   Reas
----    --  -- ------- ------- -------  -------  --------   --------   ----
default UNB 0  0       0       0        0        0          0          0
http    GDN 0  12      345     0        0        0          0          0
8080    AWU 0  1       2       0        0        0          0          0
Server  Total  13      347     0        0        0          0          0

Name : web1                               IP: 198.51.100.9       State: ACT
Port    St  Ms CurConn TotConn Rx-pkts  Tx-pkts  Rx-octet   Tx-octet   Reas
http    ACT 0  99      99      0        0        0          0          0
",
    "\
Name:sluice-198.51.100.3 IP:198.51.100.3:4 State:6   Wt:1  Max-conn:1000000
Remote server   : No       Dynamic : No   Server-resets:0
Port    State    Ms TotConn CurConn Rx-pkts Tx-pkts
http    active   0  345     12      0       0
8080    await-unbind 0 2    1       0       0
",
];

#[test]
fn what_real_servers_do_is_read_by_the_names_of_columns() {
    for text in STATUS {
        let activity = status::parse(&lines(text));
        assert_eq!(activity.reals.keys().copied().collect::<Vec<_>>(), [OURS], "{text}");
        let port = |port| activity.of(SocketAddrV4::new(OURS, port));
        assert_eq!(port(80), PortDoing { connections: 12, total: 345, going: false }, "{text}");
        assert_eq!(port(8080), PortDoing { connections: 1, total: 2, going: true }, "{text}");
        assert!(!activity.going(OURS), "{text}");
    }
    let going = status::parse(&lines("Name: sluice-10.0.0.1 IP: 10.0.0.1 State: AWD\n"));
    assert!(going.going(Ipv4Addr::new(10, 0, 0, 1)));
}

#[test]
fn prompts_are_known_exactly() {
    let (host, mode) = Host::of_prompt("telnet@iron-1#").expect("a prompt");
    assert_eq!((host.name(), mode), ("iron-1", Mode::Enabled));
    let real = || Mode::Real("sluice-10.0.0.1".into());
    let table = [
        ("telnet@iron-1>", Mode::User, true),
        ("telnet@iron-1#", Mode::Enabled, true),
        ("iron-1#", Mode::Enabled, true),
        (" telnet@iron-1# ", Mode::Enabled, true),
        ("telnet@iron-1#", Mode::Config, false),
        ("telnet@iron-1(config)#", Mode::Config, true),
        ("telnet@iron-1(config)#", Mode::Enabled, false),
        ("telnet@iron-1(config-rs-sluice-10.0.0.1)#", real(), true),
        // A long name may be cut short.
        ("telnet@iron-1(config-rs-sluice-10.)#", real(), true),
        ("telnet@iron-1(config-rs-)#", real(), false),
        ("telnet@iron-1(config-rs-sluice-10.0.0.2)#", real(), false),
        ("telnet@iron-1(config-vs-sluice-10.0.0.1)#", real(), false),
        ("other#", Mode::Enabled, false),
        ("telnet@iron-1##", Mode::Enabled, false),
    ];
    for (line, mode, known) in table {
        assert_eq!(host.prompts(line, &mode), known, "{line} as {mode:?}");
    }
    for line in ["", "#", ">", "no prompt#", "iron", "a\u{7}b#", &("x".repeat(100) + "#")] {
        assert_eq!(Host::of_prompt(line), None, "{line:?}");
    }
}

#[test]
fn an_echo_is_found_also_when_it_is_wrapped() {
    let table = [
        ("end\r\nrest", "end", Some("rest")),
        ("iron#end \r\nrest", "end", Some("rest")),
        // A prompt that has the command in it is no echo.
        ("backend#\r\nend\r\nrest", "end", Some("rest")),
        ("bind http a h\r\nttp\r\nrest", "bind http a http", Some("rest")),
        ("end", "end", None),
        ("other\r\n", "end", None),
        ("", "end", None),
    ];
    for (shown, command, rest) in table {
        assert_eq!(text::after_echo(shown, command), rest, "{shown:?}");
    }
}

/// Whatever a box prints.
#[test]
fn fuzzed_serveriron_output() {
    Fuzz::new("serveriron")
        .with(RUNNING)
        .with(STATUS[0])
        .with(STATUS[1])
        .words(&["Server x successfully deleted.", "--More--", "\r", "\u{8}", "CurConn", "end\n"])
        .run(|bytes| {
            let shown = text::printable(bytes);
            let mut deleted = Vec::new();
            let shown = text::without_notices(&shown, &mut deleted);
            assert!(shown.len() <= bytes.len());
            assert!(deleted.iter().all(|name| name.len() <= 32));
            text::after_echo(&shown, "end");
            let lines = text::lines(&shown);
            Host::of_prompt(&text::last_line(&shown).0);
            status::parse(&lines);
            if let Ok(config) = running::parse(&lines) {
                let known = |bind: &Bind| config.reals.contains_key(bind.server.ip());
                assert!(config.binds.iter().all(known));
            }
        });
}
