//! Bytes to and from a command line, whatever they travel in.

use std::io;

use async_trait::async_trait;

/// Bytes of one read.
pub(super) const CHUNK: usize = 4096;

/// A connection to a command line. A read that is given up loses nothing.
#[async_trait]
pub(super) trait Wire: Send {
    /// Adds what has come to `into`; nothing means that the other side has hung up.
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<()>;

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}
