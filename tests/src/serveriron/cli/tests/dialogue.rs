use std::time::Duration;

use super::client::{Client, instant};
use crate::serveriron::{Login, Options, Simulator};

#[test]
fn a_password_leads_to_user_mode_and_enable_past_it() {
    let iron = instant();
    let mut client = Client::connect(&iron);
    let greeting = client.until("Please Enter Password: ");
    assert!(greeting.contains("User Access Verification"), "{greeting:?}");
    client.say("wrong");
    assert_eq!(
        client.until("Please Enter Password: "),
        "*****\r\nError - Incorrect username or password.\r\n"
    );
    client.say("telnet-pass");
    assert_eq!(client.until("telnet@iron>"), "*****\r\n\r\nUser login successful.\r\n\r\n");
    assert!(client.command("conf t", "telnet@iron>").starts_with("Invalid input -> conf t\r\n"));
    client.say("enable");
    client.until("Password:");
    client.say("wrong");
    assert_eq!(
        client.until("telnet@iron>"),
        "*****\r\nError - Incorrect username or password.\r\n"
    );
    client.say("enable");
    client.until("Password:");
    client.say("enable-pass");
    assert_eq!(client.until("telnet@iron#"), "*****\r\n");
    client.command("exit", "telnet@iron>");
    client.say("exit");
    client.end();
    assert_eq!(iron.logins(), 1);
}

#[test]
fn a_name_and_a_password_lead_straight_past_enable() {
    let login = Login::Name { name: "admin".to_owned(), password: "secret".to_owned() };
    let iron = Simulator::start(Options { login, ..Options::default() }.instant()).unwrap();
    let mut client = Client::connect(&iron);
    for _ in 0..2 {
        client.until("Please Enter Login Name: ");
        client.say("admin");
        client.until("Please Enter Password: ");
        client.say("wrong");
        client.until("Error - Incorrect username or password.\r\n");
    }
    client.until("Please Enter Login Name: ");
    client.say("admin");
    client.until("Please Enter Password: ");
    client.say("secret");
    client.until("telnet@iron#");
    let mut client = Client::connect(&iron);
    for _ in 0..3 {
        client.until("Please Enter Login Name: ");
        client.say("root");
        client.until("Please Enter Password: ");
        client.say("secret");
    }
    client.end();
    assert_eq!(iron.logins(), 1);
}

#[test]
fn commands_that_succeed_say_nothing_and_show_up() {
    let iron = instant();
    let mut client = Client::configuring(&iron);
    for (line, prompt) in [
        ("server predictor weighted", "telnet@iron(config)#"),
        ("server real web1 198.51.100.3", "telnet@iron(config-rs-web1)#"),
        ("port default disable", "telnet@iron(config-rs-web1)#"),
        ("port http", "telnet@iron(config-rs-web1)#"),
        ("port http url \"GET /a?b HTTP/1.0\"", "telnet@iron(config-rs-web1)#"),
        ("weight 7", "telnet@iron(config-rs-web1)#"),
        ("exit", "telnet@iron(config)#"),
        ("server real web2 198.51.100.4", "telnet@iron(config-rs-web2)#"),
        ("port 8080", "telnet@iron(config-rs-web2)#"),
        ("max-conn 9", "telnet@iron(config-rs-web2)#"),
        ("server virtual www 203.0.113.50", "telnet@iron(config-vs-www)#"),
        ("port http", "telnet@iron(config-vs-www)#"),
        ("bind http web1 http web2 8080", "telnet@iron(config-vs-www)#"),
        ("predictor round-robin", "telnet@iron(config-vs-www)#"),
        ("end", "telnet@iron#"),
    ] {
        assert_eq!(client.command(line, prompt), "", "{line}");
    }
    let expected = "!\n\
        server predictor weighted\n\
        server real web1 198.51.100.3\n \
        weight 7\n \
        port default disable\n \
        port http\n \
        port http url \"GET /a?b HTTP/1.0\"\n\
        !\n\
        server real web2 198.51.100.4\n \
        max-conn 9\n \
        port 8080\n\
        !\n\
        server virtual www 203.0.113.50\n \
        predictor round-robin\n \
        port http\n \
        bind http web1 http web2 8080\n\
        !\n\
        end\n";
    let shown = client.command("show running-config", "telnet@iron#");
    assert_eq!(shown, expected.replace('\n', "\r\n"));
    assert_eq!(
        client.command("write memory", "telnet@iron#"),
        ".Write startup-config in progress.\r\n.Write startup-config done.\r\n"
    );
    iron.change(|state| state.open("www", 80, 4));
    let reals = client.command("show server real web2", "telnet@iron#");
    assert!(reals.contains("State: Active"), "{reals}");
    assert!(reals.contains("8080    ACT 0  2       2 "), "{reals}");
    // Each configuration command, each pair, and `write memory`.
    assert_eq!(iron.operations(), 15);
    client.command("conf t", "telnet@iron(config)#");
    client.command("server virtual www", "telnet@iron(config-vs-www)#");
    assert_eq!(
        client
            .command("bind http a http b http c http d http e http", "telnet@iron(config-vs-www)#"),
        "Invalid input -> e http\r\nType ? for a list\r\n"
    );
    client.command("server real web1 198.51.100.3", "telnet@iron(config-rs-web1)#");
    assert_eq!(iron.operations(), 15, "entering is no change");
}

#[test]
fn undoing_takes_everything_away() {
    let iron = instant();
    let mut client = Client::configuring(&iron);
    let script = "server real web1 198.51.100.3\nport http\nport default disable\ndisable\n\
        no disable\nport http disable\nno port http disable\nno port default disable\n\
        server virtual www 203.0.113.50\nport http\nbind http web1 http\n\
        no bind http web1 http\npredictor weighted\nno predictor\nno port http\n\
        server real web1\nno port http\nserver force-delete\nno server force-delete\n\
        server predictor weighted\nexit\nno server predictor\nno server virtual www\n\
        no server real web1 198.51.100.3\n";
    for line in script.lines() {
        client.say(line);
    }
    let heard = client.until("Server web1 successfully deleted.");
    assert!(!heard.contains("Error") && !heard.contains("input"), "{heard}");
    assert_eq!(iron.state().running, crate::serveriron::Config::default());
    assert!(iron.state().violations.is_empty());
}

#[test]
fn pages_end_at_more_until_told_otherwise() {
    let iron = instant();
    for number in 1..=30 {
        let address = [198, 51, 100, number].into();
        iron.change(|state| state.define_real(&format!("web{number}"), address)).unwrap();
    }
    let mut client = Client::enabled(&iron);
    client.say("show running-config");
    let first = client.until("--More--");
    assert_eq!(first.lines().count(), 1 + 23, "{first}");
    client.raw(b"x ");
    let second = client.until("--More--");
    assert_eq!(second.matches("server real").count() + second.matches("\r\n!").count(), 23);
    client.raw(b"\r");
    let third = client.until("--More--");
    assert_eq!(third.matches('\n').count(), 1, "{third:?}");
    client.raw(b"\x03");
    let rest = client.until("telnet@iron#");
    assert!(!rest.contains("server real"), "{rest:?}");
    assert_eq!(
        client.command("skip-page-display", "telnet@iron#"),
        "Disable page display mode\r\n"
    );
    let whole = client.command("show running-config", "telnet@iron#");
    assert_eq!(whole.matches("server real").count(), 30);
    assert!(!whole.contains("--More--"));
}

#[test]
fn one_session_configures_at_a_time() {
    let iron = instant();
    let mut first = Client::configuring(&iron);
    let mut second = Client::enabled(&iron);
    let refused = second.command("configure terminal", "telnet@iron#");
    assert_eq!(refused, "Error - configuration is in use by another session\r\n");
    first.command("server virtual www 203.0.113.50", "telnet@iron(config-vs-www)#");
    first.command("end", "telnet@iron#");
    assert_eq!(second.command("conf t", "telnet@iron(config)#"), "");
    // Who goes without a word gives it back too.
    drop(second);
    let mut free = String::from("not tried");
    for _ in 0..1000 {
        first.say("configure terminal");
        free = first.until("#");
        if free.ends_with("(config)") {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(free.ends_with("(config)"), "{free}");
}

#[test]
fn messages_come_at_any_moment_and_into_prompts() {
    let iron = instant();
    let mut client = Client::configuring(&iron);
    let mut inside = 0;
    for number in 1..=40 {
        let name = format!("gone{number}");
        client
            .command(&format!("server real {name} 198.51.100.3"), &format!("(config-rs-{name})#"));
        // A driver cannot rely on the prompt after this: it asks for another.
        client.say(&format!("no server real {name}"));
        let message = format!("Server {name} successfully deleted.\r\n");
        let before = client.until(&message);
        assert!(!before.ends_with("\r\n\r\n"), "{before:?}");
        let echo = format!("no server real {name}\r\n");
        let begun = before.strip_prefix(&echo).unwrap();
        let whole = format!("telnet@iron(config-rs-{name})#");
        assert!(whole.starts_with(begun), "{begun:?}");
        inside += usize::from(!begun.is_empty() && begun != whole);
        client.until(&whole[begun.len()..]);
        client.say("");
        client.until(&whole);
    }
    assert!(inside > 10, "{inside} of 40 fell into a prompt");
    // And to who sits there and does nothing.
    iron.change(|state| {
        state.define_real("idle", [198, 51, 100, 9].into()).unwrap();
        state.delete_real("idle").unwrap();
    });
    client.until("Server idle successfully deleted.\r\n");
}

#[test]
fn telnet_options_are_refused_and_letters_kept() {
    let iron = instant();
    let mut client = Client::enabled(&iron);
    // IAC DO 24, IAC WILL 31, IAC SB 24 0 IAC SE, IAC DO 1, IAC NOP, around a command.
    client.raw(b"sh\xff\xfd\x18ow \xff\xfb\x1frun\xff\xfa\x18\x00\xff\xf0\xff\xfd\x01\xff\xf1\r\0");
    let answer = client.until("telnet@iron#");
    assert!(answer.contains("!\r\nend\r\n"), "{answer:?}");
    // What is not text arrives as U+FFFD here: WONT 24 and DONT 31.
    assert!(answer.contains("\u{FFFD}\u{FFFD}\u{18}"), "{answer:?}");
    assert!(answer.contains("\u{FFFD}\u{FFFD}\u{1f}"), "{answer:?}");
}

#[test]
fn lines_are_edited_and_helped() {
    let iron = instant();
    let mut client = Client::enabled(&iron);
    client.raw(b"configurx\x08e terminal\r");
    client.until("telnet@iron(config)#");
    client.raw(b"server ?");
    let help = client.until("telnet@iron(config)#server ");
    for word in ["real", "virtual", "predictor", "force-delete"] {
        assert!(help.contains(&format!("  {word}\r\n")), "{help}");
    }
    client.raw(b"force-delete\r\n");
    client.until("telnet@iron(config)#");
    assert!(iron.state().running.force_delete);
    client.raw(b"no server force-delete\x03");
    client.until("telnet@iron(config)#");
    assert!(iron.state().running.force_delete);
}
