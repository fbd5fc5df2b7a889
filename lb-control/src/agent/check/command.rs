//! A health check by a program of the operator's.
//!
//! It runs without a shell, in a process group of its own, with nothing on its
//! standard input and none of the agent's capabilities. Its environment is the
//! agent's, and `SLUICE_SERVICE`, `SLUICE_ADDRESS` (address and port),
//! `SLUICE_HOST` and `SLUICE_PORT`. Exit status 0 is healthy.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt as _},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{io::AsyncReadExt as _, net::unix::pipe, process::Command, time::timeout};

use crate::config::AgentBind;

/// The end of the output that is kept, in bytes.
const TAIL: usize = 4096;
/// The most characters of its last line that are shown.
const SHOWN: usize = 200;
/// How long its output may be held open by what it has left running.
const LINGER: Duration = Duration::from_millis(100);

/// Runs the program once. Dropped, also at a timeout, it kills the program with
/// its group.
pub(super) async fn run(bind: &AgentBind, argv: &[String]) -> Result<(), String> {
    let [program, arguments @ ..] = argv else {
        return Err("no command is set".to_owned());
    };
    let failed = |error: io::Error| format!("cannot run {program}: {error}");
    let (output, write) = io::pipe().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("SLUICE_SERVICE", bind.service.as_str())
        .env("SLUICE_ADDRESS", bind.address.to_string())
        .env("SLUICE_HOST", bind.address.ip().to_string())
        .env("SLUICE_PORT", bind.address.port().to_string())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(write.try_clone().map_err(failed)?)
        .stderr(write);
    // SAFETY: between fork and exec it makes one system call, and allocates nothing.
    unsafe { command.pre_exec(drop_capabilities) };
    let mut child = command.spawn().map_err(failed)?;
    // Closes our ends of the pipe's writing side.
    drop(command);
    let mut group = Group(child.id());
    let mut output = pipe::Receiver::from_owned_fd(OwnedFd::from(output)).map_err(failed)?;
    let mut tail = Tail::default();
    let status = tokio::select! {
        status = child.wait() => status.map_err(failed)?,
        () = tail.fill(&mut output) => child.wait().await.map_err(failed)?,
    };
    // Its number may be another's from now on.
    group.0 = None;
    drop(timeout(LINGER, tail.fill(&mut output)).await);
    judge(program, status, &tail.last_line())
}

/// The agent's own ambient ones, which programs that it starts would inherit.
fn drop_capabilities() -> io::Result<()> {
    // SAFETY: prctl with these arguments touches no memory.
    let done =
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn judge(program: &str, status: ExitStatus, said: &str) -> Result<(), String> {
    if status.success() {
        return Ok(());
    }
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("{program} exited with {code}"),
        (None, Some(signal)) => format!("{program} was ended by signal {signal}"),
        (None, None) => format!("{program} failed"),
    };
    Err(if said.is_empty() { how } else { format!("{said} ({how})") })
}

/// A process group whose leader nobody has waited for yet.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // The leader is a zombie at the least, so that the number is its own.
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

/// The end of what a program has put out.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    /// Reads to the end.
    async fn fill(&mut self, from: &mut pipe::Receiver) {
        let mut buffer = [0; TAIL];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            self.0.extend_from_slice(&buffer[..read]);
            let too_many = self.0.len().saturating_sub(TAIL);
            self.0.drain(..too_many);
        }
    }

    /// The last line with something in it, bounded and plain.
    fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        last.trim().chars().filter(|c| !c.is_control()).take(SHOWN).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str) -> Result<(), String> {
        let bind = AgentBind {
            service: "www".parse().unwrap(),
            address: "[2001:db8::1]:80".parse().unwrap(),
            weight: 1,
            server_id: None,
            check: Default::default(),
            agent_check: None,
        };
        run(&bind, &["/bin/sh", "-c", script].map(str::to_owned)).await
    }

    #[tokio::test]
    async fn the_exit_status_decides_and_the_last_line_is_the_cause() {
        assert_eq!(sh("echo fine; exit 0").await, Ok(()));
        let table = [
            ("exit 3", "/bin/sh exited with 3"),
            ("echo one; echo two >&2; echo; exit 1", "two (/bin/sh exited with 1)"),
            ("printf '\\033[31mred\\n'; exit 1", "[31mred (/bin/sh exited with 1)"),
            ("printf '\\377\\376'; exit 1", "\u{fffd}\u{fffd} (/bin/sh exited with 1)"),
            ("kill -9 $$", "/bin/sh was ended by signal 9"),
            (
                "echo $SLUICE_SERVICE $SLUICE_ADDRESS $SLUICE_HOST $SLUICE_PORT; exit 1",
                "www [2001:db8::1]:80 2001:db8::1 80 (/bin/sh exited with 1)",
            ),
        ];
        for (script, cause) in table {
            assert_eq!(sh(script).await, Err(cause.to_owned()), "{script}");
        }
        let much = sh("yes 0123456789 | head -c 1000000; echo; echo end; exit 1").await;
        assert_eq!(much, Err("end (/bin/sh exited with 1)".to_owned()));
    }

    #[tokio::test]
    async fn what_it_leaves_running_delays_nobody() {
        let begun = tokio::time::Instant::now();
        assert_eq!(sh("sleep 5 & exit 0").await, Ok(()));
        assert!(begun.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test]
    async fn it_is_killed_with_its_group() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display();
        let script = format!("sleep 300 & echo $! >{path}; sleep 300");
        assert!(timeout(Duration::from_millis(700), sh(&script)).await.is_err());
        let child: i32 = std::fs::read_to_string(file.path()).unwrap().trim().parse().unwrap();
        let stat = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        for _ in 0..100 {
            // Nobody may be there to wait for it.
            if stat().is_empty() || stat().contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it lives: {}", stat());
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_named() {
        let bind = |argv: &[&str]| argv.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let error = run(
            &AgentBind {
                service: "www".parse().unwrap(),
                address: "192.0.2.1:80".parse().unwrap(),
                weight: 1,
                server_id: None,
                check: Default::default(),
                agent_check: None,
            },
            &bind(&["/nowhere/check"]),
        )
        .await
        .unwrap_err();
        assert!(error.starts_with("cannot run /nowhere/check: No such file"), "{error}");
    }
}
