//! The command line: over telnet or SSH.

mod login;
mod options;
mod prompt;
mod running;
mod screen;
mod script;
mod ssh;
mod status;
mod telnet;
mod text;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use tokio::{net::TcpStream, time::timeout};

use self::{
    options::{Access, Options, Over},
    prompt::{Host, Mode},
    screen::{Screen, cut},
    script::{Line, Place},
    telnet::Telnet,
    wire::Wire,
};
use super::{
    config::{Activity, Config},
    driver::{Driver, Language, Outcome},
    options::WriteMemory,
    steps::Step,
};
use crate::{
    config::SwitchSettings,
    switch::{Device, Failure, dialects::Dialect},
};

/// The row in the table of dialects.
pub(super) static DIALECT: Dialect = Dialect {
    kind: "serveriron-cli",
    about: "Foundry or Brocade ServerIron, by its command line over telnet or SSH",
    needs: &[],
    make,
};

fn make(settings: &SwitchSettings) -> Result<Box<dyn Device>, String> {
    let options: Options = super::super::options(settings)?;
    let about = |error| format!("[switch.options] of `{}`: {error}", settings.name);
    let (access, common, write_memory) = options.check().map_err(about)?;
    let cli = Cli { access, write_memory, timeout: settings.timeout, session: None };
    Ok(Box::new(Driver::new(cli, common)))
}

/// A command line, and how to get to it.
struct Cli {
    access: Access,
    write_memory: WriteMemory,
    timeout: Duration,
    session: Option<Session>,
}

/// Logged in, and in no other mode than [`Mode::Enabled`] between two calls.
struct Session {
    screen: Screen,
    host: Host,
}

#[async_trait]
impl Language for Cli {
    const BREAKS: bool = true;

    fn description(&self) -> String {
        let over = match self.access.over {
            Over::Telnet => "telnet",
            Over::Ssh { .. } => "SSH",
        };
        let name = self.session.as_ref().map(|session| format!(" `{}`", session.host.name()));
        let name = name.unwrap_or_default();
        format!("ServerIron{name} at {} over {over}", self.access.address)
    }

    fn hang_up(&mut self) {
        self.session = None;
    }

    async fn config(&mut self) -> Result<Config, Failure> {
        if self.session.is_none() {
            self.session = Some(connect(&self.access, self.timeout).await?);
        }
        let lines = self.session()?.show("show running-config").await?;
        running::parse(&lines)
    }

    async fn activity(&mut self) -> Result<Activity, Failure> {
        let lines = self.session()?.show("show server real").await?;
        refused(&lines)?;
        Ok(status::parse(&lines))
    }

    async fn run(&mut self, steps: &[Step], config: &mut Config) -> Result<Outcome, Failure> {
        let enables = |step: &Step| match step {
            Step::Port(server, true) if config.enabled(*server) == Some(false) => Some(*server),
            _ => None,
        };
        let enabled: Vec<_> = steps.iter().filter_map(enables).collect();
        let session = self.session()?;
        let mut outcome = session.run(steps, config).await?;
        if !enabled.is_empty() && outcome.refusals.is_empty() {
            // `port N` enables it on some releases, `no port N disable` on others.
            let has = running::parse(&session.show("show running-config").await?)?;
            let still = enabled.into_iter().filter(|server| has.enabled(*server) == Some(false));
            let lines: Vec<_> = still.map(script::enable).collect();
            session.give(&lines, config, &mut outcome).await?;
        }
        Ok(outcome)
    }

    async fn save(&mut self) -> Result<(), Failure> {
        if self.write_memory == WriteMemory::Never {
            return Ok(());
        }
        let lines = self.session()?.show("write memory").await?;
        if lines.iter().any(|line| line.contains("done")) {
            return Ok(());
        }
        Err(Failure::Refused(format!("`write memory`: {}", cut(&lines.join(" / ")))))
    }

    /// A reboot ends the connection, and all is read anew.
    async fn same_start(&mut self) -> Result<(), Failure> {
        self.session().map(|_| ())
    }
}

impl Cli {
    fn session(&mut self) -> Result<&mut Session, Failure> {
        self.session.as_mut().ok_or_else(|| Failure::Lost("there is no connection".into()))
    }
}

async fn connect(access: &Access, patience: Duration) -> Result<Session, Failure> {
    let late = || format!("{} does not answer within {patience:?}", access.address);
    let wire = timeout(patience, wire(access)).await.map_err(|_| Failure::Lost(late()))??;
    let mut screen = Screen::new(wire, patience);
    let host = login::login(&mut screen, access).await?;
    Ok(Session { screen, host })
}

async fn wire(access: &Access) -> Result<Box<dyn Wire>, Failure> {
    let address = access.address;
    let unreached = |error: &dyn std::fmt::Display| Failure::Lost(format!("{address}: {error}"));
    match &access.over {
        Over::Telnet => {
            let stream = TcpStream::connect(address).await.map_err(|error| unreached(&error))?;
            stream.set_nodelay(true).map_err(|error| unreached(&error))?;
            Ok(Box::new(Telnet::new(stream)))
        }
        Over::Ssh { known, key, legacy } => {
            let proof = access.proof(key.as_ref()).map_err(Failure::Lost)?;
            let user = access.user.as_deref().unwrap_or_default();
            let wire = ssh::connect(address, known.clone(), user, proof, *legacy).await;
            wire.map_err(|error| unreached(&error))
        }
    }
}

impl Session {
    async fn show(&mut self, command: &str) -> Result<Vec<String>, Failure> {
        self.screen.show(&self.host, command, &Mode::Enabled).await
    }

    /// Takes steps, in the configuration first, and then those of the level above it.
    async fn run(&mut self, steps: &[Step], config: &mut Config) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        let lines = script::lines(steps, config);
        self.give(&lines, config, &mut outcome).await?;
        for step in steps {
            if let Step::Break(address) = step {
                let command = script::break_command(*address);
                let (_, words) =
                    self.screen.command(&self.host, &command, &[&Mode::Enabled]).await?;
                outcome.note(step, &command, &words, config);
            }
        }
        Ok(outcome)
    }

    /// Gives lines of configuration, each at its place.
    async fn give(
        &mut self,
        lines: &[Line],
        config: &mut Config,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        if lines.is_empty() {
            return Ok(());
        }
        let (at, words) =
            self.change("configure terminal", &[&Mode::Config, &Mode::Enabled]).await?;
        if at != 0 {
            outcome.refuse("configure terminal", &words);
            return Ok(());
        }
        let mut place = Place::Top;
        // A place that does not let one in refuses all that is to be done there.
        let mut shut: Option<Place> = None;
        for line in lines {
            if shut.as_ref() == Some(&line.place) {
                continue;
            }
            if place != line.place {
                if place != Place::Top {
                    self.change("exit", &[&Mode::Config]).await?;
                    place = Place::Top;
                }
                if let Some(enter) = line.place.enter() {
                    let mode = line.place.mode();
                    let (at, words) = self.change(&enter, &[&mode, &Mode::Config]).await?;
                    if at != 0 || !words.is_empty() {
                        outcome.refuse(&enter, &words);
                        shut = Some(line.place.clone());
                        if at == 0 {
                            self.change("exit", &[&Mode::Config]).await?;
                        }
                        continue;
                    }
                    place = line.place.clone();
                }
            }
            let Some(command) = &line.command else {
                // To be let in is all that was asked for.
                outcome.note(&line.step, "", &[], config);
                continue;
            };
            self.tell(&place, command, line, config, outcome).await?;
        }
        self.change("end", &[&Mode::Enabled]).await?;
        Ok(())
    }

    async fn tell(
        &mut self,
        place: &Place,
        command: &str,
        line: &Line,
        config: &mut Config,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let (_, words) = self.change(command, &[&place.mode()]).await?;
        let single = script::singly(line);
        if words.is_empty() || single.len() < 2 {
            outcome.note(&line.step, command, &words, config);
            return Ok(());
        }
        // One of the pairs is at fault: the others are taken.
        for (step, command) in single {
            let (_, words) = self.change(&command, &[&place.mode()]).await?;
            outcome.note(&step, &command, &words, config);
        }
        Ok(())
    }

    async fn change(
        &mut self,
        command: &str,
        modes: &[&Mode],
    ) -> Result<(usize, Vec<String>), Failure> {
        self.screen.command(&self.host, command, modes).await
    }
}

impl Outcome {
    /// A command succeeded where nothing but the next prompt came.
    fn note(&mut self, step: &Step, command: &str, words: &[String], config: &mut Config) {
        if words.is_empty() {
            config.take(step);
            self.taken.push(step.clone());
        } else {
            self.refuse(command, words);
        }
    }

    fn refuse(&mut self, command: &str, words: &[String]) {
        let words = if words.is_empty() { "it does nothing".into() } else { words.join(" / ") };
        self.refusals.push(format!("`{command}`: {}", cut(&words)));
    }
}

/// Words of refusal, instead of what was to be shown.
fn refused(lines: &[String]) -> Result<(), Failure> {
    let refusal = |line: &&String| {
        let starts = ["Invalid input", "Ambiguous input", "Incomplete command", "Error - "];
        starts.iter().any(|start| line.trim_start().starts_with(start))
    };
    match lines.iter().find(refusal) {
        Some(line) => Err(Failure::Refused(cut(line))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
