//! External switches that can be read, and that forget at a reboot.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
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
    let (mut haproxy, front, options) = with_haproxy(directory.path())?;
    measure("haproxy", options, || haproxy.restart(&proxies(front)))
}

/// One that listens, where it does, and how it is spoken to.
pub(super) fn with_haproxy(directory: &Path) -> Result<(Haproxy, SocketAddr, Value)> {
    let front = SocketAddr::from((Ipv4Addr::LOCALHOST, 8000));
    let haproxy = Haproxy::start_here(directory, "haproxy", &proxies(front))?;
    let options = json!({
        "address": format!("unix:{}", haproxy.socket().display()),
        "backends": { SERVICE: format!("be_{SERVICE}") },
    });
    Ok((haproxy, front, options))
}

fn proxies(front: SocketAddr) -> [Proxy; 1] {
    [Proxy::new(SERVICE, Some(front))]
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
    let secrets = tempfile::tempdir()?;
    let (iron, options) = with_iron(latency, secrets.path())?;
    measure("serveriron-cli", options, reboot(&iron))
}

/// The same over SNMPv3.
pub(super) fn snmp(latency: Duration) -> Result<Took> {
    let secrets = tempfile::tempdir()?;
    let (iron, _) = with_iron(latency, secrets.path())?;
    let password = secret(secrets.path(), "snmp", PASSPHRASE)?;
    let options = json!({
        "address": iron.snmp_address(),
        "version": "3",
        "user": USER,
        "auth_password_file": password,
        "priv_password_file": password,
    });
    measure("serveriron-snmp", options, reboot(&iron))
}

fn reboot(iron: &Simulator) -> impl FnMut() -> Result<()> {
    || {
        iron.reboot(Duration::ZERO);
        Ok(())
    }
}

/// A box, and how its command line is spoken to.
pub(super) fn with_iron(latency: Duration, secrets: &Path) -> Result<(Simulator, Value)> {
    let user = User {
        name: USER.to_owned(),
        auth: Auth::Sha1,
        auth_password: PASSPHRASE.to_owned(),
        privacy_password: Some(PASSPHRASE.to_owned()),
    };
    let options = Options { latency: latency..=latency, users: vec![user], ..Options::default() };
    let iron = Simulator::start(options)?;
    let mut options = json!({ "address": iron.cli_address(), "transport": "telnet" });
    for (name, word) in LOGIN {
        options[format!("{name}_file")] = secret(secrets, name, word)?;
    }
    Ok((iron, options))
}

/// Where a secret is kept.
fn secret(directory: &Path, name: &str, word: &str) -> Result<Value> {
    let path = directory.join(name);
    fs::write(&path, format!("{word}\n")).with_context(|| format!("writing {}", path.display()))?;
    Ok(json!(path))
}
