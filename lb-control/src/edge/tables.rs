//! Double-buffered tables: what the next commit has to write, and where.

use std::collections::HashSet;

use lb_common::abi::copy_base;

use super::mapping::{Plain, Region};

/// Bytes of each copy that are compared in one step.
const STEP: usize = 64 << 10;

/// What a step of comparing has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Looked {
    /// Rows that somebody else has changed, in either copy.
    pub wrong: Vec<u32>,
    /// Where the next step begins; `None` at the end.
    pub next: Option<usize>,
}

/// Indices that differ between a table as it should be and each of its two
/// copies.
#[derive(Debug, Default)]
pub(super) struct Dirty([Vec<u32>; 2]);

impl Dirty {
    /// Compares both copies with `wanted`.
    pub(super) fn compare<T: Plain>(wanted: &[T], region: &Region<T>) -> Self {
        let differing = |copy: usize| {
            let there = region.read(copy * wanted.len(), wanted.len());
            let differs = |&index: &usize| there[index] != wanted[index];
            (0..wanted.len()).filter(differs).map(|index| index as u32).collect()
        };
        Self([differing(0), differing(1)])
    }

    /// Compares some rows of both copies with `wanted`, from `from` on, and marks
    /// those that are neither right nor known not to be.
    pub(super) fn verify<T: Plain>(
        &mut self,
        wanted: &[T],
        region: &Region<T>,
        from: usize,
    ) -> Looked {
        let end = wanted.len().min(from + (STEP / size_of::<T>()).max(1));
        let mut wrong = Vec::new();
        for (copy, dirty) in self.0.iter_mut().enumerate() {
            let there = region.read(copy * wanted.len() + from, end - from);
            let pairs = (from..end).zip(there.iter().zip(&wanted[from..end]));
            let differing = pairs.filter(|(_, (is, should))| is != should);
            let differing: Vec<_> = differing.map(|(index, _)| index as u32).collect();
            if differing.is_empty() {
                continue;
            }
            let due: HashSet<_> = dirty.iter().copied().collect();
            let tampered = differing.into_iter().filter(|index| !due.contains(index));
            let first = wrong.len();
            wrong.extend(tampered);
            dirty.extend_from_slice(&wrong[first..]);
        }
        Looked { wrong, next: (end < wanted.len()).then_some(end) }
    }

    pub(super) fn mark(&mut self, index: u32) {
        self.0[0].push(index);
        self.0[1].push(index);
    }

    /// Whether the copy that `generation` reads is not as it should be.
    pub(super) fn behind(&self, generation: u64) -> bool {
        !self.0[generation as usize & 1].is_empty()
    }

    /// Writes what the copy of `generation`, which no packet may read now, lacks.
    pub(super) fn flush<T: Plain>(
        &mut self,
        generation: u64,
        wanted: &[T],
        region: &mut Region<T>,
    ) {
        let base = copy_base(generation, wanted.len() as u32);
        for index in self.0[generation as usize & 1].drain(..) {
            region.set((base + index) as usize, wanted[index as usize]);
        }
    }
}

/// A double table: how it should be, and its two copies in shared memory.
#[derive(Debug)]
pub(super) struct DoubleTable<T> {
    wanted: Vec<T>,
    dirty: Dirty,
    region: Region<T>,
}

impl<T: Plain> DoubleTable<T> {
    /// Takes over what the copy of the live `generation` holds.
    pub(super) fn adopt(region: Region<T>, generation: u64) -> Self {
        let capacity = region.len() / 2;
        let wanted = region.read(copy_base(generation, capacity as u32) as usize, capacity);
        let dirty = Dirty::compare(&wanted, &region);
        Self { wanted, dirty, region }
    }

    pub(super) fn get(&self, index: usize) -> &T {
        &self.wanted[index]
    }

    pub(super) fn all(&self) -> &[T] {
        &self.wanted
    }

    /// Sets what the next commit makes live.
    pub(super) fn set(&mut self, index: usize, value: T) {
        if self.wanted[index] != value {
            self.wanted[index] = value;
            self.dirty.mark(index as u32);
        }
    }

    /// See [`Dirty::verify`].
    pub(super) fn verify(&mut self, from: usize) -> Looked {
        self.dirty.verify(&self.wanted, &self.region, from)
    }

    /// See [`Dirty::behind`].
    pub(super) fn behind(&self, generation: u64) -> bool {
        self.dirty.behind(generation)
    }

    /// See [`Dirty::flush`].
    pub(super) fn flush(&mut self, generation: u64) {
        self.dirty.flush(generation, &self.wanted, &mut self.region);
    }
}

#[cfg(test)]
mod tests;
