//! How fast messages may come.

use std::{io, time::Duration};

use tokio::time::Instant;

/// Counts messages of one second.
pub(super) struct Pace {
    most: u32,
    since: Instant,
    messages: u32,
}

impl Pace {
    /// So many a second at the most.
    pub(super) fn new(most: u32) -> Self {
        Self { most, since: Instant::now(), messages: 0 }
    }

    /// One more.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn count(&mut self) -> io::Result<()> {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self::new(self.most);
        }
        self.messages += 1;
        if self.messages > self.most {
            let message = format!("it sends more than {} messages a second", self.most);
            return Err(io::Error::other(message));
        }
        Ok(())
    }
}
