//! `cargo xtask bench`.

use lab::bench::{self, Filter};

fn main() -> anyhow::Result<()> {
    // Cargo itself adds `--bench`.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    bench::run(&Filter::new(filter.unwrap_or_default()))
}
