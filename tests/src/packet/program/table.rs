//! A map of the program as memory.

use std::{
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd as _},
};

use anyhow::{Context as _, Result};
use aya::{Ebpf, maps::Map};
use memmap2::{MmapMut, MmapOptions};

/// A memory-mapped array of rows.
pub(super) struct Table<T> {
    memory: MmapMut,
    rows: PhantomData<T>,
}

impl<T: Copy> Table<T> {
    pub(super) fn map(ebpf: &Ebpf, name: &str, len: u32) -> Result<Self> {
        let Some(Map::Array(map)) = ebpf.map(name) else {
            anyhow::bail!("the object has no array map {name}");
        };
        // SAFETY: the program only reads this memory, and only within `send`,
        // while nothing here writes it.
        let memory = unsafe {
            MmapOptions::new()
                .len(len as usize * size_of::<T>())
                .map_mut(map.fd().as_fd().as_raw_fd())
        };
        let memory = memory.with_context(|| format!("mapping {name}"))?;
        Ok(Self { memory, rows: PhantomData })
    }

    pub(super) fn put(&mut self, index: u32, rows: &[T]) {
        // SAFETY: the ABI's types are `repr(C)` without padding, so all their
        // bytes are initialised.
        let bytes = unsafe {
            std::slice::from_raw_parts(rows.as_ptr().cast::<u8>(), std::mem::size_of_val(rows))
        };
        let start = index as usize * size_of::<T>();
        self.memory[start..start + bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn clear(&mut self, index: u32, len: u32) {
        let start = index as usize * size_of::<T>();
        self.memory[start..start + len as usize * size_of::<T>()].fill(0);
    }
}
