//! What a manager allows, hears and puts up with.

use super::*;

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
