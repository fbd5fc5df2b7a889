//! Room for rings in the pool of ring slots.

use std::collections::BTreeMap;

use super::grace::Ticket;

/// A run of ring slots. Both numbers are even, because the pool's elements are
/// pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Extent {
    pub offset: u32,
    pub len: u32,
}

impl Extent {
    /// The extent that a ring of `ring_len` slots at `offset` takes.
    pub(super) fn of_ring(offset: u32, ring_len: u32) -> Self {
        Self { offset, len: ring_len.next_multiple_of(2) }
    }
}

/// First-fit allocation. A retired extent is free only when no packet can
/// read it any more.
#[derive(Debug)]
pub(super) struct Pool {
    /// Length by offset; never empty, never two that touch.
    free: BTreeMap<u32, u32>,
    retired: Vec<(Extent, Ticket)>,
}

impl Pool {
    /// A pool of `capacity` slots of which `taken` are in use; `None` when those
    /// overlap or do not fit.
    pub(super) fn new(capacity: u32, mut taken: Vec<Extent>) -> Option<Self> {
        taken.sort_unstable();
        let mut free = BTreeMap::new();
        let mut end = 0;
        for extent in taken {
            let gap = extent.offset.checked_sub(end).filter(|_| extent.offset % 2 == 0)?;
            if gap > 0 {
                free.insert(end, gap);
            }
            end = extent.offset.checked_add(extent.len)?;
        }
        let gap = (capacity & !1).checked_sub(end)?;
        if gap > 0 {
            free.insert(end, gap);
        }
        Some(Self { free, retired: Vec::new() })
    }

    /// Room for a ring, or `None` while there is none.
    pub(super) fn allocate(&mut self, ring_len: u32) -> Option<Extent> {
        let wanted = Extent::of_ring(0, ring_len).len;
        let (&offset, &len) = self.free.iter().find(|&(_, &len)| len >= wanted)?;
        self.free.remove(&offset);
        if len > wanted {
            self.free.insert(offset + wanted, len - wanted);
        }
        Some(Extent { offset, len: wanted })
    }

    /// Gives back an extent that no packet has ever read.
    pub(super) fn release(&mut self, mut extent: Extent) {
        if let Some((&before, &len)) = self.free.range(..extent.offset).next_back()
            && before + len == extent.offset
        {
            self.free.remove(&before);
            extent = Extent { offset: before, len: len + extent.len };
        }
        if let Some(len) = self.free.remove(&(extent.offset + extent.len)) {
            extent.len += len;
        }
        self.free.insert(extent.offset, extent.len);
    }

    /// Gives back an extent that packets may read until the grace period of
    /// `ticket` is over.
    pub(super) fn retire(&mut self, extent: Extent, ticket: Ticket) {
        self.retired.push((extent, ticket));
    }

    /// Frees the retired extents whose grace period is over.
    pub(super) fn reclaim(&mut self, passed: impl Fn(Ticket) -> bool) {
        let (over, waiting): (Vec<_>, _) =
            std::mem::take(&mut self.retired).into_iter().partition(|&(_, ticket)| passed(ticket));
        self.retired = waiting;
        for (extent, _) in over {
            self.release(extent);
        }
    }

    /// The grace period after which every retired extent is free.
    pub(super) fn last_retired(&self) -> Option<Ticket> {
        self.retired.iter().map(|&(_, ticket)| ticket).max()
    }
}

#[cfg(test)]
mod tests;
