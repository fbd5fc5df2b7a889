//! Services and classes.

use super::*;

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
