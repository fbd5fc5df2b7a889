//! Measurements.

use anyhow::Result;

use crate::{build, run::openly, setup};

/// `cargo xtask bench`
pub fn command() -> Result<()> {
    setup::require_root("bench")?;
    let mut bench = build::cargo("bench")?;
    openly("measuring", bench.args(["--bench", "packets"]))
}
