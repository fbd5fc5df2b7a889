//! The socket for events: one line in, one line out, as often as one likes.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{Notes, request::LONGEST};
use crate::{config::NotifySettings, transport::unix};

/// Connections at a time; further ones are told so and closed.
const CONNECTIONS: usize = 64;
/// How long a connection may say nothing, or not read its answers.
const IDLE: Duration = Duration::from_secs(60);
/// The least time between two lines of one connection that are read.
const PACE: Duration = Duration::from_millis(10);
/// Lines that a connection may send faster than that.
const BURST: u32 = 50;

pub(super) struct Listener {
    listener: UnixListener,
    _file: unix::SocketFile,
}

impl Listener {
    pub(super) fn open(settings: &NotifySettings) -> anyhow::Result<Self> {
        let (listener, file) =
            unix::listen(&settings.socket, "agent.notify.socket", settings.mode.bits())?;
        Ok(Self { listener, _file: file })
    }

    pub(super) async fn serve(self, notes: Notes) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let mut stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!("the socket for application events: {error}");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                let full = format!("error {CONNECTIONS} connections are open: close some\n");
                // It may not listen: then it sees the end.
                let _ = stream.try_write(full.as_bytes());
                drop(stream.shutdown().await);
                continue;
            };
            let notes = notes.clone();
            connections.spawn(async move {
                if let Err(error) = converse(stream, &notes).await {
                    debug!("a connection for application events ended: {error}");
                }
                drop(place);
            });
        }
    }
}

/// Answers lines until the other side, or a line that is too long, ends it.
async fn converse(stream: UnixStream, notes: &Notes) -> std::io::Result<()> {
    let from = match stream.peer_cred() {
        Ok(peer) => match peer.pid() {
            Some(pid) => format!("process {pid} of user {}", peer.uid()),
            None => format!("user {}", peer.uid()),
        },
        Err(_) => "an unknown process".to_owned(),
    };
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::with_capacity(LONGEST, read);
    let mut number = 0_u32;
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut lines).take(LONGEST as u64);
        let Ok(read) = timeout(IDLE, limited.read_until(b'\n', &mut line)).await else {
            return Ok(());
        };
        if read? == 0 {
            return Ok(());
        }
        let whole = line.len() < LONGEST || line.ends_with(b"\n");
        let answer = match std::str::from_utf8(&line) {
            _ if !whole => Err(format!("a line has {LONGEST} bytes at the most")),
            Ok(line) => line.parse().and_then(|request| notes.take(&request, &from)),
            Err(_) => Err("a line is UTF-8 text".to_owned()),
        };
        let answer = match answer {
            Ok(done) => format!("ok {done}\n"),
            Err(wrong) => format!("error {wrong}\n"),
        };
        match timeout(IDLE, write.write_all(answer.as_bytes())).await {
            Ok(written) => written?,
            Err(_) => return Ok(()),
        }
        if !whole {
            return Ok(());
        }
        number = number.saturating_add(1);
        if number > BURST {
            sleep(PACE).await;
        }
    }
}
