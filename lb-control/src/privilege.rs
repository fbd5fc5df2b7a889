//! What a daemon gives up once it has what it came for.
//!
//! Capabilities belong to threads (capabilities(7)), so they are given up
//! before there are any other threads than the first.

use std::collections::HashSet;

use anyhow::Context as _;
use caps::{CapSet, Capability};
use nix::sys::prctl;

use crate::{config::Settings, switch::dialects};

/// Updates of maps before Linux 5.19, where the kernel keeps bpf(2) from those
/// without; links that take over from an older version; and, over netlink, the
/// kernel's neighbours, which an edge has resolved.
pub const EDGE: &[Capability] = &[Capability::CAP_BPF, Capability::CAP_NET_ADMIN];
/// Closing connections (sock_diag(7), SOCK_DESTROY).
pub const AGENT: &[Capability] = &[Capability::CAP_NET_ADMIN];
/// Loading and attaching the program that ends tunnels, too.
pub const AGENT_WITH_DECAP: &[Capability] =
    &[Capability::CAP_NET_ADMIN, Capability::CAP_BPF, Capability::CAP_PERFMON];

/// What a manager needs: nothing, unless it listens on a privileged port or has a
/// switch on its own host.
pub fn manager(settings: &Settings) -> Vec<Capability> {
    let manager = &settings.manager;
    let agent_check = manager.agent_check.as_ref().map(|check| check.listen);
    let mut listens = [Some(manager.listen), manager.metrics, agent_check].into_iter().flatten();
    let privileged = listens.any(|address| (1..1024).contains(&address.port()));
    let dialects = settings.switches.iter().filter_map(|switch| dialects::find(&switch.kind).ok());
    dialects
        .flat_map(|dialect| dialect.needs)
        .copied()
        .chain(privileged.then_some(Capability::CAP_NET_BIND_SERVICE))
        .collect()
}

/// Gives up every capability but these, for this thread and all that it will
/// start, and the way to new ones (`PR_SET_NO_NEW_PRIVS`). What cannot be given
/// up is logged: the work can go on.
pub fn keep_only(wanted: &[Capability]) {
    match give_up(wanted) {
        Ok(kept) if kept.is_empty() => tracing::info!("runs without any capability"),
        Ok(kept) => tracing::info!("runs with {} alone", kept.join(", ")),
        Err(error) => tracing::warn!("runs with more privilege than it needs: {error:#}"),
    }
}

/// For a thread that needs none, and that is too small for a log line.
pub fn keep_nothing() {
    if let Err(error) = give_up(&[]) {
        tracing::debug!("a thread keeps its capabilities: {error:#}");
    }
}

/// Says what is kept.
fn give_up(wanted: &[Capability]) -> anyhow::Result<Vec<String>> {
    prctl::set_no_new_privs().context("PR_SET_NO_NEW_PRIVS")?;
    let held = caps::read(None, CapSet::Permitted)?;
    let none = HashSet::new();
    let kept: HashSet<_> = wanted.iter().copied().filter(|cap| held.contains(cap)).collect();
    // What a program that is started could get back; it takes a capability to change.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        let bounds = caps::read(None, CapSet::Bounding)?;
        for capability in bounds.difference(&kept) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
    }
    // Ambient ones go with the inheritable ones.
    let wanted =
        [(CapSet::Inheritable, &none), (CapSet::Effective, &kept), (CapSet::Permitted, &kept)];
    for (set, wanted) in wanted {
        // Where a filter forbids the call, there is mostly nothing to give up.
        if caps::read(None, set)? != *wanted {
            caps::set(None, set, wanted)?;
        }
    }
    let mut names: Vec<_> = kept.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    /// Of the thread that asks.
    fn status(field: &str) -> u64 {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    }

    #[test]
    fn only_what_is_wanted_and_was_there_is_kept_also_by_later_threads() {
        let there = status("CapPrm:");
        let (kept, permitted, effective, inheritable, no_new) = thread::spawn(|| {
            let kept = give_up(EDGE).unwrap();
            let look = || {
                let all = (status("CapPrm:"), status("CapEff:"), status("CapInh:"));
                (all, status("NoNewPrivs:"))
            };
            let ((permitted, effective, inheritable), no_new) = thread::spawn(look).join().unwrap();
            (kept, permitted, effective, inheritable, no_new)
        })
        .join()
        .unwrap();
        let wanted = 1 << 12 | 1 << 39;
        assert_eq!((permitted, effective), (there & wanted, there & wanted));
        assert_eq!((inheritable, no_new), (0, 1));
        assert_eq!(kept.len(), usize::try_from((there & wanted).count_ones()).unwrap());
        assert_eq!(status("CapPrm:"), there, "other threads are not touched");
    }
}
