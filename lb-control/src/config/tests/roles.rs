//! Managers, edges and agents.

use super::*;

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
