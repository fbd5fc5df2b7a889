//! Classes of clients, as the packet's tables hold them and as the model does.

use std::net::{IpAddr, Ipv6Addr};

use lb_common::{
    abi::{ClassRange, Config},
    classes::flatten,
};

use crate::model::{ClassSpec, Name, Prefix};

/// What packets read to find their class.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClassTables {
    pub ranges: Vec<ClassRange>,
    /// See [`Config::class_dscp`].
    pub dscp: [u64; 64],
}

impl ClassTables {
    /// The tables of `classes`, or why they do not fit.
    pub(super) fn compile(classes: &[ClassSpec]) -> Result<Self, String> {
        let sources: Vec<Vec<_>> =
            classes.iter().map(|c| c.sources.iter().map(Prefix::range).collect()).collect();
        let ranges = flatten(&sources).map_err(|error| error.to_string())?;
        let mut dscp = [u64::MAX; 64];
        for (index, class) in classes.iter().enumerate().filter(|(_, c)| !c.dscp.is_empty()) {
            for (value, taken) in dscp.iter_mut().enumerate() {
                if !class.dscp.contains(&(value as u8)) {
                    *taken &= !(1 << index);
                }
            }
        }
        Ok(Self { ranges, dscp })
    }

    /// The tables that `config` and the range table hold.
    pub(super) fn of_live(config: &Config, ranges: &[ClassRange]) -> Self {
        let count = (config.class_ranges as usize).min(ranges.len());
        Self { ranges: ranges[..count].to_vec(), dscp: config.class_dscp }
    }

    /// Classes of these names that would compile to tables of the same meaning.
    /// Their sources may be written otherwise than they once were configured.
    pub(super) fn recover(&self, names: &[Name]) -> Vec<ClassSpec> {
        let spec = |(index, name): (usize, &Name)| ClassSpec {
            name: name.clone(),
            sources: self.sources(1 << index),
            dscp: self.dscps(1 << index),
        };
        names.iter().enumerate().map(spec).collect()
    }

    fn sources(&self, class: u64) -> Vec<Prefix> {
        let mut runs: Vec<(u128, u128)> = Vec::new();
        for (index, range) in self.ranges.iter().enumerate() {
            if range.classes & class == 0 {
                continue;
            }
            let end = self.ranges.get(index + 1).map_or(u128::MAX, |next| start(next) - 1);
            match runs.last_mut() {
                Some(last) if last.1.checked_add(1) == Some(start(range)) => last.1 = end,
                _ => runs.push((start(range), end)),
            }
        }
        // A class that takes every source was configured without any.
        if runs == [(0, u128::MAX)] {
            return Vec::new();
        }
        runs.into_iter().flat_map(|(first, last)| cover(first, last)).collect()
    }

    fn dscps(&self, class: u64) -> Vec<u8> {
        let taken: Vec<u8> =
            (0..64).filter(|&value| self.dscp[usize::from(value)] & class != 0).collect();
        if taken.len() == 64 { Vec::new() } else { taken }
    }
}

fn start(range: &ClassRange) -> u128 {
    u128::from(range.start_hi) << 64 | u128::from(range.start_lo)
}

/// The fewest prefixes that together hold `first..=last`.
fn cover(mut first: u128, last: u128) -> Vec<Prefix> {
    let mut prefixes = Vec::new();
    loop {
        // The largest block that begins here and does not reach beyond `last`.
        let aligned = first.trailing_zeros().min(127);
        let host_bits = (0..=aligned)
            .rev()
            .find(|&bits| first.checked_add((1 << bits) - 1).is_some_and(|end| end <= last))
            .unwrap_or(0);
        prefixes.push(prefix(first, host_bits));
        match first.checked_add(1 << host_bits) {
            Some(next) if next <= last => first = next,
            _ => return prefixes,
        }
    }
}

fn prefix(first: u128, host_bits: u32) -> Prefix {
    let v6 = Ipv6Addr::from(first);
    let (addr, len) = match v6.to_ipv4_mapped() {
        Some(v4) if host_bits <= 32 => (IpAddr::from(v4), 32 - host_bits),
        _ => (IpAddr::from(v6), 128 - host_bits),
    };
    format!("{addr}/{len}").parse().expect("an address without host bits")
}

#[cfg(test)]
mod tests;
