//! What else this program can be: `sluice` itself, or a crowd of agents, each as
//! a process of its own that dies with the one that measures.

use std::{env, ffi::OsString, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, ensure};

use super::crowd;
use crate::Process;

/// Names the role of a process that was started for one.
const ROLE: &str = "SLUICE_BENCH_ROLE";
const SLUICE: &str = "sluice";
const AGENTS: &str = "agents";

/// Whether this process was started for a role; then it has played it.
///
/// # Errors
/// The role's.
pub(super) fn is_played() -> Result<bool> {
    let Ok(role) = env::var(ROLE) else { return Ok(false) };
    if role == AGENTS {
        crowd::agents_alone(env::args().skip(1))?;
    } else {
        ensure!(lb_control::cli::main() == ExitCode::SUCCESS, "sluice failed");
    }
    Ok(true)
}

/// Starts `sluice` in this thread's namespaces, on these cores, such as `0-1`.
pub(super) fn sluice(cores: &str, args: &[&str], log: &Path) -> Result<Process> {
    start(SLUICE, cores, args, log)
}

/// Starts agents, likewise.
pub(super) fn agents(cores: &str, args: &[&str], log: &Path) -> Result<Process> {
    start(AGENTS, cores, args, log)
}

fn start(role: &str, cores: &str, args: &[&str], log: &Path) -> Result<Process> {
    let program = env::current_exe().context("where this program is")?;
    let mut line: Vec<OsString> = ["--pdeathsig", "KILL", "taskset", "-c"].map(Into::into).into();
    line.extend([cores.to_owned(), "env".to_owned(), format!("{ROLE}={role}")].map(Into::into));
    line.push(program.into());
    line.extend(args.iter().map(Into::into));
    Process::spawn(role, "setpriv".as_ref(), &line, log)
}
