//! The short form of `cargo xtask experiment consistency`.

use anyhow::Result;
use lab::consistency::{Options, run};

#[test]
fn no_change_breaks_a_connection_that_it_is_not_about() -> Result<()> {
    run(&Options::short(), |_| {})?.nothing_broke()
}

#[test]
fn without_tracking_they_break() -> Result<()> {
    run(&Options::short().without_tracking(), |_| {})?.something_broke()
}
