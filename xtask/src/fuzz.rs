//! Random packets, for as long as one likes.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::{build, run::openly, setup};

/// `cargo xtask fuzz`
pub fn command(seed: Option<u64>, packets: u64) -> Result<()> {
    setup::require_root("fuzz")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let mut fuzz = build::cargo("bench")?;
    fuzz.args(["--bench", "fuzz"])
        .env("SLUICE_FUZZ_SEED", seed.unwrap_or(now).to_string())
        .env("SLUICE_FUZZ_PACKETS", packets.to_string());
    openly("fuzzing", &mut fuzz)
}
