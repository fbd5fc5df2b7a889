//! External switches that can be read, and that forget at a reboot.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Builder;

use super::{
    SERVICE, Took,
    trial::{SERVERS, Trial},
};
use crate::{
    Haproxy, Proxy, command,
    serveriron::{Auth, Options, Simulator, User},
};

/// Of the simulated box as it comes, and of its user.
const LOGIN: [(&str, &str); 2] = [("password", "telnet-pass"), ("enable_password", "enable-pass")];
const USER: &str = "sluice";
const PASSPHRASE: &str = "a-long-passphrase";

fn measure(kind: &str, options: Value, reboot: impl FnMut() -> Result<()>) -> Result<Took> {
    // Threads that it starts are in this one's network namespace.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Trial::new(kind, options)?.measure(reboot))
}

/// The distribution's.
pub(super) fn haproxy() -> Result<Took> {
    let directory = tempfile::tempdir()?;
    let proxies = [Proxy::new(SERVICE, Some("127.0.0.1:8000".parse()?))];
    let mut haproxy = Haproxy::start_here(directory.path(), "haproxy", &proxies)?;
    let options = json!({
        "address": format!("unix:{}", haproxy.socket().display()),
        "backends": { SERVICE: format!("be_{SERVICE}") },
    });
    measure("haproxy", options, || haproxy.restart(&proxies))
}

/// This kernel's, in this thread's network namespace.
pub(super) fn nftables() -> Result<Took> {
    let flush = || command::run("nft", &["flush", "ruleset"])?.stdout().map(drop);
    measure("nftables", json!({}), flush)
}

/// The example's program, whose switch is a file.
pub(super) fn command() -> Result<Took> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("switch.json");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/switch/switch.py");
    let options = json!({ "command": [example, file, SERVERS.to_string()], "weights": 256 });
    measure("command", options, || Ok(fs::remove_file(&file)?))
}

/// A simulated ServerIron over telnet. Every change takes it `latency`.
pub(super) fn command_line(latency: Duration) -> Result<Took> {
    iron(latency, |iron, secrets| {
        let mut options = json!({ "address": iron.cli_address(), "transport": "telnet" });
        for (name, word) in LOGIN {
            options[format!("{name}_file")] = secret(secrets, name, word)?;
        }
        Ok(("serveriron-cli", options))
    })
}

/// The same over SNMPv3.
pub(super) fn snmp(latency: Duration) -> Result<Took> {
    iron(latency, |iron, secrets| {
        let password = secret(secrets, "snmp", PASSPHRASE)?;
        let options = json!({
            "address": iron.snmp_address(),
            "version": "3",
            "user": USER,
            "auth_password_file": password,
            "priv_password_file": password,
        });
        Ok(("serveriron-snmp", options))
    })
}

fn iron(
    latency: Duration,
    dialect: impl FnOnce(&Simulator, &TempDir) -> Result<(&'static str, Value)>,
) -> Result<Took> {
    let user = User {
        name: USER.to_owned(),
        auth: Auth::Sha1,
        auth_password: PASSPHRASE.to_owned(),
        privacy_password: Some(PASSPHRASE.to_owned()),
    };
    let options = Options { latency: latency..=latency, users: vec![user], ..Options::default() };
    let iron = Simulator::start(options)?;
    let secrets = tempfile::tempdir()?;
    let (kind, options) = dialect(&iron, &secrets)?;
    measure(kind, options, || {
        iron.reboot(Duration::ZERO);
        Ok(())
    })
}

/// Where a secret is kept.
fn secret(directory: &TempDir, name: &str, word: &str) -> Result<Value> {
    let path = directory.path().join(name);
    fs::write(&path, format!("{word}\n")).with_context(|| format!("writing {}", path.display()))?;
    Ok(json!(path))
}
