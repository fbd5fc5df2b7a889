//! How long to wait before the next try.

use std::time::Duration;

/// Exponential backoff with full jitter: each wait is drawn from zero to a
/// ceiling that doubles, so that many peers that lost the same manager do not
/// come back at once.
#[derive(Debug)]
pub struct Backoff {
    ceiling: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LAST: Duration = Duration::from_secs(5);

    pub fn new() -> Self {
        Self { ceiling: Self::FIRST }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.ceiling.mul_f64(fastrand::f64());
        self.ceiling = (self.ceiling * 2).min(Self::LAST);
        wait
    }

    /// After a success: begins anew.
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}
