//! What this process uses, by the names that every exporter gives it
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage},
    time::TimeValLike as _,
};

use super::Page;

/// Writes what the kernel says of this process, which runs for `uptime`. What it
/// does not say is left out.
pub fn process(page: &mut Page, uptime: Duration) {
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let micros = (usage.user_time() + usage.system_time()).num_microseconds();
        let used = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        page.counter("process_cpu_seconds_total", "CPU time that the process has used.")
            .sample(&[], used);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(bytes) = field(&status, "VmRSS:") {
        page.gauge("process_resident_memory_bytes", "Memory that the process has in use.")
            .sample(&[], bytes * 1024);
    }
    if let Some(bytes) = field(&status, "VmSize:") {
        page.gauge("process_virtual_memory_bytes", "Address space of the process.")
            .sample(&[], bytes * 1024);
    }
    if let Some(threads) = field(&status, "Threads:") {
        page.gauge("process_threads", "Threads of the process.").sample(&[], threads);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One is the directory itself.
        page.gauge("process_open_fds", "File descriptors that the process has open.")
            .sample(&[], files.count().saturating_sub(1));
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        page.gauge("process_max_fds", "The most file descriptors that it may have.")
            .sample(&[], soft);
    }
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    page.gauge("process_start_time_seconds", "When the process began to work, since the epoch.")
        .sample(&[], started.saturating_sub(uptime));
}

/// A number of `/proc/self/status` (proc_pid_status(5)).
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_uses() {
        let mut page = Page::default();
        process(&mut page, Duration::from_secs(10));
        let text = page.text();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
        };
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let started = now - value("process_start_time_seconds");
        assert!((9.0..12.0).contains(&started), "{started}");
    }

    #[test]
    fn a_field_that_is_not_there_is_none() {
        assert_eq!(field("VmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
        assert_eq!(field("VmRSS:\n", "VmRSS:"), None);
        assert_eq!(field("", "VmRSS:"), None);
    }
}
