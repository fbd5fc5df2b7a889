//! This process, its kernel, and the kernel's parameters.

use std::{collections::BTreeMap, fs, thread};

use aya::{maps::MapType, programs::ProgramType, sys};

use crate::{
    doctor::facts::{Host, Known, Sysctls},
    xdp::host,
};

/// Types that the programs' maps are of.
const MAPS: [(MapType, &str); 7] = [
    (MapType::Array, "array"),
    (MapType::Hash, "hash"),
    (MapType::LruHash, "lru_hash"),
    (MapType::PerCpuArray, "percpu_array"),
    (MapType::ProgramArray, "prog_array"),
    (MapType::RingBuf, "ringbuf"),
    (MapType::LpmTrie, "lpm_trie"),
];

pub(super) fn read() -> Host {
    Host {
        missing_capabilities: host::missing_capabilities().unwrap_or_default(),
        has_programs: cfg!(feature = "xdp"),
        release: line("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()),
        new_enough: host::kernel_is_new_enough().map_err(|error| format!("{error:#}")),
        btf: fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false),
        jit: line("/proc/sys/net/core/bpf_jit_enable").and_then(|value| value.parse().ok()),
        lacks: lacks(),
        cpus: thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32),
        reverse_path_drops: fs::read_to_string("/proc/net/netstat")
            .ok()
            .and_then(|text| counter(&text, "TcpExt:", "IPReversePathFilter")),
    }
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn lacks() -> Known<Vec<String>> {
    let mut lacks = Vec::new();
    for (map_type, name) in MAPS {
        let there = sys::is_map_supported(map_type)
            .map_err(|error| format!("map types: {}", error.io_error))?;
        if !there {
            lacks.push(format!("maps of type {name}"));
        }
    }
    let there = sys::is_program_supported(ProgramType::Xdp)
        .map_err(|error| format!("program types: {error}"))?;
    if !there {
        lacks.push("XDP programs".to_owned());
    }
    Ok(lacks)
}

/// A counter of /proc/net/netstat: pairs of lines, names above values.
fn counter(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs.find(|(found, _)| *found == name)?.1.parse().ok()
}

/// Parameters of all interfaces together and of these ones.
pub(super) fn sysctls<'a>(interfaces: impl IntoIterator<Item = &'a str>) -> Sysctls {
    let mut found = BTreeMap::new();
    let mut read = |path: String| {
        let value = line(&format!("/proc/sys/net/{path}")).and_then(|value| value.parse().ok());
        found.extend(value.map(|value| (path, value)));
    };
    read("ipv4/ip_forward".to_owned());
    for interface in ["all"].into_iter().chain(interfaces) {
        for key in ["rp_filter", "arp_ignore", "arp_announce", "forwarding"] {
            read(format!("ipv4/conf/{interface}/{key}"));
        }
        read(format!("ipv6/conf/{interface}/forwarding"));
    }
    Sysctls(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let text = "TcpExt: A IPReversePathFilter B\nTcpExt: 1 23 4\nIpExt: A\nIpExt: 7\n";
        assert_eq!(counter(text, "TcpExt:", "IPReversePathFilter"), Some(23));
        assert_eq!(counter(text, "IpExt:", "A"), Some(7));
        assert_eq!(counter(text, "TcpExt:", "C"), None);
        assert_eq!(counter("TcpExt: A\n", "TcpExt:", "A"), None);
    }

    #[test]
    fn fuzzed_netstat() {
        let text = "TcpExt: A IPReversePathFilter B\nTcpExt: 1 23 4\nIpExt: A\nIpExt: 7\n";
        crate::testing::Fuzz::new("netstat").with(text).words(&["TcpExt:", "\n"]).run(|bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            counter(text, "TcpExt:", "IPReversePathFilter");
        });
    }
}
