//! Programs that are run to their end.

use std::{
    ffi::OsStr,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// What a program said and how it ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }

    /// Standard output of a program that succeeded.
    ///
    /// # Errors
    /// With both outputs, when it failed.
    pub fn stdout(self) -> Result<String> {
        if self.success() {
            return Ok(self.stdout);
        }
        bail!("exit status {:?}\n{}{}", self.status, self.stdout, self.stderr)
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A command that finds what is in `sbin` also where `su` has left it out of `PATH`.
pub(crate) fn new(program: &OsStr) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    let mut command = Command::new(program);
    command.env("PATH", path);
    command
}

/// `program` with `args`, as an error message names it.
pub(crate) fn line(program: &OsStr, args: &[impl AsRef<OsStr>]) -> String {
    let mut line = program.to_string_lossy().into_owned();
    for arg in args {
        line.push(' ');
        line.push_str(&arg.as_ref().to_string_lossy());
    }
    line
}

/// Runs `program` to its end in the namespace of the calling thread.
pub(crate) fn run(program: impl AsRef<OsStr>, args: &[impl AsRef<OsStr>]) -> Result<Outcome> {
    let program = program.as_ref();
    let output = new(program).args(args).stdin(Stdio::null()).output();
    Ok(output.with_context(|| missing(program))?.into())
}

/// Whom `ip` takes a command for that has no address in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Family {
    V4,
    V6,
}

/// Runs a batch of `ip` commands, one a line. `namespace` `None` is our own.
pub(crate) fn ip_batch(namespace: Option<&str>, family: Family, script: &str) -> Result<()> {
    let mut ip = new("ip".as_ref());
    if let Some(namespace) = namespace {
        ip.args(["-n", namespace]);
    }
    if let Family::V6 = family {
        ip.arg("-6");
    }
    let mut child = ip
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| missing(OsStr::new("ip")))?;
    child.stdin.take().expect("piped").write_all(script.as_bytes())?;
    let outcome = Outcome::from(child.wait_with_output()?);
    outcome.stdout().with_context(|| {
        format!("ip -batch in {}:\n{script}", namespace.unwrap_or("our namespace"))
    })?;
    Ok(())
}

pub(crate) fn missing(program: &OsStr) -> String {
    format!(
        "`{}` could not be started; `cargo xtask setup` installs what the lab needs",
        program.to_string_lossy()
    )
}
