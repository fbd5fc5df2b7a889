//! Memory that the XDP program reads while we write it.
//!
//! A [`Region`] is a memory-mapped array map seen as a row of values. It hands
//! out copies, never references: a reference would promise the compiler that
//! nobody else touches the memory.

use std::{
    io,
    marker::PhantomData,
    ops::Range,
    os::fd::{AsRawFd as _, BorrowedFd},
    sync::atomic::AtomicU64,
};

use lb_common::abi::{
    Backend, ClassRange, Config, FlowEntry, FlowKey, LookupSlot, Name, NextHop, Policy, RingSlot,
    Route, Service, Trace,
};
use memmap2::{MmapOptions, MmapRaw};

/// Types that may be read out of memory that somebody else wrote.
///
/// # Safety
/// The type has no padding and is valid for any bit pattern.
pub(super) unsafe trait Plain: Copy + Default + PartialEq + 'static {}

macro_rules! plain {
    ($($type:ty),+) => {
        // SAFETY: integers, or `repr(C)` or `repr(transparent)` without padding
        // and made of integers and arrays of them (asserted by lb-common's layout tests).
        $(unsafe impl Plain for $type {})+
    };
}
plain!(
    u32, u64, Backend, ClassRange, Config, LookupSlot, Name, Policy, RingSlot, Service, FlowKey,
    FlowEntry, Trace, NextHop, Route
);

/// The value that these bytes are; `None` when they are too few.
pub(super) fn decode<T: Plain>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: as many bytes as the type has, which is valid for any of them.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// `len` values in shared memory.
#[derive(Debug)]
pub(super) struct Region<T> {
    memory: MmapRaw,
    len: usize,
    values: PhantomData<T>,
}

impl<T: Plain> Region<T> {
    /// Maps `len` values of an array map that was made with `BPF_F_MMAPABLE`.
    ///
    /// # Errors
    /// Of mmap(2); `EINVAL` when the map is smaller.
    pub(super) fn map(map: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let memory = MmapOptions::new().len(len * size_of::<T>()).map_raw(map.as_raw_fd())?;
        Ok(Self { memory, len, values: PhantomData })
    }

    /// `len` zeroed values that no kernel reads.
    ///
    /// # Errors
    /// Of mmap(2).
    #[cfg(test)]
    pub(super) fn anonymous(len: usize) -> io::Result<Self> {
        let memory = MmapOptions::new().len(len * size_of::<T>()).map_anon()?.into();
        Ok(Self { memory, len, values: PhantomData })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The value at `index`.
    ///
    /// # Panics
    /// When there is no such index.
    pub(super) fn get(&self, index: usize) -> T {
        assert!(index < self.len);
        // SAFETY: within the mapping, which is page-aligned and holds any bit
        // pattern as a valid `T`; volatile, because others may write it.
        unsafe { self.pointer().add(index).read_volatile() }
    }

    /// Stores a value that packets do not read meanwhile.
    ///
    /// # Panics
    /// When there is no such index.
    pub(super) fn set(&mut self, index: usize, value: T) {
        assert!(index < self.len);
        // SAFETY: within the mapping; `&mut self` keeps other writers of this
        // process away, and the program only reads.
        unsafe { self.pointer().add(index).write_volatile(value) }
    }

    /// Copies out the values from `start` on.
    ///
    /// # Panics
    /// When the range does not fit.
    pub(super) fn read(&self, start: usize, len: usize) -> Vec<T> {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len));
        let mut values = vec![T::default(); len];
        // SAFETY: both ranges hold `len` values and cannot overlap. Nobody
        // writes the source meanwhile: the program only reads these tables, and
        // the lock on the pins keeps other processes away.
        unsafe { self.pointer().add(start).copy_to_nonoverlapping(values.as_mut_ptr(), len) };
        values
    }

    /// Stores values, from `start` on, that packets do not read meanwhile.
    ///
    /// # Panics
    /// When the range does not fit.
    #[cfg(test)]
    pub(super) fn write(&mut self, start: usize, values: &[T]) {
        assert!(start.checked_add(values.len()).is_some_and(|end| end <= self.len));
        // SAFETY: within the mapping, cannot overlap a slice of this process's
        // own memory, and nobody else accesses it meanwhile.
        unsafe {
            values.as_ptr().copy_to_nonoverlapping(self.pointer().add(start), values.len());
        }
    }

    /// Runs of values that different threads may read and write.
    ///
    /// # Panics
    /// When two of them overlap, or one does not fit.
    pub(super) fn parts(&mut self, runs: &[Range<usize>]) -> Vec<Part<'_, T>> {
        let mut sorted: Vec<_> = runs.iter().filter(|run| !run.is_empty()).collect();
        sorted.sort_by_key(|run| run.start);
        assert!(sorted.is_sorted_by(|one, next| one.end <= next.start), "runs overlap");
        let part = |run: &Range<usize>| {
            assert!(run.start <= run.end && run.end <= self.len);
            // SAFETY: within the mapping, or at its end.
            let first = unsafe { self.pointer().add(run.start) };
            Part { first, len: run.len(), values: PhantomData }
        };
        runs.iter().map(part).collect()
    }

    fn pointer(&self) -> *mut T {
        self.memory.as_mut_ptr().cast()
    }
}

/// A run of a region's values, which nobody else in this process accesses.
#[derive(Debug)]
pub(super) struct Part<'a, T> {
    first: *mut T,
    len: usize,
    values: PhantomData<&'a mut [T]>,
}

// SAFETY: plain values that are this part's alone, as a `&mut [T]` would be.
unsafe impl<T: Plain + Send> Send for Part<'_, T> {}

impl<T: Plain> Part<'_, T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Copies values out, from `start` on, into all of `to`.
    ///
    /// # Panics
    /// When there are not as many.
    pub(super) fn read(&self, start: usize, to: &mut [T]) {
        assert!(start.checked_add(to.len()).is_some_and(|end| end <= self.len));
        // SAFETY: within the part; `to` is memory of this process's own. Nobody
        // writes the source meanwhile, see `Region::read`.
        unsafe { self.first.add(start).copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
    }

    /// Stores values, from `start` on, that packets do not read meanwhile.
    ///
    /// # Panics
    /// When they do not fit.
    pub(super) fn write(&mut self, start: usize, values: &[T]) {
        assert!(start.checked_add(values.len()).is_some_and(|end| end <= self.len));
        // SAFETY: within the part, cannot overlap a slice of this process's own
        // memory, and nobody else accesses it meanwhile.
        unsafe { values.as_ptr().copy_to_nonoverlapping(self.first.add(start), values.len()) };
    }
}

impl Region<u64> {
    /// A word that packets read while it is stored.
    ///
    /// # Panics
    /// When there is no such index.
    pub(super) fn word(&self, index: u32) -> &AtomicU64 {
        let index = index as usize;
        assert!(index < self.len);
        // SAFETY: aligned, within the mapping and so alive as long as `self`;
        // both sides access words whole.
        unsafe { AtomicU64::from_ptr(self.pointer().add(index)) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn values_come_back() {
        let mut region = Region::<u32>::anonymous(5000).unwrap();
        assert_eq!(region.read(0, 5000), vec![0; 5000]);
        region.set(4999, 7);
        region.write(10, &[1, 2, 3]);
        assert_eq!((region.get(4999), region.get(9), region.get(12)), (7, 0, 3));
        assert_eq!(region.read(9, 5), [0, 1, 2, 3, 0]);
    }

    #[test]
    fn words_are_the_same_memory() {
        let region = Region::<u64>::anonymous(8).unwrap();
        region.word(3).store(9, Ordering::Release);
        assert_eq!(region.get(3), 9);
    }

    #[test]
    fn parts_are_the_same_memory() {
        let mut region = Region::<u32>::anonymous(100).unwrap();
        region.write(0, &[1, 2, 3, 4]);
        let mut parts = region.parts(&[50..60, 0..4, 7..7, 4..50]);
        let mut read = [0; 2];
        parts[1].read(1, &mut read);
        parts[0].write(8, &read);
        assert_eq!(parts.iter().map(Part::len).collect::<Vec<_>>(), [10, 4, 0, 46]);
        assert_eq!(region.read(57, 4), [0, 2, 3, 0]);
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn parts_do_not_overlap() {
        Region::<u32>::anonymous(8).unwrap().parts(&[4..8, 0..5]);
    }

    #[test]
    #[should_panic(expected = "assertion")]
    fn a_part_ends() {
        let mut region = Region::<u32>::anonymous(8).unwrap();
        region.parts(std::slice::from_ref(&(0..4)))[0].write(3, &[1, 2]);
    }

    #[test]
    #[should_panic(expected = "assertion")]
    fn the_end_is_checked() {
        Region::<u32>::anonymous(8).unwrap().write(7, &[1, 2]);
    }
}
