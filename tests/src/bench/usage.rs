//! What a process takes of a core, and of memory, and how long others kept it
//! from its core: figures mean little where that is much.

use std::{fs, time::Instant};

use anyhow::{Context as _, Result};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// CPU seconds of a process since some moment.
pub(super) struct Usage {
    process: Pid,
    since: Instant,
    /// Spent, and waited for, before.
    before: [f64; 2],
}

impl Usage {
    pub(super) fn from_now(process: Pid) -> Result<Self> {
        Ok(Self { process, since: Instant::now(), before: cpu_seconds(process)? })
    }

    /// CPU seconds since then, and seconds in which it could have run and did not.
    pub(super) fn spent(&self) -> Result<[f64; 2]> {
        let now = cpu_seconds(self.process)?;
        Ok([now[0] - self.before[0], now[1] - self.before[1]])
    }

    /// The same, in each second.
    pub(super) fn share(&self) -> Result<[f64; 2]> {
        let seconds = self.since.elapsed().as_secs_f64();
        Ok(self.spent()?.map(|spent| spent / seconds))
    }
}

/// Of all threads: fields 14 and 15 of proc_pid_stat(5), and of those that live,
/// the second field of `schedstat` (Documentation/scheduler/sched-stats.rst).
fn cpu_seconds(process: Pid) -> Result<[f64; 2]> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is a name in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("no stat of a process")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    let ticks: f64 = ticks.sum::<Result<_, _>>()?;
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock ticks")?;
    let mut waited = 0.0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let stat = fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanoseconds = stat.split_whitespace().nth(1).context("no schedstat")?;
        waited += nanoseconds.parse::<f64>()? / 1e9;
    }
    Ok([ticks / per_second as f64, waited])
}

/// Bytes of a process's memory: `VmRSS`, or at the most so far, `VmHWM`.
pub(super) fn memory(process: Pid, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no memory")?;
    Ok(1024 * kilobytes.trim().parse::<u64>()?)
}
