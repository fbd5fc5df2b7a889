//! What both roles ask of TCP.

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;

/// A peer that has gone without a word is noticed after half a minute of silence and
/// as much of no answer, in seconds.
const IDLE: u32 = 30;
const ASK: u32 = 10;
const TIMES: u32 = 3;

/// Each message goes at once, in a segment of its own, and a dead peer is noticed.
pub(super) fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &IDLE)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &ASK)?;
    setsockopt(stream, sockopt::TcpKeepCount, &TIMES)?;
    setsockopt(stream, sockopt::TcpUserTimeout, &((IDLE + TIMES * ASK) * 1000))?;
    Ok(())
}
