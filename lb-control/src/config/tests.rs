//! Bad files and the exact text that each is answered with. Faults of form are here.

mod examples;
mod fuzzed;
mod manager;
mod roles;
mod services;

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
fn no_file() {
    let error = load(Path::new("/nonexistent/sluice.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nonexistent/sluice.toml: cannot be read: No such file or directory (os error 2)"
    );
}
