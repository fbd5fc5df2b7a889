//! The local checks of one bind: its health, and what its application answers.

mod command;
mod poll;

use std::{net::SocketAddr, time::Duration};

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use super::word::Word;
use crate::{
    config::{AgentBind, AgentCheck},
    transport,
};

/// The checks' last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) healthy: bool,
    /// Why not; empty when healthy.
    pub(super) cause: String,
}

impl Health {
    /// Before the first check.
    pub(super) fn unchecked() -> Self {
        Self { healthy: false, cause: "not checked yet".to_owned() }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::unchecked()
    }
}

/// Turns single results into a word: `rise` successes in a row make it
/// healthy, `fall` failures in a row unhealthy. Unhealthy to begin with.
#[derive(Debug)]
struct Judge {
    rise: u32,
    fall: u32,
    health: Health,
    /// Results in a row that speak against `health`.
    streak: u32,
}

impl Judge {
    fn new(check: &AgentCheck) -> Self {
        Self { rise: check.rise, fall: check.fall, health: Health::unchecked(), streak: 0 }
    }

    fn take(&mut self, result: Result<(), String>) {
        let healthy = result.is_ok();
        let cause = result.err().unwrap_or_default();
        if healthy == self.health.healthy {
            self.streak = 0;
            self.health.cause = cause;
            return;
        }
        self.streak += 1;
        let enough = if healthy { self.rise } else { self.fall };
        if self.streak >= enough {
            self.streak = 0;
            self.health = Health { healthy, cause };
        }
    }
}

/// Checks `bind` for ever; keeps its word at `index` of `words`.
pub(super) async fn run(bind: AgentBind, index: usize, words: watch::Sender<Vec<Word>>) {
    let polled = bind.agent_check.clone();
    let poll = polled.map(|poll| poll::run(bind.clone(), poll, index, words.clone()));
    tokio::join!(health(bind.clone(), index, words.clone()), async {
        if let Some(poll) = poll {
            poll.await;
        }
    });
}

async fn health(bind: AgentBind, index: usize, words: watch::Sender<Vec<Word>>) {
    let mut judge = Judge::new(&bind.check);
    let mut verification = 0;
    let mut restarts = words.subscribe();
    let mut ticks = interval(bind.check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let restarted = |words: &Vec<Word>| words[index].verification() != verification;
        tokio::select! {
            _ = ticks.tick() => {}
            _ = restarts.wait_for(restarted) => ticks.reset(),
        }
        let now = words.borrow()[index].verification();
        if now != verification {
            verification = now;
            judge = Judge::new(&bind.check);
        }
        let result = check_once(&bind).await;
        words.send_if_modified(|words| {
            let word = &mut words[index];
            if word.verification() != verification {
                return false; // It began before the result was asked for anew.
            }
            judge.take(result);
            let changed = word.health != judge.health;
            word.health.clone_from(&judge.health);
            changed
        });
    }
}

/// One check of a bind; the error says what was seen instead.
pub(crate) async fn check_once(bind: &AgentBind) -> Result<(), String> {
    let Some(command) = &bind.check.command else {
        return once(checked_at(bind), &bind.check).await;
    };
    timeout(bind.check.timeout, command::run(bind, command)).await.unwrap_or_else(|_| {
        let limit = humantime::format_duration(bind.check.timeout);
        let program = command.first().map_or("", String::as_str);
        Err(format!("{program} did not end within {limit}"))
    })
}

/// Where the server is checked: at its own port, or the one that is set.
fn checked_at(bind: &AgentBind) -> SocketAddr {
    SocketAddr::new(bind.address.ip(), bind.check.port.unwrap_or(bind.address.port()))
}

async fn once(address: SocketAddr, check: &AgentCheck) -> Result<(), String> {
    let attempt = async {
        match &check.http {
            None => connect(address).await.map(drop),
            Some(path) => get(address, path, check.timeout).await,
        }
    };
    timeout(check.timeout, attempt).await.unwrap_or_else(|_| {
        let limit = humantime::format_duration(check.timeout);
        Err(format!("no answer from {address} within {limit}"))
    })
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address)
        .await
        .map_err(|error| format!("cannot connect to {address}: {error}"))
}

/// The most of an answer's body that is read.
const MOST_BODY: usize = 64 * 1024;

/// `GET path` over HTTP/1.1 (RFC 9112), wants status 2xx or 3xx.
async fn get(address: SocketAddr, path: &str, limit: Duration) -> Result<(), String> {
    let stream = connect(address).await?;
    converse(stream, address, path, limit).await
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> Result<(), String> {
    let failed = |error: &dyn std::error::Error| {
        let cause = transport::cause(error);
        format!("GET {path} of {address}: {cause}")
    };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    // Ends with the answer, or when the request is given up; its errors come
    // out of the request.
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = answer.status();
    // Read only so that the server sees an orderly end: the word is spoken.
    let body = Limited::new(answer.into_body(), MOST_BODY).collect();
    tokio::spawn(timeout(limit, body));
    if status.is_success() || status.is_redirection() {
        Ok(())
    } else {
        Err(format!("GET {path} of {address}: status {status}"))
    }
}

#[cfg(test)]
pub(super) mod tests;
