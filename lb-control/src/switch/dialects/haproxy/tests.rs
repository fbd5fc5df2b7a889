//! What is sent and understood, without an HAProxy; one is in the conformance suite.

mod talking;

use std::{net::SocketAddr, time::Instant};

use super::{
    steps::{Outcome, PREFIX, Reply, Step, put, remove, server_name},
    tables,
    wire::{MOST, Replies},
    *,
};

/// HAProxy 2.6.12's own answers, shortened by rows.
const STATE: &str = "1\n\
    # be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
    srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
    srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl \
    srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n\
    3 be_www 1 static1 127.0.0.1 2 0 10 10 241 1 0 2 0 0 0 0 - 18091 - 0 0 - - 0\n\
    3 be_www 2 sluice-127.0.0.1-18092 127.0.0.1 0 8 5 5 238 8 2 0 6 0 0 0 - 18092 - 0 0 - - 0\n\
    3 be_www 3 sluice-fd00:18::1-80 fd00:18::1 2 1 0 1 0 1 0 2 6 0 0 0 - 80 - 0 0 - - 0\n\
    4 api 1 sluice-127.0.0.1-18093 127.0.0.1 2 0 9 9 1 1 0 2 0 0 0 0 - 18093 - 0 0 - - 0\n";
const INFO: &str = "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 20478\nUptime: 0d 0h01m40s\n\
    Uptime_sec: 100\nnode: vm\n";
const STAT: &str = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,addr,\n\
    be_www,static1,0,0,1,1,,9,0,127.0.0.1:18091,\n\
    be_www,sluice-127.0.0.1-18092,0,0,3,3,,70,0,127.0.0.1:18092,\n\
    be_www,sluice-fd00:18::1-80,0,0,0,0,,7,0,[fd00:18::1]:80,\n";

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn device(options: &str) -> Result<Haproxy, String> {
    let settings = |options: &str| -> SwitchSettings {
        toml::from_str(&format!("name = \"lb\"\nkind = \"haproxy\"\n[options]\n{options}")).unwrap()
    };
    new(&settings(options))
}

fn planned(weight: u32, phase: Phase) -> PlannedServer {
    PlannedServer { weight, phase }
}

fn commands(step: Option<Step>) -> Vec<String> {
    step.into_iter().flat_map(|step| step.commands).map(|(command, _)| command).collect()
}

#[test]
fn options_say_what_is_wrong_with_them() {
    let ok = "address = \"unix:/run/haproxy/admin.sock\"\n";
    device(ok).unwrap();
    device("address = \"[::1]:9999\"\nserver = \"check inter 1s send-proxy-v2\"").unwrap();
    for (options, wanted) in [
        ("", "missing field `address`"),
        ("address = \"/run/haproxy/admin.sock\"", "unix:/run/haproxy/admin.sock"),
        ("address = \"localhost:0\"", "HOST:PORT"),
        (&format!("{ok}backend = {{}}"), "unknown field `backend`"),
        (&format!("{ok}backends = {{ www = \"a b\" }}"), "`a b` is no name of a backend"),
        (&format!("{ok}backends = {{ www = \"x\", api = \"x\" }}"), "give each its own"),
        (&format!("{ok}server = \"check; shutdown sessions server a/b\""), "words as on"),
        (&format!("{ok}server = \"check\\ndel server a/b\""), "words as on"),
    ] {
        let error = device(options).err().unwrap_or_else(|| panic!("{options} is taken"));
        assert!(error.contains(wanted), "{options}: {error}");
    }
}

#[test]
fn replies_are_cut_at_prompts_however_they_arrive() {
    let text = b"\n> New server registered.\n\n> \n> No such backend.\n> a > b\n >\n\n> rest";
    let wanted = ["", "New server registered.", "", "No such backend.", "a > b\n >"];
    for size in 1..=text.len() {
        let mut replies = Replies::default();
        text.chunks(size).for_each(|chunk| replies.take(chunk).unwrap());
        assert_eq!(replies.whole(), wanted.len(), "in pieces of {size}");
        assert_eq!(replies.into_iter().collect::<Vec<_>>(), wanted, "in pieces of {size}");
    }
}

#[test]
fn an_endless_reply_has_an_end() {
    let mut replies = Replies::default();
    let piece = vec![b'A'; 1 << 20];
    for _ in 0..MOST >> 20 {
        replies.take(&piece).unwrap();
    }
    assert!(replies.take(b"A").unwrap_err().contains("is it HAProxy?"));
}

#[test]
fn fuzzed_haproxy() {
    let begun = Instant::now();
    crate::testing::Fuzz::new("haproxy")
        .with(STATE)
        .with(INFO)
        .with(STAT)
        .with("# name\nbe_www\n")
        .words(&["\n> ", "\n", "# ", "sluice-", " ", ",", "1\n", "::1", "4294967296", "-1"])
        .run(|bytes| {
            let mut replies = Replies::default();
            replies.take(bytes).unwrap();
            let whole = replies.whole();
            assert_eq!(replies.into_iter().count(), whole);
            let text = String::from_utf8_lossy(bytes);
            for server in tables::servers(&text, PREFIX).unwrap_or_default() {
                assert!(server.name.starts_with(PREFIX) && !server.name.contains(' '));
            }
            let _ = tables::counts(&text, PREFIX);
            let _ = tables::info(&text, begun);
            let _ = tables::proxies(&text);
        });
}

#[test]
fn servers_and_counts_of_ours_are_read() {
    let servers = tables::servers(STATE, PREFIX).unwrap();
    let short: Vec<_> = servers
        .iter()
        .map(|s| (s.proxy.as_str(), s.address.to_string(), s.weight, s.out(), s.drains()))
        .collect();
    let wanted = [
        ("be_www", "127.0.0.1:18092".to_owned(), 5, false, true),
        ("be_www", "[fd00:18::1]:80".to_owned(), 0, true, false),
        ("api", "127.0.0.1:18093".to_owned(), 9, false, false),
    ];
    assert_eq!(short, wanted);
    assert!(servers.iter().all(|server| server.name == server_name(server.address)));
    let counts = tables::counts(STAT, PREFIX).unwrap();
    let short: Vec<_> =
        counts.iter().map(|c| (c.address.to_string(), c.sessions, c.total)).collect();
    let wanted = [("127.0.0.1:18092".to_owned(), 3, 70), ("[fd00:18::1]:80".to_owned(), 0, 7)];
    assert_eq!(short, wanted);
    let proxies = tables::proxies("# name\nbe_www\napi\n").unwrap();
    assert_eq!(proxies.into_iter().collect::<Vec<_>>(), ["api", "be_www"]);
}

#[test]
fn what_makes_no_sense_is_an_error_with_its_words() {
    let header = STATE.lines().nth(1).unwrap();
    for (reply, wanted) in [
        ("", "version 1"),
        ("2\n", "version 1: 2"),
        ("Permission denied", "Permission denied"),
        ("1\n", "no header"),
        ("1\n# be_name srv_name\n", "columns are missing"),
        (&format!("1\n{header}\n3 be_www 2 sluice-x 127.0.0.1\n"), "a line makes no sense"),
        (&format!("1\n{header}\n3 be_www 2 sluice-x - 2 0 1 1 0 1 0 2 0 0 0 0 - 1\n"), "no sense"),
    ] {
        let error = tables::servers(reply, PREFIX).unwrap_err();
        assert!(error.contains(wanted), "{reply:?}: {error}");
    }
    for info in ["", "Pid: 1\nVersion: 2\n", "Pid: x\nUptime_sec: 1\nVersion: 2\n"] {
        tables::info(info, Instant::now()).unwrap_err();
    }
    tables::proxies("be_www\n").unwrap_err();
    tables::counts("be_www,1\n", PREFIX).unwrap_err();
}

#[test]
fn a_restart_is_told_from_a_second_look() {
    let now = Instant::now() + Duration::from_secs(10_000);
    let later = now + Duration::from_secs(50);
    let look = |pid: u32, uptime: u64, at: Instant| {
        let info = format!("Version: 3.0\nPid: {pid}\nUptime_sec: {uptime}\n");
        tables::info(&info, at).unwrap().0
    };
    let first = look(8, 100, now);
    assert!(first.is_still(look(8, 150, later)));
    // Whole seconds, and a clock that was set forward.
    assert!(first.is_still(look(8, 149, later)));
    assert!(first.is_still(look(8, 500, later)));
    assert!(!first.is_still(look(9, 150, later)), "another pid");
    assert!(!first.is_still(look(8, 10, later)), "the same pid, as in a container");
}

#[test]
fn a_server_is_added_whole_and_in_its_phase() {
    let address = at("192.0.2.1:80");
    let add = |phase| commands(put("be_www", address, planned(5, phase), None, "check"));
    assert_eq!(
        add(Phase::Serve),
        [
            "add server be_www/sluice-192.0.2.1-80 192.0.2.1:80 weight 5 check",
            "enable health be_www/sluice-192.0.2.1-80",
            "set server be_www/sluice-192.0.2.1-80 state ready",
        ]
    );
    assert_eq!(add(Phase::Drain)[2], "set server be_www/sluice-192.0.2.1-80 state drain");
    assert_eq!(add(Phase::Break).len(), 2, "it is in maintenance from the start");
    let six = put("be_www", at("[2001:db8::1]:443"), planned(1, Phase::Serve), None, "");
    assert_eq!(
        commands(six),
        [
            "add server be_www/sluice-2001:db8::1-443 [2001:db8::1]:443 weight 1",
            "set server be_www/sluice-2001:db8::1-443 state ready",
        ]
    );
}

#[test]
fn only_what_differs_is_said() {
    let state = |admin: u32, weight: u32| {
        let header = STATE.lines().nth(1).unwrap();
        let row = format!(
            "3 be_www 2 sluice-192.0.2.1-80 192.0.2.1 0 {admin} {weight} 5 0 8 2 0 6 0 0 0 - 80 - 0 0 - - 0"
        );
        tables::servers(&format!("1\n{header}\n{row}\n"), PREFIX).unwrap().remove(0)
    };
    let (ready, drain, maint) = (0, 8, 1);
    let address = at("192.0.2.1:80");
    let server = "set server be_www/sluice-192.0.2.1-80";
    let shutdown = "shutdown sessions server be_www/sluice-192.0.2.1-80".to_owned();
    for (admin, weight, to, wanted) in [
        (ready, 5, planned(5, Phase::Serve), vec![]),
        (ready, 5, planned(7, Phase::Serve), vec![format!("{server} weight 7")]),
        (ready, 5, planned(0, Phase::Drain), vec![format!("{server} state drain")]),
        (
            ready,
            5,
            planned(0, Phase::Break),
            vec![format!("{server} state maint"), shutdown.clone()],
        ),
        (drain, 5, planned(0, Phase::Drain), vec![]),
        (drain, 5, planned(5, Phase::Serve), vec![format!("{server} state ready")]),
        (drain, 5, planned(0, Phase::Break), vec![format!("{server} state maint"), shutdown]),
        (maint, 5, planned(0, Phase::Break), vec![]),
        (maint, 5, planned(0, Phase::Drain), vec![format!("{server} state drain")]),
        (
            maint,
            5,
            planned(6, Phase::Serve),
            vec![format!("{server} weight 6"), format!("{server} state ready")],
        ),
    ] {
        let step = put("be_www", address, to, Some(&state(admin, weight)), "check");
        assert_eq!(commands(step), wanted, "{admin} {weight} to {to:?}");
    }
    let moved = put(
        "be_www",
        at("192.0.2.1:80"),
        planned(5, Phase::Serve),
        Some(&{ tables::Server { address: at("192.0.2.9:81"), ..state(ready, 5) } }),
        "",
    );
    assert_eq!(commands(moved), [format!("{server} addr 192.0.2.1 port 80")]);
}

#[test]
fn replies_mean_done_or_later_or_no() {
    let add = put("www", at("192.0.2.1:80"), planned(5, Phase::Serve), None, "check").unwrap();
    let of = |words: &str| Outcome::Refused(format!("www/sluice-192.0.2.1-80: {words}"));
    assert_eq!(add.judge(["New server registered.", "", ""]), Outcome::Done);
    // The first explains the others.
    let replies = ["No such backend.", "No such server.", "No such server."];
    assert_eq!(add.judge(replies), of("No such backend."));
    assert_eq!(add.judge(["", "", ""]), of("it says nothing"));
    assert_eq!(add.judge(["a\x1b[1m\n b", "", ""]), of("a[1m b"));

    let remove = remove("www", "sluice-192.0.2.1-80");
    assert_eq!(remove.commands[2].1, Reply::Deleted);
    assert_eq!(remove.judge(["", "", "Server deleted."]), Outcome::Done);
    assert_eq!(remove.judge(["No such server."; 3]), Outcome::Done);
    let busy = "Server still has connections attached to it, cannot remove it.";
    assert_eq!(remove.judge(["", "", busy]), Outcome::Waits);
    let maint = "Only servers in maintenance mode can be deleted.";
    assert_eq!(remove.judge(["", "", maint]), of(maint));
}

/// What HAProxy holds of services that were named, and of no others.
#[test]
fn held_servers_are_those_of_our_services() {
    let address = "address = \"127.0.0.1:9999\"\n";
    let servers = tables::servers(STATE, PREFIX).unwrap();
    let services = |device: &Haproxy| -> Vec<String> {
        device.held(&servers).services.keys().map(ToString::to_string).collect()
    };
    let plain = device(address).unwrap();
    assert_eq!(services(&plain), ["api", "be_www"]);
    let mut named = device(&format!("{address}backends = {{ www = \"be_www\" }}")).unwrap();
    assert_eq!(services(&named), ["api", "www"]);
    named.given = BTreeSet::from(["www".parse().unwrap()]);
    assert_eq!(services(&named), ["www"]);
    let elsewhere = device(&format!("{address}backends = {{ api = \"be_api\" }}")).unwrap();
    assert_eq!(services(&elsewhere), ["be_www"], "backend `api` is not that of service `api`");

    let www = &named.held(&servers).services[&"www".parse::<Name>().unwrap()];
    let wanted = [
        (at("127.0.0.1:18092"), planned(0, Phase::Drain)),
        (at("[fd00:18::1]:80"), planned(0, Phase::Break)),
    ];
    assert_eq!(www.servers, wanted.into_iter().collect());
    // One that waits for its connections to end is gone, to the core.
    named.leaving.insert(("be_www".to_owned(), "sluice-fd00:18::1-80".to_owned()));
    let www = &named.held(&servers).services[&"www".parse::<Name>().unwrap()];
    assert_eq!(www.servers.len(), 1);
}

/// Somebody else has made a second one for an address of ours: clients see the sum.
#[test]
fn two_servers_of_one_address_are_one_with_both_weights() {
    let device = device("address = \"127.0.0.1:9999\"").unwrap();
    let server = |name: &str, weight| tables::Server {
        proxy: "www".to_owned(),
        name: name.to_owned(),
        address: at("192.0.2.7:80"),
        weight,
        admin: 0,
    };
    let servers = [server("sluice-192.0.2.7-80", 30), server("sluice-another", 12)];
    let held = device.held(&servers);
    let www = &held.services[&"www".parse::<Name>().unwrap()];
    assert_eq!(www.servers, [(at("192.0.2.7:80"), planned(42, Phase::Serve))].into());
}

#[test]
fn what_is_not_planned_goes_after_what_is_has_come() {
    let device = device("address = \"127.0.0.1:9999\"\nbackends = { www = \"be_www\" }").unwrap();
    let servers = tables::servers(STATE, PREFIX).unwrap();
    let servers: Vec<_> = servers.into_iter().filter(|server| server.proxy == "be_www").collect();
    let mut plan = device.held(&servers);
    let www = plan.services.get_mut(&"www".parse::<Name>().unwrap()).unwrap();
    www.servers.remove(&at("127.0.0.1:18092"));
    www.servers.insert(at("192.0.2.7:80"), planned(3, Phase::Serve));
    let steps: Vec<_> = device.steps(&servers, &plan).into_iter().map(|step| step.server).collect();
    assert_eq!(steps, ["be_www/sluice-192.0.2.7-80", "be_www/sluice-127.0.0.1-18092"]);
}
