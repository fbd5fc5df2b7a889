//! Commands to the Runtime API and their replies.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{model::shown, switch::Failure};

/// The most bytes of all replies to one exchange: states and counters of tens of
/// thousands of servers.
pub(super) const MOST: usize = 8 << 20;

/// In interactive mode, after each reply (HAProxy management guide, section 9.3).
pub(super) const PROMPT: &[u8] = b"\n> ";

/// Where the Runtime API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Unix(PathBuf),
    /// `HOST:PORT`
    Tcp(String),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Self::Unix(path.into()));
        }
        match text.rsplit_once(':') {
            Some((host, port))
                if !host.is_empty() && port.parse().is_ok_and(|port: u16| port > 0) =>
            {
                Ok(Self::Tcp(text.to_owned()))
            }
            _ => Err(format!(
                "`{}` is not where HAProxy listens for commands: use \
                 \"unix:/run/haproxy/admin.sock\" or \"HOST:PORT\", as its `stats socket` has it",
                shown(text)
            )),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

/// Sends commands, all at once, over a connection of their own, and returns the reply
/// to each.
///
/// A connection that stayed open would stay with an old process after a reload of
/// HAProxy; a new one always reaches the process that takes connections.
///
/// # Errors
/// [`Failure::Lost`].
pub(super) async fn exchange(
    address: &Address,
    patience: Duration,
    commands: &[String],
) -> Result<Vec<String>, Failure> {
    let talk = async {
        match address {
            Address::Unix(path) => talk(UnixStream::connect(path).await?, commands).await,
            Address::Tcp(address) => talk(TcpStream::connect(address).await?, commands).await,
        }
    };
    match timeout(patience, talk).await {
        Ok(Ok(replies)) => Ok(replies),
        Ok(Err(error)) => Err(Failure::Lost(format!("HAProxy at {address}: {error}"))),
        Err(_) => Err(Failure::Lost(format!(
            "HAProxy at {address} did not answer {} command(s) within {patience:?}",
            commands.len()
        ))),
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite,
    commands: &[String],
) -> std::io::Result<Vec<String>> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let script = format!("prompt\n{}\n", commands.join("\n"));
    let send = async {
        writer.write_all(script.as_bytes()).await?;
        writer.flush().await
    };
    let mut replies = Replies::default();
    let receive = async {
        let mut buffer = vec![0; 64 << 10];
        // The first prompt answers `prompt` itself.
        while replies.whole() < commands.len() + 1 {
            let read = reader.read(&mut buffer).await?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Err(std::io::Error::other(format!(
                    "the connection ended after {} of {} replies",
                    replies.whole().saturating_sub(1),
                    commands.len()
                )));
            };
            replies.take(bytes).map_err(std::io::Error::other)?;
        }
        Ok(())
    };
    // It reads no further commands while nobody reads its replies.
    tokio::try_join!(send, receive)?;
    Ok(replies.into_iter().skip(1).take(commands.len()).collect())
}

/// Bytes received, cut at prompts.
#[derive(Debug, Default)]
pub(super) struct Replies {
    bytes: Vec<u8>,
    /// Where each reply ends.
    ends: Vec<usize>,
    /// No prompt begins before this.
    searched: usize,
}

impl Replies {
    /// How many whole replies there are.
    pub(super) fn whole(&self) -> usize {
        self.ends.len()
    }

    /// # Errors
    /// It is more than anybody needs.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.bytes.len() + bytes.len() > MOST {
            return Err(format!("it answers more than {MOST} bytes: is it HAProxy?"));
        }
        self.bytes.extend_from_slice(bytes);
        while let Some(rest) = self.bytes.get(self.searched..)
            && let Some(found) = rest.windows(PROMPT.len()).position(|window| window == PROMPT)
        {
            self.ends.push(self.searched + found);
            self.searched += found + PROMPT.len();
        }
        // The beginning of a prompt may be there.
        self.searched = self.searched.max(self.bytes.len().saturating_sub(PROMPT.len() - 1));
        Ok(())
    }

    /// The replies, without the line feed that ends most.
    pub(super) fn into_iter(self) -> impl Iterator<Item = String> {
        let mut from = 0;
        self.ends.into_iter().map(move |end| {
            let reply = self.bytes.get(from..end).unwrap_or_default();
            from = end + PROMPT.len();
            String::from_utf8_lossy(reply).trim_end_matches('\n').to_owned()
        })
    }
}
