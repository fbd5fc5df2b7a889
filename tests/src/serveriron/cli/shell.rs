//! What commands do: a session without its terminal.

use std::{borrow::Cow, sync::Arc};

use super::{
    commands::{COMMANDS, Command},
    grammar::{self, Args},
};
use crate::serveriron::{
    Refusal, State,
    device::{Configuring, Device},
};

/// Where a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// `NAME>`
    User,
    /// `NAME#`
    Privileged,
    /// `NAME(config)#`
    Config,
    /// `NAME(config-rs-REAL)#`
    Real(String),
    /// `NAME(config-vs-VIRTUAL)#`
    Virtual(String),
}

/// Sets of modes.
pub(super) mod modes {
    pub(in super::super) const USER: u8 = 1;
    pub(in super::super) const PRIVILEGED: u8 = 2;
    pub(in super::super) const CONFIG: u8 = 4;
    pub(in super::super) const REAL: u8 = 8;
    pub(in super::super) const VIRTUAL: u8 = 16;
    /// Where the configuration is changed.
    pub(in super::super) const CONFIGURING: u8 = CONFIG | REAL | VIRTUAL;
    /// Everywhere past `enable`.
    pub(in super::super) const ENABLED: u8 = PRIVILEGED | CONFIGURING;
    pub(in super::super) const ANY: u8 = USER | ENABLED;
}

impl Mode {
    fn bit(&self) -> u8 {
        match self {
            Self::User => modes::USER,
            Self::Privileged => modes::PRIVILEGED,
            Self::Config => modes::CONFIG,
            Self::Real(_) => modes::REAL,
            Self::Virtual(_) => modes::VIRTUAL,
        }
    }
}

/// What a command comes to.
#[derive(Debug, Default)]
pub(super) struct Reaction {
    /// What is printed, in lines that end in `\n`. Nothing where it succeeded
    /// and was not asked for anything.
    pub(super) text: String,
    /// Changes, each of which takes its time.
    pub(super) changes: usize,
    pub(super) then: Then,
}

/// What follows a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Then {
    #[default]
    Prompt,
    /// The password of `enable` is asked for.
    AskPassword,
    /// The session ends.
    Close,
}

impl Reaction {
    pub(super) fn say(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// A session that is logged in.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) device: Arc<Device>,
    /// `telnet@` or `SSH@`, as prompts begin.
    origin: &'static str,
    pub(super) mode: Mode,
    pub(super) paging: bool,
    pub(super) configuring: Option<Configuring>,
}

impl Shell {
    pub(super) fn new(device: Arc<Device>, origin: &'static str, mode: Mode) -> Self {
        Self { device, origin, mode, paging: true, configuring: None }
    }

    pub(super) fn prompt(&self) -> String {
        let (origin, name) = (self.origin, &self.device.options.name);
        let mode = match &self.mode {
            Mode::User => Cow::Borrowed(">"),
            Mode::Privileged => Cow::Borrowed("#"),
            Mode::Config => Cow::Borrowed("(config)#"),
            Mode::Real(real) => Cow::Owned(format!("(config-rs-{real})#")),
            Mode::Virtual(server) => Cow::Owned(format!("(config-vs-{server})#")),
        };
        format!("{origin}{name}{mode}")
    }

    pub(super) fn run(&mut self, line: &str) -> Reaction {
        let commands = self.commands();
        let patterns: Vec<&str> = commands.iter().map(|command| command.pattern).collect();
        match grammar::parse(line, &patterns) {
            Err(mistake) => Reaction::say(mistake.words()),
            Ok((index, args)) => match commands.get(index) {
                Some(command) => (command.run)(self, &args),
                None => Reaction::default(),
            },
        }
    }

    /// What `?` after this prints.
    pub(super) fn help(&self, line: &str) -> String {
        let patterns: Vec<&str> = self.commands().iter().map(|command| command.pattern).collect();
        let words = grammar::next_words(line, &patterns);
        words.into_iter().map(|word| format!("  {word}\n")).collect()
    }

    /// The right password of `enable` was given.
    pub(super) fn enable(&mut self) {
        if self.mode == Mode::User {
            self.mode = Mode::Privileged;
        }
    }

    /// One change of the configuration.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut State) -> Result<(), Refusal>,
    ) -> Reaction {
        let text = match self.device.change(change) {
            Ok(()) => String::new(),
            Err(refusal) => format!("Error - {refusal}\n"),
        };
        Reaction { text, changes: 1, then: Then::Prompt }
    }

    /// One change for each pair, up to the first that is refused.
    pub(super) fn change_pairs(
        &self,
        args: &Args,
        change: impl Fn(&mut State, &str, u16) -> Result<(), Refusal>,
    ) -> Reaction {
        let mut reaction = Reaction::default();
        for (real, port) in args.pairs() {
            let one = self.change(|state| change(state, real, port));
            reaction.changes += 1;
            reaction.text = one.text;
            if !reaction.text.is_empty() {
                break;
            }
        }
        reaction
    }

    /// The real or virtual server whose mode this is.
    pub(super) fn subject(&self) -> &str {
        match &self.mode {
            Mode::Real(name) | Mode::Virtual(name) => name,
            Mode::User | Mode::Privileged | Mode::Config => "",
        }
    }

    fn commands(&self) -> Vec<&'static Command> {
        COMMANDS.iter().filter(|command| command.modes & self.mode.bit() != 0).collect()
    }
}
