//! A command, and what comes back until the next prompt.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    prompt::{Host, Mode},
    text,
    wire::Wire,
};
use crate::switch::Failure;

/// The most that one command may print.
const MOST: usize = 4 << 20;
/// The longest line of it.
const LINE: usize = 16 << 10;
/// What is looked at for a prompt: the end of what has come.
const TAIL: usize = 1024;
/// How often a prompt that does not come is asked for, after a notice may have
/// swallowed it.
const NUDGES: usize = 3;
/// Silence after which it is.
const NUDGE: Duration = Duration::from_millis(500);
/// Silence after which no prompt that was asked for is under way any more.
const DRAIN: Duration = Duration::from_millis(100);
/// How often what notices have torn is asked for again.
const SHOWS: usize = 5;
/// What a pager asks, at the beginning of a line.
const MORE: &str = "--More--";
/// How it is told to go on.
const NEXT_PAGE: &[u8] = b" ";
const RETURN: &[u8] = b"\r";

/// What has come since the last command.
pub(super) struct Seen<'a> {
    /// The last line, as far as it has come, with and without what stood before a notice.
    lines: (String, String),
    /// The last [`TAIL`] bytes.
    pub tail: String,
    buffer: &'a [u8],
}

impl<'a> Seen<'a> {
    fn of(buffer: &'a [u8]) -> Self {
        let tail = text::without_notices(&text::printable(end(buffer)), &mut Vec::new());
        Self { lines: text::last_line(&tail), tail, buffer }
    }

    /// What the last line is, as far as it has come.
    pub fn last<T>(&self, known: impl Fn(&str) -> Option<T>) -> Option<T> {
        known(&self.lines.0).or_else(|| known(&self.lines.1))
    }

    /// All of it.
    pub fn all(&self) -> String {
        text::without_notices(&text::printable(self.buffer), &mut Vec::new())
    }
}

fn end(buffer: &[u8]) -> &[u8] {
    buffer.get(buffer.len().saturating_sub(TAIL)..).unwrap_or_default()
}

/// A terminal in front of the box.
pub(super) struct Screen {
    wire: Box<dyn Wire>,
    /// For one command.
    timeout: Duration,
    /// What has come since the last command.
    buffer: Vec<u8>,
    /// Whether commands come back before their output.
    echoes: bool,
    /// Real servers that are gone, as the box told of its own accord.
    pub deleted: Vec<String>,
}

impl Screen {
    pub fn new(wire: Box<dyn Wire>, timeout: Duration) -> Self {
        Self { wire, timeout, buffer: Vec::new(), echoes: false, deleted: Vec::new() }
    }

    /// Types a line; what had come before is forgotten.
    ///
    /// # Errors
    /// [`Failure::Lost`].
    pub async fn type_line(&mut self, line: &str) -> Result<(), Failure> {
        self.buffer.clear();
        self.send(format!("{line}\r").as_bytes()).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match timeout(self.timeout, self.wire.write(bytes)).await {
            Ok(sent) => sent.map_err(|error| broken(&error)),
            Err(_) => Err(self.late()),
        }
    }

    fn late(&self) -> Failure {
        Failure::Lost(format!("no answer within {:?}", self.timeout))
    }

    /// Reads until `known` knows what has come. Answers a pager meanwhile.
    ///
    /// # Errors
    /// [`Failure::Lost`]: with the last words, where it hangs up.
    pub async fn until<T>(
        &mut self,
        mut known: impl FnMut(&Seen<'_>) -> Option<T>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        let mut nudges = 0;
        loop {
            let left = self.timeout.saturating_sub(begun.elapsed());
            // Who talks without end is never late for a read.
            if left.is_zero() {
                return Err(self.late());
            }
            let noticed = self.notices() && nudges < NUDGES;
            let patience = if noticed { left.min(NUDGE) } else { left };
            let before = self.buffer.len();
            match timeout(patience, self.wire.read(&mut self.buffer)).await {
                Ok(read) => read.map_err(|error| broken(&error))?,
                Err(_) if noticed => {
                    nudges += 1;
                    self.send(RETURN).await?;
                    continue;
                }
                Err(_) => return Err(self.late()),
            }
            if self.buffer.len() == before {
                return Err(Failure::Lost(format!("it hung up{}", self.last_words())));
            }
            self.bound()?;
            let seen = Seen::of(&self.buffer);
            if seen.lines.0.trim_start().starts_with(MORE) {
                self.next_page().await?;
            } else if let Some(found) = known(&seen) {
                if nudges > 0 {
                    self.drain().await?;
                }
                return Ok(found);
            }
        }
    }

    /// Whether a notice is among the last that came.
    fn notices(&self) -> bool {
        let mut deleted = Vec::new();
        text::without_notices(&text::printable(end(&self.buffer)), &mut deleted);
        !deleted.is_empty()
    }

    fn bound(&self) -> Result<(), Failure> {
        if self.buffer.len() > MOST {
            return Err(Failure::Lost(format!("it printed more than {MOST} bytes at once")));
        }
        let recent = self.buffer.get(self.buffer.len().saturating_sub(LINE)..).unwrap_or_default();
        if recent.len() == LINE && !recent.contains(&b'\n') {
            return Err(Failure::Lost(format!("it printed a line of more than {LINE} bytes")));
        }
        Ok(())
    }

    /// Takes the pager's question away, and has it go on.
    async fn next_page(&mut self) -> Result<(), Failure> {
        let line = self.buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.buffer.truncate(line);
        self.send(NEXT_PAGE).await
    }

    /// Reads what is still under way, which is prompts.
    async fn drain(&mut self) -> Result<(), Failure> {
        let mut rest = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < self.timeout {
            let before = rest.len();
            match timeout(DRAIN, self.wire.read(&mut rest)).await {
                Err(_) => return Ok(()),
                Ok(read) => read.map_err(|error| broken(&error))?,
            }
            if rest.len() == before || rest.len() > LINE {
                break;
            }
        }
        Err(Failure::Lost("it does not come to rest".into()))
    }

    /// The end of what it said, for people.
    fn last_words(&self) -> String {
        let lines = text::lines(&Seen::of(&self.buffer).tail);
        let last = lines.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty());
        last.map(|line| format!(", after `{}`", cut(line))).unwrap_or_default()
    }

    /// Gives a command, after which the box is in one of the modes. Returns in which, and
    /// the lines that it printed.
    ///
    /// # Errors
    /// [`Failure::Lost`].
    pub async fn command(
        &mut self,
        host: &Host,
        command: &str,
        modes: &[&Mode],
    ) -> Result<(usize, Vec<String>), Failure> {
        self.type_line(command).await?;
        let echoes = self.echoes;
        let mode = self
            .until(|seen| {
                let prompt = |line: &str| modes.iter().position(|mode| host.prompts(line, mode));
                let mode = seen.last(prompt)?;
                let answered = !echoes || text::after_echo(&seen.all(), command).is_some();
                answered.then_some(mode)
            })
            .await?;
        Ok((mode, self.output(host, command, modes)))
    }

    /// Gives a command that prints, in a mode that it does not leave. A notice among what
    /// is printed may have torn a line, so that the command is given again.
    ///
    /// # Errors
    /// [`Failure::Lost`].
    pub async fn show(
        &mut self,
        host: &Host,
        command: &str,
        mode: &Mode,
    ) -> Result<Vec<String>, Failure> {
        for _ in 0..SHOWS {
            let lines = self.show_once(host, command, mode).await?;
            if !self.noticed() {
                return Ok(lines);
            }
        }
        Err(Failure::Lost(format!("`{command}` is torn by notices again and again")))
    }

    /// Whether a notice is among all that came.
    fn noticed(&self) -> bool {
        let mut deleted = Vec::new();
        text::without_notices(&text::printable(&self.buffer), &mut deleted);
        !deleted.is_empty()
    }

    /// A line of what is printed may look like the prompt, and be the last that has come
    /// for a moment: so the prompt is asked for once more, and two in a row are the end.
    async fn show_once(
        &mut self,
        host: &Host,
        command: &str,
        mode: &Mode,
    ) -> Result<Vec<String>, Failure> {
        self.type_line(command).await?;
        let echoes = self.echoes;
        let prompt = |line: &str| host.prompts(line, mode).then_some(());
        self.until(|seen| {
            seen.last(prompt)?;
            (!echoes || text::after_echo(&seen.all(), command).is_some()).then_some(())
        })
        .await?;
        self.send(RETURN).await?;
        self.until(|seen| {
            seen.last(prompt)?;
            let lines = text::lines(&seen.tail);
            let mut before = lines.iter().rev().skip(1).skip_while(|line| line.trim().is_empty());
            prompt(before.next()?)
        })
        .await?;
        Ok(self.output(host, command, &[mode]))
    }

    /// The lines between a command and the prompt.
    fn output(&mut self, host: &Host, command: &str, modes: &[&Mode]) -> Vec<String> {
        let text = text::without_notices(&text::printable(&self.buffer), &mut self.deleted);
        let text = match text::after_echo(&text, command) {
            Some(rest) => {
                self.echoes = true;
                rest
            }
            None => &text,
        };
        let prompt = |line: &str| modes.iter().any(|mode| host.prompts(line, mode));
        let lines = text::lines(text).into_iter();
        lines.filter(|line| !line.trim().is_empty() && !prompt(line)).collect()
    }
}

fn broken(error: &io::Error) -> Failure {
    Failure::Lost(format!("the connection broke: {error}"))
}

/// Words of the box, within what a line of a log takes.
pub(super) fn cut(words: &str) -> String {
    const LONGEST: usize = 200;
    let words = words.trim();
    let shown: String = words.chars().take(LONGEST).collect();
    if shown.len() < words.len() { format!("{shown}…") } else { shown }
}
