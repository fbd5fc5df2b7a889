//! A health check by a program of the operator's ([`program`](crate::program)).
//!
//! Its environment is the agent's, and `SLUICE_SERVICE`, `SLUICE_ADDRESS` (address
//! and port), `SLUICE_HOST` and `SLUICE_PORT`. Exit status 0 is healthy.

use tokio::process::Command;

use crate::{config::AgentBind, program};

/// Runs the program once. Dropped, also at a timeout, it kills the program with
/// its group.
pub(super) async fn run(bind: &AgentBind, argv: &[String]) -> Result<(), String> {
    let [name, arguments @ ..] = argv else {
        return Err("no command is set".to_owned());
    };
    let mut command = Command::new(name);
    command
        .args(arguments)
        .env("SLUICE_SERVICE", bind.service.as_str())
        .env("SLUICE_ADDRESS", bind.address.to_string())
        .env("SLUICE_HOST", bind.address.ip().to_string())
        .env("SLUICE_PORT", bind.address.port().to_string());
    let ended = program::run(&mut command).await;
    ended.map_err(|error| format!("cannot run {name}: {error}"))?.judge(name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

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
