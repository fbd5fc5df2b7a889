//! Switches that nobody has thought of: a program of the operator's reads what is
//! asked as JSON and answers in JSON. `examples/switch` has the schema, and a program.
//!
//! It is run once for each question, which is all that its standard input holds:
//! `read`, `apply` with the whole plan, or `poll`. Exit status 0 and an answer; or
//! another status, and why in the last line of its standard error.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::{process::Command, time::timeout};

use super::{Dialect, options};
use crate::{
    config::SwitchSettings,
    model::{BindingKey, Name, shown},
    program,
    switch::{Capabilities, Count, Device, Failure, Plan},
};

pub(super) const DIALECT: Dialect = Dialect {
    kind: "command",
    about: "a program that reads the plan as JSON and answers in JSON",
    needs: &[],
    make: |settings| Ok(Box::new(Program::new(settings)?)),
};

/// Of questions and answers; a program that speaks another one refuses.
const VERSION: u32 = 1;
/// The longest answer, in bytes.
const LONGEST: usize = 8 << 20;

/// `[switch.options]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The program's absolute path and its arguments, without a shell.
    command: Vec<String>,
    /// What the switch can do. Its largest weight; without it every server gets the
    /// same share.
    weights: Option<u32>,
    /// A server keeps its connections and gets no new ones.
    #[serde(default)]
    drain: bool,
    /// A server's connections are broken.
    #[serde(default)]
    breaks: bool,
    /// A share of new connections is refused.
    #[serde(default)]
    admission: bool,
    #[serde(default)]
    ipv6: bool,
    #[serde(default)]
    udp: bool,
    /// Polls are answered with the connections of each server.
    #[serde(default)]
    counters: bool,
}

#[derive(Debug)]
struct Program {
    switch: Name,
    options: Options,
    patience: Duration,
    /// What it called its present start.
    start: Option<String>,
    called: Option<String>,
}

#[derive(Debug, Serialize)]
struct Question<'a> {
    version: u32,
    switch: &'a Name,
    ask: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a Plan>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// Of `read`: what the switch holds of ours.
    #[serde(default)]
    plan: Option<Plan>,
    /// What it cannot do, in the switch's own words.
    #[serde(default)]
    refused: Option<String>,
    /// Names this start of the switch: with another name it has begun anew.
    #[serde(default)]
    start: Option<String>,
    /// For people: kind and version.
    #[serde(default)]
    description: Option<String>,
    /// Of `poll`.
    #[serde(default)]
    counts: Vec<Counted>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    service: Name,
    backend: SocketAddr,
    connections: u64,
    #[serde(default)]
    total: u64,
}

impl Program {
    fn new(settings: &SwitchSettings) -> Result<Self, String> {
        let options: Options = options(settings)?;
        let absolute = options.command.first().is_some_and(|program| program.starts_with('/'));
        if !absolute || options.command.iter().any(|word| word.contains('\0')) {
            return Err("`command` is a program's absolute path and its arguments, without a \
                        shell, such as [\"/usr/local/lib/sluice/switch\", \"--box\", \"lb1\"]"
                .to_owned());
        }
        if options.weights == Some(0) {
            return Err("`weights` is the largest weight: leave it out for a switch without \
                        weights"
                .to_owned());
        }
        Ok(Self {
            switch: settings.name.clone(),
            options,
            patience: settings.timeout,
            start: None,
            called: None,
        })
    }

    async fn ask(&mut self, ask: &'static str, plan: Option<&Plan>) -> Result<Answer, Failure> {
        let [name, arguments @ ..] = &self.options.command[..] else {
            return Err(Failure::Lost("no command is set".to_owned()));
        };
        let question = Question { version: VERSION, switch: &self.switch, ask, plan };
        let question =
            serde_json::to_vec(&question).map_err(|error| Failure::Lost(error.to_string()))?;
        let mut command = Command::new(name);
        command.args(arguments).env("SLUICE_SWITCH", self.switch.as_str());
        let asked = timeout(self.patience, program::ask(&mut command, &question, LONGEST));
        let (answer, ended) = match asked.await {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => return Err(Failure::Lost(format!("{name}: {error}"))),
            Err(_) => {
                let why = format!("{name} has not answered `{ask}` within {:?}", self.patience);
                return Err(Failure::Lost(why));
            }
        };
        ended.judge(name).map_err(Failure::Lost)?;
        let answer: Answer = serde_json::from_slice(&answer).map_err(|error| {
            Failure::Lost(format!("{name} answers `{ask}` with what is no answer: {error}"))
        })?;
        let start = answer.start.as_deref().map(shown);
        let before = std::mem::replace(&mut self.start, start);
        // What is read is of the new start already.
        if ask != "read" && before.is_some() && before != self.start {
            return Err(Failure::Rebooted(format!(
                "its start is {} now",
                self.start.as_deref().unwrap_or("nameless")
            )));
        }
        if let Some(called) = &answer.description {
            self.called = Some(shown(called));
        }
        match answer.refused {
            Some(words) => Err(Failure::Refused(shown(&words))),
            None => Ok(answer),
        }
    }
}

#[async_trait]
impl Device for Program {
    fn capabilities(&self) -> Capabilities {
        let Options { weights, drain, breaks, admission, ipv6, udp, counters, .. } = self.options;
        Capabilities { weights, drain, breaks, admission, ipv6, udp, counters }
    }

    fn description(&self) -> String {
        let called = self.called.as_deref().unwrap_or("a switch");
        let program = self.options.command.first().map(String::as_str).unwrap_or_default();
        format!("{called} by {program}")
    }

    async fn read(&mut self) -> Result<Plan, Failure> {
        let answer = self.ask("read", None).await.map_err(|failure| match failure {
            // What cannot be read is not known.
            Failure::Refused(words) => Failure::Lost(words),
            failure => failure,
        })?;
        answer.plan.ok_or_else(|| {
            Failure::Lost("the answer to `read` has no `plan`: it may be empty".to_owned())
        })
    }

    async fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        self.ask("apply", Some(plan)).await.map(drop)
    }

    async fn poll(&mut self) -> Result<Vec<Count>, Failure> {
        let answer = self.ask("poll", None).await?;
        let count = |Counted { service, backend, connections, total }: Counted| Count {
            key: BindingKey { service, backend },
            connections,
            total,
        };
        Ok(answer.counts.into_iter().map(count).collect())
    }
}

#[cfg(test)]
mod tests;
