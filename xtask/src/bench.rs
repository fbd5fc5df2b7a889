//! Measurements.

use anyhow::Result;

use crate::{build, run::openly, setup};

/// `cargo xtask bench`
pub fn command(filter: Option<&str>) -> Result<()> {
    setup::require_root("bench")?;
    let mut bench = build::cargo("bench")?;
    bench.args(["--bench", "packets"]);
    if let Some(filter) = filter {
        bench.args(["--", filter]);
    }
    openly("measuring", &mut bench)
}
