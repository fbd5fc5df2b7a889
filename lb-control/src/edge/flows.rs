//! The tables of remembered flows, as the sweeper sees them.

use std::{io, os::fd::AsFd as _};

use aya::maps::MapData;
use lb_common::abi::{FlowEntry, FlowKey};

use super::sys;
pub(super) use super::sys::Cursor;

/// A table of flows that packets read and write at the same time.
pub(super) trait FlowTable: Send + Sync {
    /// Reads about `most` of the next entries into `out`; see [`sys::walk`].
    fn walk(
        &self,
        cursor: &mut Cursor,
        most: usize,
        out: &mut Vec<(FlowKey, FlowEntry)>,
    ) -> io::Result<bool>;

    /// Removes an entry and returns what it held at that moment.
    fn take(&self, key: &FlowKey) -> io::Result<Option<FlowEntry>>;

    /// Inserts an entry unless there is one.
    fn insert_new(&self, key: &FlowKey, entry: &FlowEntry) -> io::Result<()>;
}

impl FlowTable for MapData {
    fn walk(
        &self,
        cursor: &mut Cursor,
        most: usize,
        out: &mut Vec<(FlowKey, FlowEntry)>,
    ) -> io::Result<bool> {
        sys::walk(self.fd().as_fd(), cursor, most, out)
    }

    fn take(&self, key: &FlowKey) -> io::Result<Option<FlowEntry>> {
        sys::take(self.fd().as_fd(), key)
    }

    fn insert_new(&self, key: &FlowKey, entry: &FlowEntry) -> io::Result<()> {
        sys::insert_new(self.fd().as_fd(), key, entry)
    }
}

/// All tables.
#[derive(Clone, Copy)]
pub(super) struct Flows<'a> {
    /// Flows that carry data.
    pub open: &'a dyn FlowTable,
    /// Flows seen only by their SYN.
    pub syns: &'a dyn FlowTable,
    /// UDP flows of services that track them.
    pub udp: &'a dyn FlowTable,
}

impl Flows<'_> {
    /// Every binding id that a remembered flow names, by id.
    ///
    /// # Errors
    /// Of bpf(2).
    pub(super) fn named(&self) -> io::Result<Vec<bool>> {
        let mut named = vec![false; usize::from(u16::MAX) + 1];
        for table in [self.syns, self.open, self.udp] {
            let mut cursor = None;
            let mut batch = Vec::new();
            let mut more = true;
            while more {
                more = table.walk(&mut cursor, 4096, &mut batch)?;
                for (_, entry) in batch.drain(..) {
                    named[usize::from(entry.backend)] = true;
                }
            }
        }
        Ok(named)
    }
}
