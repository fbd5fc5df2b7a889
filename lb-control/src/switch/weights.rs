//! Shares of new connections within a device's range of weights.

use crate::model::{Share, Weight};

/// How many totals are tried.
const TRIED: u64 = 1024;

/// Weights `0..=most` in the proportions of `given`, and that of a drop server which
/// gets the share `refuse` of all.
///
/// What fits is left as it is. Else each share is rounded to a multiple of 1/total, for
/// the total among the largest [`TRIED`] possible ones whose worst share is off by the
/// least, and whoever had a weight keeps at least 1.
pub(super) fn fit(given: &[Weight], refuse: Share, most: u32) -> (Vec<u32>, u32) {
    let most = most.max(1);
    let plain = || given.iter().map(|&weight| u32::from(weight)).collect::<Vec<_>>();
    let sum: u64 = given.iter().map(|&weight| u64::from(weight)).sum();
    if refuse == Share::ALL || (sum == 0 && refuse != Share::NONE) {
        return (vec![0; given.len()], 1);
    }
    let largest = given.iter().copied().max().unwrap_or(0);
    if refuse == Share::NONE && u32::from(largest) <= most {
        return (plain(), 0);
    }
    let refused = f64::from(refuse.ppm()) / 1e6;
    let share = |weight: Weight| f64::from(weight) / sum as f64 * (1.0 - refused);
    let top = share(largest).max(refused);
    let highest = (f64::from(most) / top).floor().max(1.0) as u64;
    let rounded = |share: f64, total: u64| {
        let weight = (share * total as f64).round();
        if share > 0.0 { (weight as u32).clamp(1, most) } else { 0 }
    };
    let weigh = |total: u64| {
        let weights: Vec<_> = given.iter().map(|&weight| rounded(share(weight), total)).collect();
        (weights, rounded(refused, total))
    };
    // The worst relative error of a share, but those that are too small for the range.
    let error = |total: u64, (weights, sink): &(Vec<u32>, u32)| {
        let all = (weights.iter().map(|&w| u64::from(w)).sum::<u64>() + u64::from(*sink)) as f64;
        let off = |weight: u32, share: f64| {
            let fits = share * total as f64 >= 0.5;
            if fits { (f64::from(weight) / all / share - 1.0).abs() } else { 0.0 }
        };
        let others = weights.iter().zip(given).map(|(&weight, &given)| off(weight, share(given)));
        others.chain([off(*sink, refused)]).fold(0.0, f64::max)
    };
    // Below half of it the largest share might be too small as well.
    let totals = (highest.saturating_sub(TRIED).max(highest.div_ceil(2))..=highest).rev();
    let candidates = totals.map(|total| {
        let weights = weigh(total);
        (error(total, &weights), weights)
    });
    let best = candidates.min_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, weights)| weights).unwrap_or_else(|| (plain(), 0))
}
