//! Cargo, called in one way only, so that nothing is compiled twice.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    bpf,
    run::{openly, quietly, root, say, target},
};

/// The XDP program in `sluice`, and the targets that need root.
const FEATURES: &str = "lb-control/xdp,tests/lab";

/// `cargo SUBCOMMAND` over the whole workspace with everything in. Always the
/// same members and features: others would be other builds of everything.
pub fn cargo(subcommand: &str) -> Result<Command> {
    let compiler = bpf::ensure()?;
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .args([subcommand, "--workspace", "--features", FEATURES])
        .env(bpf::VARIABLE, compiler.name())
        // Errors say what is wrong; where in the test runner they passed does not help.
        .env("RUST_LIB_BACKTRACE", "0");
    Ok(cargo)
}

/// `cargo xtask build`
pub fn command(release: bool) -> Result<()> {
    let mut build = cargo("build")?;
    if release {
        build.arg("--release");
    }
    openly("building", &mut build)?;
    let profile = if release { "release" } else { "debug" };
    say(&format!("built {}", target()?.join(profile).join("sluice").display()));
    Ok(())
}

/// Builds `sluice` for labs, and says where it is.
pub fn sluice() -> Result<PathBuf> {
    quietly("building sluice", &mut cargo("build")?)?;
    Ok(target()?.join("debug/sluice"))
}

/// `cargo clean`
pub fn clean() -> Result<()> {
    openly("removing what was built", Command::new("cargo").current_dir(root()).arg("clean"))
}
