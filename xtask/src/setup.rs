//! What has to be on the machine. Only what is missing is installed, and only
//! on Debian as root; otherwise the error says what to do.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use nix::unistd::geteuid;

use crate::{bpf, debian, run::say};

/// A program of the lab, and the Debian package that has it.
struct Tool {
    program: &'static str,
    package: &'static str,
}

const LAB: &[Tool] = &[
    Tool { program: "ip", package: "iproute2" },
    Tool { program: "ethtool", package: "ethtool" },
    Tool { program: "ping", package: "iputils-ping" },
    Tool { program: "setpriv", package: "util-linux" },
    Tool { program: "sysctl", package: "procps" },
    Tool { program: "bpftool", package: "bpftool" },
    Tool { program: "python3", package: "python3" },
    Tool { program: "socat", package: "socat" },
    Tool { program: "haproxy", package: "haproxy" },
    Tool { program: "nginx", package: "nginx-light" },
    Tool { program: "nft", package: "nftables" },
    Tool { program: "curl", package: "curl" },
    Tool { program: "wrk", package: "wrk" },
    Tool { program: "tshark", package: "tshark" },
    Tool { program: "promtool", package: "prometheus" },
    Tool { program: "snmpget", package: "snmp" },
    Tool { program: "snmptrapd", package: "snmptrapd" },
    Tool { program: "ssh", package: "openssh-client" },
];

/// `cargo xtask setup`
pub fn everything() -> Result<()> {
    let compiler = bpf::ensure()?;
    lab()?;
    say(&format!("everything is there; the BPF compiler is {compiler}"));
    Ok(())
}

/// The programs that labs are made of.
pub fn lab() -> Result<()> {
    let missing: Vec<_> = LAB.iter().filter(|tool| find(tool.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    if debian::can_install() {
        return debian::install("the lab's programs", &packages);
    }
    let programs: Vec<_> = missing.iter().map(|tool| tool.program).collect();
    bail!(
        "the lab needs {}; install {}:\n{}",
        programs.join(", "),
        if programs.len() == 1 { "it" } else { "them" },
        debian::by_hand(&packages)
    )
}

/// Fails, with the way to do it, unless we are root.
pub fn require_root(command: &str) -> Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "`cargo xtask {command}` makes network namespaces and loads BPF programs, which needs \
         root:\n  sudo env \"PATH=$PATH\" cargo xtask {command}"
    )
}

/// Where a program is: in `PATH`, or where only root's `PATH` reaches.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|directory| directory.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
