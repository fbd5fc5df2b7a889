//! Class sources as one sorted list that a packet searches by halving.

use std::{error::Error, fmt};

use crate::{
    abi::{CLASSES, ClassRange, MAX_CLASS_RANGES},
    ranges::{self, Border},
};

/// The sources of all classes need more ranges than the map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// Ranges needed.
    pub ranges: usize,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the sources of all classes make {} address ranges, and {MAX_CLASS_RANGES} fit: \
             use fewer or shorter prefixes",
            self.ranges
        )
    }
}

impl Error for TooMany {}

/// Cuts the address space at every border of a source, and says for each part
/// which classes' sources hold it.
///
/// `classes[i]` holds the first and last address of each source of class `i`,
/// in any order, overlapping or not; without sources, class `i` takes every
/// address. The result is sorted, starts at address 0, and no two neighbours
/// have the same classes.
///
/// # Errors
/// [`TooMany`] when more than [`MAX_CLASS_RANGES`] ranges are left.
///
/// # Panics
/// With more than [`CLASSES`] classes: a range has one bit for each.
pub fn flatten(classes: &[Vec<(u128, u128)>]) -> Result<Vec<ClassRange>, TooMany> {
    assert!(
        classes.len() <= CLASSES as usize,
        "{} classes do not fit into {CLASSES} bits",
        classes.len()
    );
    let everywhere = [(0, u128::MAX)];
    let sources = classes.iter().enumerate().flat_map(|(class, sources)| {
        let sources = if sources.is_empty() { &everywhere[..] } else { sources };
        sources.iter().map(move |&(first, last)| (first, last, class))
    });
    let mut depth = vec![0i32; classes.len()];
    let mut members = 0u64;
    let flat = ranges::flatten(sources, |borders| {
        for border in borders {
            let (class, step) = match *border {
                Border::Begins(class) => (class, 1),
                Border::Ends(class) => (class, -1),
            };
            depth[class] += step;
            if depth[class] > 0 {
                members |= 1 << class;
            } else {
                members &= !(1 << class);
            }
        }
        members
    });
    let range = |(start, classes): (u128, u64)| ClassRange {
        start_hi: (start >> 64) as u64,
        start_lo: start as u64,
        classes,
    };
    let ranges: Vec<_> = flat.into_iter().map(range).collect();
    if ranges.len() > MAX_CLASS_RANGES as usize {
        return Err(TooMany { ranges: ranges.len() });
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests;
