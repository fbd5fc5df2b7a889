//! Bytes to and from a command line, whatever they travel in.

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of one read.
pub(super) const CHUNK: usize = 4096;

/// A connection to a command line. A read that is given up loses nothing.
#[async_trait]
pub(super) trait Wire: Send {
    /// Adds what has come to `into`; nothing means that the other side has hung up.
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<()>;

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A stream of nothing but text, as an SSH channel is.
pub(super) struct Plain<S>(pub S);

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for Plain<S> {
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        let count = self.0.read(&mut chunk).await?;
        into.extend_from_slice(&chunk[..count]);
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }
}
