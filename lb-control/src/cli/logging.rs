//! Log lines, to stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, fmt};

use super::{
    Failure,
    args::{Global, LogFormat},
};

/// Starts logging; `default` is the level where nobody asked for another.
pub fn start(global: &Global, default: &str) -> Result<(), Failure> {
    let directives = global.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Failure::Usage(format!(
            "--log {directives}: {error}; write error, warn, info, debug or trace, or directives \
             such as lb_control::edge=debug"
        ))
    })?;
    let lines =
        fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).with_target(false);
    match global.log_format {
        LogFormat::Json => lines.json().init(),
        // Under systemd, the journal has the time already.
        LogFormat::Text if under_journal() => lines.without_time().init(),
        LogFormat::Text => lines.init(),
    }
    Ok(())
}

/// See systemd.exec(5), `$JOURNAL_STREAM`.
fn under_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some() && !io::stderr().is_terminal()
}
