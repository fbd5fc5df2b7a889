//! How an agent hears of its application.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::duration;

/// `[agent.notify]`: sockets by which applications send events. Without this
/// table the agent opens the default ones where it can.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifySettings {
    /// Takes lines such as `ready`, and answers. Default
    /// `/run/sluice-agent/notify.sock`.
    pub socket: PathBuf,
    /// A `NOTIFY_SOCKET` for programs that speak sd_notify. Default
    /// `/run/sluice-agent/systemd.sock`.
    pub systemd_socket: PathBuf,
    /// Of both sockets' files, in octal: who may write to them may send events.
    /// Default `"0660"`.
    pub mode: FileMode,
    /// How often a program that speaks sd_notify must send `WATCHDOG=1`, once it
    /// has sent the first or is ready. Default: it says so itself by
    /// `WATCHDOG_USEC`.
    #[serde(default, with = "duration::optional")]
    pub watchdog: Option<Duration>,
    /// Bindings get no connections before the application has sent `ready`.
    /// Default false.
    pub await_ready: bool,
}

impl Default for NotifySettings {
    fn default() -> Self {
        Self {
            socket: "/run/sluice-agent/notify.sock".into(),
            systemd_socket: "/run/sluice-agent/systemd.sock".into(),
            mode: FileMode(0o660),
            watchdog: None,
            await_ready: false,
        }
    }
}

/// Permission bits of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FileMode(u32);

impl FileMode {
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl TryFrom<String> for FileMode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        u32::from_str_radix(&text, 8)
            .ok()
            .filter(|bits| *bits <= 0o777)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no mode of a socket, such as \"0660\""))
    }
}

/// `[agent.bind.agent_check]`: asks the application as HAProxy's agent-check
/// does, beside the health check.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentPoll {
    /// Port that answers with a line such as `up 75%`.
    pub port: u16,
    /// Where. Default: the bind's address.
    pub address: Option<IpAddr>,
    /// What is sent first. Default nothing.
    #[serde(default)]
    pub send: String,
    /// Default 1 s.
    #[serde(default = "second", with = "duration")]
    pub interval: Duration,
    /// Default 1 s.
    #[serde(default = "second", with = "duration")]
    pub timeout: Duration,
}

fn second() -> Duration {
    Duration::from_secs(1)
}
