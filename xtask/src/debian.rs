//! Debian packages.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::Once,
};

use anyhow::Result;
use nix::unistd::geteuid;

use crate::{run::quietly, setup::find};

/// Asked by package scripts before they start a service (Debian's
/// /usr/share/doc/sysv-rc/README.policy-rc.d.gz).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Whether packages can be installed here: Debian or a descendant, as root.
pub fn can_install() -> bool {
    geteuid().is_root() && find("apt-get").is_some()
}

/// How a person installs these packages.
pub fn by_hand(packages: &[&str]) -> String {
    let packages = packages.join(" ");
    if find("apt-get").is_some() {
        return format!(
            "  sudo apt-get install --no-install-recommends {packages}\n\
             or run this command as root, which does it by itself"
        );
    }
    format!("  with your package manager; on Debian the packages are {packages}")
}

/// Those of `packages` that are not installed.
pub fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let installed = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(packages)
        .stderr(Stdio::null())
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    packages
        .iter()
        .filter(|package| !installed.lines().any(|line| line == format!("{package} installed")))
        .copied()
        .collect()
}

/// Installs packages. `what` they are is for the progress line.
pub fn install(what: &str, packages: &[&str]) -> Result<()> {
    static FRESH: Once = Once::new();
    let mut updated = Ok(());
    FRESH.call_once(|| {
        updated = quietly("reading Debian's package lists", apt().arg("update"));
    });
    updated?;
    let _quiet = NoServices::begin()?;
    let install = ["install", "--yes", "--no-install-recommends"];
    quietly(&format!("installing {what}"), apt().args(install).args(packages))
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

/// While it lives, an installed package does not start its service: nobody
/// asked for a web server on this machine's port 80.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\n# Forbidden by policy.\nexit 101\n")?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("{POLICY} stays and keeps services from starting: {error}");
        }
    }
}
