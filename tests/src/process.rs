//! Programs that go on running.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Outcome, command, eventually};

/// How much of a log an error shows, in lines.
const SHOWN_LINES: usize = 30;

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    kept: bool,
}

impl Process {
    /// Starts `program` in the namespace of the calling thread, with both
    /// outputs going to the file `log`.
    pub(crate) fn spawn(
        name: &str,
        program: &OsStr,
        args: &[impl AsRef<OsStr>],
        log: &Path,
    ) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C at the terminal is for the lab, which then stops them in order.
            .process_group(0)
            .spawn()
            .with_context(|| command::missing(program))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), kept: false })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Both outputs so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of [`Self::log`], for an error message.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }

    /// The exit status, or `None` while it runs.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Fails, with the end of its log, when it runs no more.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.exited()? {
            None => Ok(()),
            Some(status) => {
                bail!("{} has ended ({status}); its last words:\n{}", self.name, self.log_tail())
            }
        }
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("sending {signal} to {}", self.name))
    }

    /// SIGKILL: it can do nothing about it.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then waits.
    ///
    /// # Errors
    /// When it does not end within `patience`.
    pub fn stop(self, patience: Duration) -> Result<Outcome> {
        self.signal(Signal::SIGTERM)?;
        self.wait(patience)
    }

    /// Waits for its end. Both outputs are in the outcome's `stdout`.
    ///
    /// # Errors
    /// When it does not end within `patience`.
    pub fn wait(mut self, patience: Duration) -> Result<Outcome> {
        let what = format!("{} to end", self.name);
        let status = eventually(patience, &what, || Ok(self.child.try_wait()?))
            .with_context(|| format!("its last words:\n{}", self.log_tail()))?;
        Ok(Outcome { status: status.code(), stdout: self.log(), stderr: String::new() })
    }

    /// Lets it run on after this handle is gone.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // It may have ended by itself: neither error matters then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
