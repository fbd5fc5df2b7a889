//! Answers balancers that ask how a binding stands, as HAProxy's agent-check does:
//! `SERVICE ADDRESS:PORT` and a line's end in, a line out. What is in it is the core's
//! to say (`core/agent_check.rs`).

use std::{io, time::Duration};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use super::engine::Handle;
use crate::{
    config::Settings,
    model::{BindingKey, shown},
    transport::Brief,
};

/// HAProxy waits for two seconds by default.
const CHECKS: Brief = Brief { who: "an agent check", most: 128, patience: Duration::from_secs(2) };
/// The longest question, in bytes: a name, an address of IPv6 and a port.
const LONGEST: u64 = 256;

/// The open socket.
pub(super) struct AgentCheck(TcpListener);

impl AgentCheck {
    /// None where no address is set.
    ///
    /// # Errors
    /// The address cannot be had.
    pub(super) async fn open(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(check) = &settings.manager.agent_check else { return Ok(None) };
        let listen = check.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on {listen}, which is `manager.agent_check.listen`")
        })?;
        let address = listener.local_addr()?;
        tracing::info!("agent checks are answered at {address}");
        Ok(Some(Self(listener)))
    }

    /// Answers until `stop`.
    pub(super) async fn serve(self, handle: Handle, stop: CancellationToken) -> anyhow::Result<()> {
        let answer = |stream| {
            let handle = handle.clone();
            async move {
                if let Err(error) = converse(stream, &handle).await {
                    tracing::debug!("an agent check was not answered: {error}");
                }
            }
        };
        CHECKS.serve(self.0, answer, stop).await;
        Ok(())
    }
}

async fn converse(mut stream: TcpStream, handle: &Handle) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let answer = match question(read).await? {
        Ok(key) => handle
            .query(move |core, _| core.agent_check(&key))
            .await
            .map_err(|status| io::Error::other(status.message().to_owned()))?,
        // Which a balancer shows, and does nothing for.
        Err(wrong) => format!("unknown # {wrong}\n"),
    };
    write.write_all(answer.as_bytes()).await?;
    write.shutdown().await
}

/// The binding that is asked for, or why there is none.
async fn question(read: impl AsyncRead + Unpin) -> io::Result<Result<BindingKey, String>> {
    let mut line = Vec::new();
    BufReader::new(read.take(LONGEST)).read_until(b'\n', &mut line).await?;
    Ok(parse(&line))
}

fn parse(line: &[u8]) -> Result<BindingKey, String> {
    const FORM: &str = "ask by agent-send \"SERVICE ADDRESS:PORT\\n\"";
    let line = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix('\n'));
    let line = line.ok_or(FORM)?;
    let mut words = line.split_ascii_whitespace();
    let (Some(service), Some(backend), None) = (words.next(), words.next(), words.next()) else {
        return Err(FORM.to_owned());
    };
    let wrong = |word| {
        format!(
            "`{}` is no {}",
            shown(word),
            if word == service { "service" } else { "ADDRESS:PORT" }
        )
    };
    let service = service.parse().map_err(|_| wrong(service))?;
    let backend = backend.parse().map_err(|_| wrong(backend))?;
    Ok(BindingKey { service, backend })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_a_binding() {
        let key = |service: &str, backend: &str| BindingKey {
            service: service.parse().unwrap(),
            backend: backend.parse().unwrap(),
        };
        for (line, expected) in [
            ("www 192.0.2.1:80\n", key("www", "192.0.2.1:80")),
            (" www\t[2001:db8::1]:80 \r\n", key("www", "[2001:db8::1]:80")),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(expected));
        }
        for (line, part) in [
            (&b""[..], "agent-send"),
            (b"\n", "agent-send"),
            (b"www 192.0.2.1:80", "agent-send"),
            (b"www\n", "agent-send"),
            (b"www 192.0.2.1:80 x\n", "agent-send"),
            (b"\xff\xfe 192.0.2.1:80\n", "agent-send"),
            (b"www 192.0.2.1\n", "`192.0.2.1` is no ADDRESS:PORT"),
            (b"www 192.0.2.1:65536\n", "is no ADDRESS:PORT"),
            (b"w\x1b[31m 192.0.2.1:80\n", "`w[31m` is no service"),
        ] {
            let wrong = parse(line).unwrap_err();
            assert!(wrong.contains(part), "{wrong}");
        }
    }

    #[test]
    fn fuzzed_agent_question() {
        crate::testing::Fuzz::new("agent-question")
            .words(&["www ", " 192.0.2.1:80", "[2001:db8::1]:80", "\n"])
            .run(|bytes| match parse(bytes) {
                Ok(key) => drop(key.to_string()),
                Err(wrong) => assert!(!wrong.contains('\n') && wrong.len() < 500, "{wrong:?}"),
            });
    }
}
