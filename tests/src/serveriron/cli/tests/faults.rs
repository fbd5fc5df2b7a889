use std::time::{Duration, Instant};

use super::client::{Client, instant};
use crate::serveriron::{Faults, Hostile, Limits, Lost, Options, Simulator};

const CONFIG: &str = "telnet@iron(config)#";

#[test]
fn a_change_takes_its_time_and_changes_wait_for_each_other() {
    let iron = Simulator::start(Options::default()).unwrap();
    let mut client = Client::configuring(&iron);
    let begun = Instant::now();
    for _ in 0..5 {
        client.command("server predictor weighted", CONFIG);
        client.command("server predictor round-robin", CONFIG);
    }
    let taken = begun.elapsed();
    assert!(taken >= Duration::from_millis(200), "{taken:?}");
    assert_eq!(iron.operations(), 10);
    client.command("show server real", CONFIG);
    assert_eq!(iron.operations(), 10, "showing is no change");
}

#[test]
fn a_connection_is_lost_before_or_after_its_command() {
    for (lost, done) in [(Lost::Command, false), (Lost::Answer, true)] {
        let iron = instant();
        let mut client = Client::configuring(&iron);
        iron.set_faults(Faults { lose_after: Some((2, lost)), ..Faults::default() });
        client.command("server predictor weighted", CONFIG);
        client.command("server predictor round-robin", CONFIG);
        client.say("server force-delete");
        let heard = client.end();
        assert!(!heard.contains('#'), "{heard:?}");
        assert_eq!(iron.state().running.force_delete, done);
        assert_eq!(iron.faults(), Faults::default(), "it happens once");
        Client::configuring(&iron);
    }
}

#[test]
fn a_box_that_hangs_says_nothing_and_forgets() {
    let iron = instant();
    let mut client = Client::configuring(&iron);
    iron.set_faults(Faults { hang: true, ..Faults::default() });
    client.say("server force-delete");
    assert_eq!(client.silence(Duration::from_millis(200)).as_deref(), Some(""));
    let mut late = Client::connect(&iron);
    assert_eq!(late.silence(Duration::from_millis(100)).as_deref(), Some(""));
    iron.set_faults(Faults::default());
    late.until("Please Enter Password: ");
    client.say("server predictor weighted");
    client.until(CONFIG);
    assert!(!iron.state().running.force_delete);
}

#[test]
fn a_command_is_refused_in_given_words() {
    let iron = instant();
    let mut client = Client::configuring(&iron);
    let refuse = vec![("force".to_owned(), "Error - not today".to_owned())];
    iron.set_faults(Faults { refuse, ..Faults::default() });
    assert_eq!(client.command("server force-delete", CONFIG), "Error - not today\r\n");
    assert_eq!(client.command("server predictor weighted", CONFIG), "");
    assert!(!iron.state().running.force_delete);
}

#[test]
fn full_tables_say_so() {
    let limits = Limits { real_servers: 1, ..Limits::default() };
    let iron = Simulator::start(Options { limits, ..Options::default() }.instant()).unwrap();
    let mut client = Client::configuring(&iron);
    client.command("server real a 198.51.100.1", "telnet@iron(config-rs-a)#");
    assert_eq!(
        client.command("server real b 198.51.100.2", "telnet@iron(config-rs-a)#"),
        "Error - the table of real servers is full\r\n"
    );
}

#[test]
fn hostile_replies_are_as_hostile_as_ordered() {
    let iron = instant();
    let mut client = Client::configuring(&iron);
    let hostile = |hostile| Faults { hostile: Some(hostile), ..Faults::default() };
    iron.set_faults(hostile(Hostile::Huge(3_000_000)));
    assert_eq!(client.command("show server real", CONFIG).len(), 3_000_002);
    iron.set_faults(hostile(Hostile::Binary));
    client.say("show server real");
    assert!(client.until(CONFIG).contains("\u{1}\u{2}\u{3}"));
    iron.set_faults(hostile(Hostile::Bytes(b"telnet@iron(config)#".to_vec())));
    assert_eq!(client.command("show server real", CONFIG), "");
    assert_eq!(client.until(CONFIG), "");
    iron.set_faults(hostile(Hostile::Endless));
    client.say("show server real");
    for _ in 0..500 {
        let flood = client.until("server real endless 192.0.2.1\r\n port http\r\n!\r\n");
        assert!(!flood.contains('#'), "{flood}");
    }
}

#[test]
fn a_prompt_may_be_inside_a_name_and_a_banner() {
    let banner = "\nkeep off, telnet@iron# is ours\n".to_owned();
    let iron = Simulator::start(Options { banner, ..Options::default() }.instant()).unwrap();
    let mut client = Client::connect(&iron);
    client.until("telnet@iron#");
    client.until("Please Enter Password: ");
    drop(client);
    iron.change(|state| state.define_real("telnet@iron#", [198, 51, 100, 1].into())).unwrap();
    let mut client = Client::connect(&iron);
    client.until("Please Enter Password: ");
    client.say("telnet-pass");
    client.until("telnet@iron>");
    client.say("show server real telnet@iron#");
    client.until("Name: telnet@iron#\r\n");
}

#[test]
fn a_reboot_throws_out_and_forgets() {
    let iron = instant();
    let mut client = Client::configuring(&iron);
    client.command("server predictor weighted", CONFIG);
    client.command("write memory", CONFIG);
    client.command("server force-delete", CONFIG);
    let downtime = Duration::from_secs(2);
    iron.reboot(downtime);
    let begun = Instant::now();
    client.end();
    let mut refused = Client::connect(&iron);
    assert_eq!(refused.end(), "");
    std::thread::sleep(downtime.saturating_sub(begun.elapsed()));
    let mut client = Client::configuring(&iron);
    let config = client.command("show running-config", CONFIG);
    assert_eq!(config, "!\r\nserver predictor weighted\r\nend\r\n");
    iron.hang_up();
    client.end();
    assert!(iron.state().uptime() < Duration::from_secs(60));
}
