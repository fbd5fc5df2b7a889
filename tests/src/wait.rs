//! Waiting for something to become true.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

const POLL: Duration = Duration::from_millis(20);

/// Asks `probe` again and again until it answers `Some`.
///
/// # Errors
/// After `patience`, with `what` was waited for and `probe`'s last error.
pub fn eventually<T>(
    patience: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        let last = match probe() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if begun.elapsed() > patience {
            let late = format!("waited {patience:?} for {what}");
            return match last {
                Some(error) => Err(error).context(late),
                None => Err(anyhow!(late)),
            };
        }
        thread::sleep(POLL);
    }
}
