//! One network namespace.

use std::{
    fs::{self, File},
    path::PathBuf,
    thread,
};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CloneFlags, setns},
    unistd::Pid,
};

/// Where iproute2 keeps named namespaces.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// A namespace that `ip netns` knows by its name.
#[derive(Clone, Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    pub(crate) fn named(name: String) -> Self {
        Self { name }
    }

    /// For `ip -n NAME` and `ip netns exec NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(DIRECTORY).join(&self.name)
    }

    /// Runs `work` on a thread of its own inside the namespace.
    ///
    /// Sockets that it opens stay in the namespace wherever they are used
    /// later, and processes that it starts live in it.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or as `work` fails.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let inside = || {
            let handle = File::open(self.path())?;
            setns(handle, CloneFlags::CLONE_NEWNET)?;
            anyhow::Ok(())
        };
        let task = || {
            inside().with_context(|| format!("entering network namespace {}", self.name))?;
            work()
        };
        thread::scope(|scope| match scope.spawn(task).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Sets kernel parameters, named as under `/proc/sys/net`, in the namespace.
    pub(crate) fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.enter(|| {
            for (key, value) in settings {
                fs::write(format!("/proc/sys/net/{key}"), value)
                    .with_context(|| format!("setting net/{key} to {value}"))?;
            }
            Ok(())
        })
    }

    /// Processes that live in it now.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let Ok(handle) = fs::metadata(self.path()) else {
            return Vec::new();
        };
        let Ok(processes) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        processes
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                use std::os::unix::fs::MetadataExt as _;
                fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|theirs| {
                    (theirs.dev(), theirs.ino()) == (handle.dev(), handle.ino())
                })
            })
            .map(Pid::from_raw)
            .collect()
    }
}
