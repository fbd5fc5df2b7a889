//! By OpenSSH's own client.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use crate::{
    Outcome,
    serveriron::{Login, Options, Simulator},
};

/// A session of these lines, with the host key known.
fn session(iron: &Simulator, password: &str, lines: &str) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let (known, ask) = (directory.path().join("known_hosts"), directory.path().join("ask"));
    let address = iron.ssh_address();
    let host = format!("[{}]:{} {}\n", address.ip(), address.port(), iron.ssh_host_key());
    fs::write(&known, host).unwrap();
    fs::write(&ask, format!("#!/bin/sh\necho {password}\n")).unwrap();
    fs::set_permissions(&ask, fs::Permissions::from_mode(0o755)).unwrap();
    let mut ssh = Command::new("ssh")
        .args(["-F", "none", "-tt", "-p", &address.port().to_string()])
        .args(["-o", &format!("UserKnownHostsFile={}", known.display())])
        .args(["-o", "StrictHostKeyChecking=yes", "-o", "NumberOfPasswordPrompts=1"])
        .args(["-o", "PreferredAuthentications=password", "-o", "ConnectTimeout=10"])
        .arg(format!("admin@{}", address.ip()))
        .env("SSH_ASKPASS", &ask)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = ssh.stdin.take().unwrap();
    // A refused session reads none of it.
    let _ = input.write_all(lines.as_bytes());
    let outcome = ssh.wait_with_output().unwrap().into();
    drop(input);
    outcome
}

#[test]
fn a_session_configures_and_says_goodbye() {
    let login = Login::Name { name: "admin".to_owned(), password: "secret".to_owned() };
    let iron = Simulator::start(Options { login, ..Options::default() }.instant()).unwrap();
    let lines = "conf t\nserver real web1 198.51.100.3\nport http\nend\nsh run\nexit\nexit\n";
    let outcome = session(&iron, "secret", lines);
    let text = outcome.stdout.replace('\r', "");
    assert!(text.contains("SSH@iron(config-rs-web1)#port http\n"), "{outcome:?}");
    assert!(text.contains("server real web1 198.51.100.3\n port http\n!\nend\n"), "{outcome:?}");
    assert!(text.contains("SSH@iron>exit\n"), "{outcome:?}");
    assert!(!outcome.stderr.contains("reset") && !outcome.stderr.contains("remote host"));
    let refused = session(&iron, "wrong", "conf t\n");
    assert_eq!(refused.status, Some(255));
    assert!(refused.stderr.contains("Permission denied"), "{refused:?}");
}
