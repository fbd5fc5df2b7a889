//! By net-snmp's own tools.

use std::{
    fs,
    net::UdpSocket,
    process::{Command, Stdio},
    time::Duration,
};

use super::{prepared, users};
use crate::{
    Outcome, Process, eventually,
    serveriron::{Binding, Faults, Health, Hostile, Lost, Options, Simulator},
};

const L4: &str = ".1.3.6.1.4.1.1991.1.1.4";
const UP_TIME: &str = ".1.3.6.1.2.1.1.3.0";
const V2: [&str; 3] = ["-v2c", "-c", "private"];

/// Runs one of the tools with numbers for names and no configuration.
fn tool(iron: &Simulator, program: &str, who: &[&str], about: &[&str]) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let agent = format!("udp:{}", iron.snmp_address());
    let output = Command::new(program)
        .env("SNMPCONFPATH", directory.path())
        .env("SNMP_PERSISTENT_DIR", directory.path())
        .args(["-m", "", "-On", "-Oe", "-t", "3", "-r", "0"])
        .args(who)
        .arg(agent)
        .args(about)
        .stdin(Stdio::null())
        .output()
        .expect(program);
    output.into()
}

fn get(iron: &Simulator, name: &str) -> String {
    tool(iron, "snmpget", &V2, &[name]).stdout().unwrap().trim().to_owned()
}

/// The arguments of `snmpset` that create a bind.
fn bind(index: u32, real: &str) -> Vec<String> {
    let name = |column| format!("{L4}.6.1.1.{column}.{index}");
    let set = [
        [name(2), "s".into(), "www".into()],
        [name(3), "i".into(), "80".into()],
        [name(4), "s".into(), real.into()],
        [name(5), "i".into(), "80".into()],
        [name(6), "i".into(), "4".into()],
    ];
    set.concat()
}

fn set(iron: &Simulator, who: &[&str], about: &[impl AsRef<str>]) -> Outcome {
    let about: Vec<&str> = about.iter().map(AsRef::as_ref).collect();
    tool(iron, "snmpset", who, &about)
}

#[test]
fn objects_are_read_with_their_types() {
    let iron = prepared(Options::default());
    iron.change(|state| state.bind(Binding::new("www", 80, "web1", 80))).unwrap();
    iron.change(|state| state.open("www", 80, 3));
    for (name, value) in [
        (".1.3.6.1.2.1.1.1.0", "STRING: \"Simulated ServerIron\""),
        (".1.3.6.1.2.1.1.2.0", "OID: .1.3.6.1.4.1.1991"),
        (".1.3.6.1.2.1.1.5.0", "STRING: \"iron\""),
        (&format!("{L4}.6.1.1.2.1"), "STRING: \"www\""),
        (&format!("{L4}.6.1.1.3.1"), "INTEGER: 80"),
        (&format!("{L4}.6.1.1.6.1"), "INTEGER: 2"),
        (&format!("{L4}.19.1.1.1.198.51.100.1"), "IpAddress: 198.51.100.1"),
        (&format!("{L4}.19.1.1.4.198.51.100.1"), "INTEGER: 1000000"),
        (&format!("{L4}.20.1.1.3.198.51.100.1.80"), "INTEGER: 80"),
        (&format!("{L4}.21.1.1.4.203.0.113.50"), "INTEGER: 0"),
        (&format!("{L4}.22.1.1.3.203.0.113.50.80"), "STRING: \"www\""),
        (&format!("{L4}.23.1.1.5.198.51.100.1"), "INTEGER: 3"),
        (&format!("{L4}.23.1.1.8.198.51.100.1"), "INTEGER: 6"),
        (&format!("{L4}.24.1.1.5.198.51.100.2.80"), "INTEGER: 7"),
        (&format!("{L4}.24.1.1.8.198.51.100.1.80"), "Counter32: 3"),
        (&format!("{L4}.6.1.1.2.9"), "No Such Instance currently exists at this OID"),
        (&format!("{L4}.99.0"), "No Such Object available on this agent at this OID"),
    ] {
        assert_eq!(get(&iron, name), format!("{name} = {value}"));
    }
    assert!(get(&iron, UP_TIME).contains("Timeticks: ("));
}

#[test]
fn walks_see_every_row_once_and_in_order() {
    let iron = prepared(Options::default());
    iron.change(|state| {
        for port in 1..=200 {
            state.set_real_port("web1", port, true).unwrap();
            state.bind(Binding::new("www", 80, "web1", port)).unwrap();
        }
    });
    let binds = format!("{L4}.6");
    let walked = tool(&iron, "snmpwalk", &V2, &[&binds]).stdout().unwrap();
    assert_eq!(walked.lines().count(), 200 * 6);
    let names: Vec<Vec<u32>> = walked
        .lines()
        .map(|line| {
            let name = line.split(" = ").next().unwrap();
            name[1..].split('.').map(|part| part.parse().unwrap()).collect()
        })
        .collect();
    assert!(names.is_sorted());
    let before = iron.commands();
    let bulk = tool(&iron, "snmpbulkwalk", &V2, &["-Cr50", &binds]).stdout().unwrap();
    assert_eq!(bulk, walked);
    let requests = iron.commands() - before;
    assert!((20..70).contains(&requests), "{requests} requests for 1,200 objects");
    let end = tool(&iron, "snmpwalk", &V2, &[".1.3.6.1.4.1.1991.1.1.5"]).stdout().unwrap();
    assert!(end.contains("No more variables left"), "{end}");
}

#[test]
fn a_bind_is_made_and_removed_by_one_request_each() {
    let iron = prepared(Options::default());
    set(&iron, &V2, &bind(5, "web1")).stdout().unwrap();
    let binding = Binding::new("www", 80, "web1", 80);
    assert_eq!(iron.state().running.binds[&5].binding, binding);
    assert_eq!(iron.operations(), 1);
    let status = format!("{L4}.6.1.1.6.5");
    set(&iron, &V2, &[status.as_str(), "i", "3"]).stdout().unwrap();
    assert!(iron.state().running.binds.is_empty());
}

#[test]
fn refusals_are_told_with_their_reason() {
    let iron = prepared(Options::default());
    let status = format!("{L4}.6.1.1.6.5");
    let reason = |who: &[&str], about: &[String]| {
        let outcome = set(&iron, who, about);
        assert!(!outcome.success(), "{outcome:?}");
        let reason = outcome.stderr.lines().find_map(|line| line.strip_prefix("Reason: "));
        reason.unwrap_or(&outcome.stderr).to_owned()
    };
    let one = |value: &str| [status.clone(), "i".to_owned(), value.to_owned()];
    assert!(reason(&V2, &bind(1, "nobody")).starts_with("inconsistentValue"));
    assert!(reason(&V2, &one("9")).starts_with("wrongValue"));
    assert!(reason(&V2, &one("3")).starts_with("inconsistentName"));
    assert!(reason(&["-v2c", "-c", "public"], &bind(1, "web1")).starts_with("noAccess"));
    let up_time = [UP_TIME.to_owned(), "t".to_owned(), "1".to_owned()];
    assert!(reason(&V2, &up_time).starts_with("notWritable"));
    assert!(reason(&["-v2c", "-c", "stranger"], &bind(1, "web1")).contains("Timeout"));
    iron.set_faults(Faults { refuse_sets: Some(5), ..Faults::default() });
    assert!(reason(&V2, &bind(1, "web1")).contains("genError"));
    assert!(iron.state().running.binds.is_empty());
}

/// Arguments of an SNMPv3 user; empty passwords leave out that level.
fn v3<'a>(user: &'a str, auth: &'a str, sign: &'a str, hide: &'a str) -> Vec<&'a str> {
    let level = match (sign.is_empty(), hide.is_empty()) {
        (true, _) => "noAuthNoPriv",
        (false, true) => "authNoPriv",
        (false, false) => "authPriv",
    };
    let mut who = vec!["-v3", "-u", user, "-l", level];
    if !sign.is_empty() {
        who.extend(["-a", auth, "-A", sign]);
    }
    if !hide.is_empty() {
        who.extend(["-x", "AES", "-X", hide]);
    }
    who
}

#[test]
fn users_of_v3_are_who_they_say() {
    let iron = prepared(Options { users: users(), ..Options::default() });
    let (sign, hide) = ("sign-me-please", "hide-me-please");
    let mut index = 0;
    for who in [
        v3("sha1", "SHA", sign, hide),
        v3("sha256", "SHA-256", sign, hide),
        v3("plain", "SHA-256", sign, ""),
    ] {
        index += 1;
        set(&iron, &who, &bind(index, &format!("web{}", index % 2 + 1))).stdout().unwrap();
        let walked = tool(&iron, "snmpbulkwalk", &who, &[L4]).stdout().unwrap();
        assert!(walked.contains("STRING: \"www\""), "{walked}");
        iron.change(|state| state.running.binds.clear());
    }
    for (who, error) in [
        (v3("sha1", "SHA", "wrong-password", hide), "Authentication failure"),
        (v3("sha1", "SHA-256", sign, hide), "Authentication failure"),
        (v3("sha256", "SHA-256", sign, "wrong-password"), ""),
        (v3("nobody", "SHA", sign, hide), "Unknown user name"),
        (v3("plain", "SHA-256", sign, hide), "Unsupported security level"),
        (v3("sha1", "SHA", sign, ""), "authorizationError"),
        (v3("sha1", "", "", ""), "authorizationError"),
    ] {
        let refused = tool(&iron, "snmpget", &who, &[UP_TIME]);
        assert!(!refused.success(), "{who:?}");
        assert!(refused.stderr.contains(error), "{who:?}: {}", refused.stderr);
        let refused = set(&iron, &who, &bind(1, "web1"));
        assert!(!refused.success(), "{who:?}");
        assert!(iron.state().running.binds.is_empty(), "{who:?}");
    }
}

#[test]
fn a_reboot_turns_the_clock_back_and_v3_goes_on() {
    let iron = prepared(Options { users: users(), ..Options::default() });
    let who = v3("sha256", "SHA-256", "sign-me-please", "hide-me-please");
    let ticks = || {
        let shown = tool(&iron, "snmpget", &who, &[UP_TIME]).stdout().unwrap();
        let (_, rest) = shown.split_once('(').unwrap();
        rest.split(')').next().unwrap().parse::<u32>().unwrap()
    };
    std::thread::sleep(Duration::from_millis(1500));
    let before = ticks();
    assert!(before >= 150, "{before}");
    iron.reboot(Duration::ZERO);
    assert!(ticks() < before);
    assert_eq!(iron.state().boots(), 2);
    assert!(iron.state().running.reals.is_empty());
}

#[test]
fn faults_are_faults_over_snmp_too() {
    let iron = prepared(Options::default());
    iron.set_faults(Faults { lose_after: Some((1, Lost::Answer)), ..Faults::default() });
    get(&iron, UP_TIME);
    let lost = set(&iron, &V2, &bind(1, "web1"));
    assert!(lost.stderr.contains("Timeout") || lost.stderr.contains("No Response"), "{lost:?}");
    assert_eq!(iron.state().running.binds.len(), 1, "it was done");
    iron.set_faults(Faults { lose_after: Some((0, Lost::Command)), ..Faults::default() });
    assert!(!set(&iron, &V2, &bind(2, "web2")).success());
    assert_eq!(iron.state().running.binds.len(), 1);
    get(&iron, UP_TIME);
    iron.set_faults(Faults { hang: true, ..Faults::default() });
    assert!(!tool(&iron, "snmpget", &V2, &[UP_TIME]).success());
    let hostile = |hostile| Faults { hostile: Some(hostile), ..Faults::default() };
    iron.set_faults(hostile(Hostile::Binary));
    assert!(!tool(&iron, "snmpget", &V2, &[UP_TIME]).success());
    iron.set_faults(hostile(Hostile::Huge(50_000)));
    assert!(get(&iron, UP_TIME).len() > 50_000);
    iron.set_faults(hostile(Hostile::Endless));
    let begin = iron.commands();
    let endless = Command::new("timeout")
        .args(["2", "snmpwalk", "-m", "", "-On", "-v2c", "-c", "public"])
        .args([&format!("udp:{}", iron.snmp_address()), &format!("{L4}.6")])
        .output()
        .unwrap();
    assert_eq!(endless.status.code(), Some(124), "it had to be stopped");
    assert!(iron.commands() - begin > 20);
}

#[test]
fn traps_reach_a_trap_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("snmptrapd.conf");
    fs::write(&config, "disableAuthorization yes\n").unwrap();
    let log = directory.path().join("log");
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = [
        "-f".to_owned(),
        "-Lo".to_owned(),
        "-C".to_owned(),
        "-c".to_owned(),
        config.display().to_string(),
        "-m".to_owned(),
        String::new(),
        "-On".to_owned(),
        "-p".to_owned(),
        directory.path().join("pid").display().to_string(),
        format!("udp:{sink}"),
    ];
    let daemon = Process::spawn("snmptrapd", "snmptrapd".as_ref(), &args, &log).unwrap();
    let iron = prepared(Options { trap_sink: Some(sink), ..Options::default() });
    // The daemon is there when it hears the first; then each comes once.
    eventually(Duration::from_secs(10), "a first trap", || {
        iron.set_active(false)?;
        Ok(daemon.log().contains("Trap (26)").then_some(()))
    })
    .unwrap();
    iron.set_health("web1", None, Health::Failed).unwrap();
    iron.set_health("web1", None, Health::Testing).unwrap();
    iron.set_health("web1", None, Health::Up).unwrap();
    iron.set_health("web2", Some(80), Health::Failed).unwrap();
    iron.set_health("web2", Some(80), Health::Up).unwrap();
    iron.set_active(true).unwrap();
    eventually(Duration::from_secs(10), "the last trap", || {
        Ok(daemon.log().contains("Trap (27)").then_some(()))
    })
    .unwrap();
    let log = daemon.log();
    for (number, about) in [(21, "web1"), (22, "web1"), (23, "web2"), (24, "web2")] {
        assert_eq!(log.matches(&format!("Trap ({number})")).count(), 1, "{log}");
        assert!(log.contains(&format!(".1.3.6.1.4.1.1991.0.{number}.1 = STRING: \"{about}\"")));
    }
    assert!(log.contains(".1.3.6.1.4.1.1991 Enterprise Specific Trap"), "{log}");
}
