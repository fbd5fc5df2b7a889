//! Ranges of numbers that overlap, as one sorted list that a packet searches by
//! halving.

use std::collections::BTreeMap;

/// What changes at the border of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border<T> {
    Begins(T),
    Ends(T),
}

/// Walks over all numbers from 0 on, and asks `value` at each border of
/// `ranges` (first and last number, and what it stands for) what holds from
/// there on. It is told all that begins and ends there, in any order, and first
/// of all is asked about 0.
///
/// The result is sorted by start, begins at 0, and no two neighbours are equal.
pub fn flatten<T, V: PartialEq>(
    ranges: impl IntoIterator<Item = (u128, u128, T)>,
    mut value: impl FnMut(&[Border<T>]) -> V,
) -> Vec<(u128, V)>
where
    T: Copy,
{
    let mut borders: BTreeMap<u128, Vec<Border<T>>> = BTreeMap::from([(0, Vec::new())]);
    for (first, last, what) in ranges {
        borders.entry(first).or_default().push(Border::Begins(what));
        if let Some(after) = last.checked_add(1) {
            borders.entry(after).or_default().push(Border::Ends(what));
        }
    }
    let mut flat: Vec<(u128, V)> = Vec::new();
    for (start, borders) in borders {
        let value = value(&borders);
        if flat.last().is_none_or(|(_, before)| *before != value) {
            flat.push((start, value));
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_come_in_order_and_equal_neighbours_are_one() {
        let mut depth = 0;
        let ranges = [(5, 9, 1), (10, 19, 1), (15, u128::MAX, 1), (3, 3, 0)];
        let flat = flatten(ranges, |borders| {
            for border in borders {
                match border {
                    Border::Begins(by) => depth += by,
                    Border::Ends(by) => depth -= by,
                }
            }
            depth
        });
        assert_eq!(flat, [(0, 0), (5, 1), (15, 2), (20, 1)]);
    }
}
