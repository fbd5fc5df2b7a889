//! What a host's kernel has counted.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use crate::Host;

/// Files of proc(5): the first two have a line of names before each line of
/// numbers, the third a name on each line.
const FILES: [&str; 3] = ["/proc/net/snmp", "/proc/net/netstat", "/proc/net/snmp6"];

impl Host {
    /// The kernel's counters, such as `Tcp.InCsumErrors` and `Udp6InCsumErrors`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn counters(&self) -> Result<BTreeMap<String, u64>> {
        let told = self.run("cat", &FILES)?.stdout()?;
        parse(&told).with_context(|| format!("on {}", self.name()))
    }

    /// Counters of checksums that the kernel found wrong, where there are any.
    ///
    /// # Errors
    /// As of [`counters`](Self::counters).
    pub fn wrong_checksums(&self) -> Result<BTreeMap<String, u64>> {
        let mut counters = self.counters()?;
        counters.retain(|name, count| name.ends_with("InCsumErrors") && *count != 0);
        Ok(counters)
    }
}

fn parse(told: &str) -> Result<BTreeMap<String, u64>> {
    let mut counters = BTreeMap::new();
    let mut lines = told.lines();
    while let Some(line) = lines.next() {
        let mut words = line.split_whitespace();
        let first = words.next().context("an empty line")?;
        let Some(prefix) = first.strip_suffix(':') else {
            let value = words.next().with_context(|| format!("`{line}`"))?;
            counters.insert(first.to_owned(), value.parse()?);
            continue;
        };
        let values = lines.next().with_context(|| format!("no numbers of {prefix}"))?;
        for (name, value) in words.zip(values.split_whitespace().skip(1)) {
            // One of them may be -1, which means that there is no limit.
            if let Ok(value) = value.parse() {
                counters.insert(format!("{prefix}.{name}"), value);
            }
        }
    }
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_both_kinds_are_read() {
        let told = "Tcp: MaxConn InSegs InCsumErrors\nTcp: -1 7 2\nIp6InReceives    \t5\n";
        let counters = parse(told).unwrap();
        let all: Vec<_> = counters.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(all, [("Ip6InReceives", 5), ("Tcp.InCsumErrors", 2), ("Tcp.InSegs", 7)]);
        assert!(parse("Tcp: InSegs\n").is_err());
    }
}
