//! Random packets and random bytes, for as long as one likes.

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;

use crate::{
    build,
    run::{openly, root},
    setup,
};

/// `cargo xtask fuzz`
pub fn packets(seed: Option<u64>, packets: u64) -> Result<()> {
    setup::require_root("fuzz")?;
    let mut fuzz = build::cargo("bench")?;
    fuzz.args(["--bench", "fuzz"])
        .env("SLUICE_FUZZ_SEED", or_time(seed)?.to_string())
        .env("SLUICE_FUZZ_PACKETS", packets.to_string());
    openly("fuzzing", &mut fuzz)
}

/// `cargo xtask fuzz --parsers`: the tests that `cargo test` runs in short. As they are
/// built there, since numbers that overflow are noticed in an unoptimised build only.
pub fn parsers(seed: Option<u64>, inputs: u64, filter: &str) -> Result<()> {
    let seed = or_time(seed)?;
    println!("seed {seed}");
    let mut fuzz = Command::new("cargo");
    fuzz.current_dir(root())
        .args(["test", "-p", "lb-control", "--lib", "--"])
        .args([&format!("fuzzed_{filter}"), "--nocapture"])
        .env("SLUICE_FUZZ_SEED", seed.to_string())
        .env("SLUICE_FUZZ_INPUTS", inputs.to_string());
    openly("fuzzing", &mut fuzz)
}

fn or_time(seed: Option<u64>) -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    Ok(seed.unwrap_or(now))
}
