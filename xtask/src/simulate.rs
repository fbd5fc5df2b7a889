//! The decision core through any number of simulated histories.

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;

use crate::run::{openly, root, say};

/// `cargo xtask simulate`
pub fn command(seed: Option<u64>, seeds: u64) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    // Room for all seeds after it.
    let first = seed.unwrap_or(now << 24);
    say(&format!("{seeds} histories from seed {first}"));
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .args(["test", "--release", "--quiet", "--package", "lb-control", "--test", "simulation"])
        .args(["--", "--exact", "any_history", "--nocapture"])
        .env("SLUICE_SIMULATION_SEED", first.to_string())
        .env("SLUICE_SIMULATION_SEEDS", seeds.to_string())
        // The history says what is wrong; where in the test it was found does not help.
        .env("RUST_BACKTRACE", "0");
    openly("simulating", &mut cargo)
}
