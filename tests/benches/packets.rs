//! `cargo xtask bench`.

fn main() -> anyhow::Result<()> {
    lab::bench::run()
}
