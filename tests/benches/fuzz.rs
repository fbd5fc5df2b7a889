//! `cargo xtask fuzz`: SLUICE_FUZZ_SEED and SLUICE_FUZZ_PACKETS say what.

use std::{env, io::Write as _, time::Instant};

use anyhow::{Context as _, Result};
use lab::packet::fuzz;

fn main() -> Result<()> {
    let number = |name: &str| -> Result<u64> {
        let text = env::var(name).with_context(|| format!("{name} is not set"))?;
        text.parse().with_context(|| format!("{name} is no number"))
    };
    let (seed, packets) = (number("SLUICE_FUZZ_SEED")?, number("SLUICE_FUZZ_PACKETS")?);
    println!("seed {seed}");
    let begun = Instant::now();
    let mut told = 0;
    let coverage = fuzz::run(seed, packets, |sent| {
        let percent = sent * 100 / packets;
        if percent != told {
            told = percent;
            eprint!("\r{percent} % of {packets} packets, {:.0?} ", begun.elapsed());
            // Nothing is lost when nobody reads it.
            let _ = std::io::stderr().flush();
        }
    })?;
    eprintln!();
    print!("{coverage}");
    println!(
        "program and model agree on {packets} packets of seed {seed}, {:.0?}",
        begun.elapsed()
    );
    coverage.check()
}
