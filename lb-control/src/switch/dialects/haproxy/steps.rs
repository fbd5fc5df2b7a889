//! From what HAProxy holds to a plan: commands, and what their replies mean.

use std::net::SocketAddr;

use super::tables::Server;
use crate::{model::Phase, switch::PlannedServer};

/// What is ours begins so, and nothing else does.
pub(super) const PREFIX: &str = "sluice-";

/// The name of a server of ours: `sluice-192.0.2.1-80`, `sluice-2001:db8::1-80`.
pub(super) fn server_name(address: SocketAddr) -> String {
    format!("{PREFIX}{}-{}", address.ip(), address.port())
}

/// One server's way to what is planned of it: commands that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// `PROXY/NAME`
    pub(super) server: String,
    pub(super) commands: Vec<(String, Reply)>,
}

/// What a command says when it did as it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Nothing,
    /// Something that contains this.
    Says(&'static str),
    /// A deletion: it may have to wait for connections to end.
    Deleted,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It cannot be deleted yet.
    Waits,
    /// In HAProxy's own words.
    Refused(String),
}

impl Step {
    fn new(server: String) -> Self {
        Self { server, commands: Vec::new() }
    }

    fn then(mut self, command: impl Into<String>, reply: Reply) -> Self {
        self.commands.push((command.into(), reply));
        self
    }

    fn set(self, what: &str) -> Self {
        let command = format!("set server {} {what}", self.server);
        self.then(command, Reply::Nothing)
    }

    fn shutdown(self) -> Self {
        let command = format!("shutdown sessions server {}", self.server);
        self.then(command, Reply::Nothing)
    }

    /// What the replies to its commands come to: the first that is not as it should be
    /// explains the others.
    pub(super) fn judge<'a>(&self, replies: impl IntoIterator<Item = &'a str>) -> Outcome {
        let removal = self.commands.iter().any(|(_, reply)| *reply == Reply::Deleted);
        for ((_, reply), said) in self.commands.iter().zip(replies) {
            if removal && said == "No such server." {
                return Outcome::Done;
            }
            let fine = match reply {
                Reply::Nothing => said.is_empty(),
                Reply::Says(word) => said.contains(word),
                Reply::Deleted => match said {
                    "Server deleted." => true,
                    _ if said.starts_with("Server still has connections") => return Outcome::Waits,
                    _ => false,
                },
            };
            if !fine {
                return Outcome::Refused(format!("{}: {}", self.server, words(said)));
            }
        }
        Outcome::Done
    }
}

/// A reply on one line, of a length for people.
fn words(said: &str) -> String {
    const MOST: usize = 300;
    let one_line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.chars().filter(|c| !c.is_control()).take(MOST).collect::<String>() {
        nothing if nothing.is_empty() => "it says nothing".to_owned(),
        words => words,
    }
}

/// Makes a server as planned; None where it is so already. `words` are those of
/// `server` lines in haproxy.cfg.
pub(super) fn put(
    proxy: &str,
    address: SocketAddr,
    planned: PlannedServer,
    held: Option<&Server>,
    words: &str,
) -> Option<Step> {
    let name = server_name(address);
    let mut step = Step::new(format!("{proxy}/{name}"));
    match held {
        None => {
            let add =
                format!("add server {} {address} weight {} {words}", step.server, planned.weight);
            step = step.then(add.trim_end(), Reply::Says("New server registered."));
            for (word, check) in [("check", "health"), ("agent-check", "agent")] {
                if words.split_whitespace().any(|given| given == word) {
                    let enable = format!("enable {check} {}", step.server);
                    step = step.then(enable, Reply::Nothing);
                }
            }
        }
        Some(held) if held.address != address => {
            let move_ =
                format!("set server {} addr {} port {}", step.server, address.ip(), address.port());
            step = step.then(move_, Reply::Says("changed"));
        }
        Some(_) => {}
    }
    // A new one is in maintenance.
    let (out, drains) = held.map_or((true, false), |held| (held.out(), held.drains()));
    if planned.phase == Phase::Serve && held.is_some_and(|held| held.weight != planned.weight) {
        step = step.set(&format!("weight {}", planned.weight));
    }
    step = match planned.phase {
        Phase::Serve if out || drains => step.set("state ready"),
        Phase::Drain if out || !drains => step.set("state drain"),
        Phase::Break if !out => step.set("state maint").shutdown(),
        _ => step,
    };
    (!step.commands.is_empty()).then_some(step)
}

/// Takes a server out, breaks what connections it has left, and deletes it.
pub(super) fn remove(proxy: &str, name: &str) -> Step {
    let step = Step::new(format!("{proxy}/{name}"));
    let delete = format!("del server {}", step.server);
    step.set("state maint").shutdown().then(delete, Reply::Deleted)
}
