//! Commands that take a while, and how they are shown.
//!
//! On a terminal a spinner shows the last line of a quiet command's output;
//! elsewhere there is a line at the start, every now and then, and at the end.
//! The whole output is in a log file, which is shown when the command fails.

use std::{
    fs::{self, File},
    io::{IsTerminal as _, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

const POLL: Duration = Duration::from_millis(100);
/// How often a quiet command gives a sign of life where there is no terminal.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// The workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a directory of the workspace")
}

/// Cargo's target directory: that of this very program.
pub fn target() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let directory =
        here.ancestors().nth(2).context("xtask does not run from a target directory")?;
    Ok(directory.to_owned())
}

/// Prints a line with the time since this program began.
pub fn say(line: &str) {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    println!("[{:>4} s] {line}", BEGUN.get_or_init(Instant::now).elapsed().as_secs());
}

/// Runs a command whose own output is worth seeing.
pub fn openly(title: &str, command: &mut Command) -> Result<()> {
    say(title);
    let status = command.status().with_context(|| describe(command))?;
    if !status.success() {
        bail!("{} failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs a command whose output matters only when it fails.
pub fn quietly(title: &str, command: &mut Command) -> Result<()> {
    let path = log_file(title)?;
    let log = File::create(&path).with_context(|| path.display().to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| describe(command))?;
    let progress = Progress::begin(title);
    let mut reader = File::open(&path)?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        progress.tell(&last_line(&mut reader)?);
        thread::sleep(POLL);
    };
    progress.end(status.success());
    if status.success() {
        return Ok(());
    }
    bail!(
        "{} failed ({status}):\n{}\nThe whole of it is in {}",
        describe(command),
        tail(&fs::read_to_string(&path).unwrap_or_default()),
        path.display()
    )
}

/// A spinner on a terminal, or plain lines.
pub struct Progress {
    title: String,
    begun: Instant,
    spinner: Option<ProgressBar>,
    said: std::cell::Cell<Instant>,
}

impl Progress {
    pub fn begin(title: &str) -> Self {
        let spinner = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg:.dim}");
            let spinner =
                ProgressBar::new_spinner().with_style(style.expect("the template is well-formed"));
            spinner.set_prefix(title.to_owned());
            spinner.enable_steady_tick(POLL);
            spinner
        });
        if spinner.is_none() {
            say(&format!("{title} ..."));
        }
        let now = Instant::now();
        Self { title: title.to_owned(), begun: now, spinner, said: now.into() }
    }

    pub fn tell(&self, line: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(line.to_owned()),
            None if self.said.get().elapsed() > SIGN_OF_LIFE => {
                say(&format!("{} ... {line}", self.title));
                self.said.set(Instant::now());
            }
            None => {}
        }
    }

    pub fn end(self, success: bool) {
        if let Some(spinner) = self.spinner {
            spinner.finish_and_clear();
        }
        let outcome = if success { "done" } else { "failed" };
        say(&format!("{}: {outcome} in {:.1} s", self.title, self.begun.elapsed().as_secs_f64()));
    }
}

fn log_file(title: &str) -> Result<PathBuf> {
    let directory = target()?.join("xtask");
    fs::create_dir_all(&directory)?;
    let name: String = title
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    Ok(directory.join(format!("{name}.log")))
}

/// The last whole line of what has been written so far.
fn last_line(log: &mut File) -> Result<String> {
    const WINDOW: u64 = 512;
    let length = log.seek(SeekFrom::End(0))?;
    log.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
    let mut end = Vec::new();
    log.read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end);
    Ok(end.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned())
}

fn tail(output: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// The command as a person would type it.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
