//! How connections spread over servers, and whether chance explains it.

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, ensure};

/// Connections by server name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread(BTreeMap<String, u64>);

impl FromIterator<String> for Spread {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        let mut spread = Self::default();
        for name in names {
            *spread.0.entry(name).or_default() += 1;
        }
        spread
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (i, (name, count)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {count}")?;
        }
        Ok(())
    }
}

impl Spread {
    pub fn of(&self, server: &str) -> u64 {
        self.0.get(server).copied().unwrap_or(0)
    }

    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The server with the most connections.
    pub fn busiest(&self) -> Option<&str> {
        self.0.iter().max_by_key(|(_, count)| **count).map(|(name, _)| name.as_str())
    }

    /// Fails unless the connections follow `weights`.
    ///
    /// Servers without weight must have none at all. For the others it is
    /// Pearson's chi-squared test; a spread that follows the weights fails it
    /// once in a million runs.
    pub fn follows(&self, weights: &[(&str, u32)]) -> Result<()> {
        for server in self.0.keys() {
            let known = weights.iter().any(|(name, weight)| name == server && *weight > 0);
            ensure!(known, "{server} should have no connections at all: {self}");
        }
        let sum: u32 = weights.iter().map(|(_, weight)| weight).sum();
        let shares: Vec<_> = weights.iter().filter(|(_, weight)| *weight > 0).collect();
        let total = self.total() as f64;
        ensure!(total >= 5.0 * shares.len() as f64, "too few connections to judge: {self}");
        let statistic: f64 = shares
            .iter()
            .map(|(name, weight)| {
                let expected = total * f64::from(*weight) / f64::from(sum);
                (self.of(name) as f64 - expected).powi(2) / expected
            })
            .sum();
        let bound = chi_squared_bound(shares.len() - 1);
        ensure!(
            statistic <= bound,
            "{self} does not follow {weights:?}: chi-squared {statistic:.1} > {bound:.1}"
        );
        Ok(())
    }
}

/// What a chi-squared variable exceeds once in a million times (Wilson and
/// Hilferty, "The distribution of chi-square", 1931).
fn chi_squared_bound(degrees: usize) -> f64 {
    /// The normal distribution's quantile for one in a million.
    const Z: f64 = 4.753;
    if degrees == 0 {
        return 0.0;
    }
    let a = 2.0 / (9.0 * degrees as f64);
    degrees as f64 * (1.0 - a + Z * a.sqrt()).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(counts: &[(&str, u64)]) -> Spread {
        Spread(counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
    }

    #[test]
    fn bound_is_a_little_above_the_tables() {
        // Quantiles of the chi-squared distribution at 1 - 1e-6.
        for (degrees, table) in [(1, 23.93), (2, 27.63), (8, 42.70)] {
            let bound = chi_squared_bound(degrees);
            assert!(bound >= table && bound < table * 1.2, "{degrees}: {bound}");
        }
    }

    #[test]
    fn chance_is_taken_and_bias_is_not() {
        let weights = [("a", 100), ("b", 100), ("c", 100)];
        spread(&[("a", 210), ("b", 190), ("c", 200)]).follows(&weights).unwrap();
        assert!(spread(&[("a", 300), ("b", 150), ("c", 150)]).follows(&weights).is_err());
        spread(&[("a", 300), ("b", 150), ("c", 150)])
            .follows(&[("a", 200), ("b", 100), ("c", 100)])
            .unwrap();
    }

    #[test]
    fn no_weight_means_none_at_all() {
        let weights = [("a", 100), ("b", 0)];
        spread(&[("a", 300)]).follows(&weights).unwrap();
        assert!(spread(&[("a", 300), ("b", 1)]).follows(&weights).is_err());
        assert!(spread(&[("a", 300), ("x", 1)]).follows(&weights).is_err());
        assert!(spread(&[]).follows(&weights).is_err());
    }
}
