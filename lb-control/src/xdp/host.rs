//! What XDP programs need of the process and of the kernel.

use std::fs;

use anyhow::{Context as _, bail};
use aya::util::KernelVersion;

/// Capabilities that an edge needs, by their bit (linux/capability.h).
const NEEDED: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (39, "CAP_BPF")];
/// Held in place of any of the above by older set-ups.
const CAP_SYS_ADMIN: u32 = 21;

/// The oldest kernel: bpf_xdp_load_bytes came with 5.18; 6.1 is the next
/// long-term one.
pub(crate) const OLDEST_KERNEL: &str = "Linux 6.1";

/// Those capabilities that this process lacks.
///
/// # Errors
/// Without /proc.
pub(crate) fn missing_capabilities() -> anyhow::Result<Vec<&'static str>> {
    let status = fs::read_to_string("/proc/self/status").context("/proc cannot be read")?;
    Ok(missing_in(&status))
}

/// Whether this kernel has what the programs need.
///
/// # Errors
/// When the kernel does not tell its version.
pub(crate) fn kernel_is_new_enough() -> anyhow::Result<bool> {
    let kernel = KernelVersion::current().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(kernel >= KernelVersion::new(6, 1, 0))
}

/// # Errors
/// Says what is missing and what to do.
pub(crate) fn check() -> anyhow::Result<()> {
    let missing = missing_capabilities()?;
    if !missing.is_empty() {
        bail!(
            "an XDP edge needs {}: run it as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
            missing.join(" and ")
        );
    }
    if !kernel_is_new_enough()? {
        bail!("this kernel is too old for the XDP edge: {OLDEST_KERNEL} or newer is needed");
    }
    Ok(())
}

fn missing_in(status: &str) -> Vec<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    // Where /proc does not tell, the kernel will.
    let has = |bit: u32| effective.is_none_or(|effective| effective >> bit & 1 == 1);
    let lacks = |&(bit, name): &(u32, &'static str)| {
        let enough = has(bit) || (name == "CAP_BPF" && has(CAP_SYS_ADMIN));
        (!enough).then_some(name)
    };
    NEEDED.iter().filter_map(lacks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        let status = |bits: u64| format!("Name:\tx\nCapEff:\t{bits:016x}\n");
        assert_eq!(missing_in(&status(0)), ["CAP_NET_ADMIN", "CAP_BPF"]);
        assert_eq!(missing_in(&status(1 << 12)), ["CAP_BPF"]);
        assert!(missing_in(&status(1 << 12 | 1 << 39)).is_empty());
        assert!(missing_in(&status(1 << 12 | 1 << 21)).is_empty());
        assert!(missing_in("").is_empty());
    }
}
