//! Grace periods, flow tables and counters in ordinary memory.

use std::{
    collections::HashMap,
    io,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use lb_common::abi::{FlowEntry, FlowKey};

use crate::edge::{
    counters::CounterStore,
    flows::{Cursor, FlowTable},
    grace::{Grace, Ticket},
};

/// Grace periods that end when somebody waits for them.
#[derive(Debug, Default)]
pub(super) struct TestGrace {
    pub(super) asked: AtomicU64,
    pub(super) over: AtomicU64,
}

impl Grace for TestGrace {
    fn begin(&self) -> Ticket {
        self.asked.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn passed(&self, ticket: Ticket) -> bool {
        self.over.load(Ordering::Relaxed) >= ticket
    }

    fn wait(&self, ticket: Ticket) {
        self.over.fetch_max(ticket, Ordering::Relaxed);
    }
}

#[derive(Default)]
pub(in crate::edge::plane::tests) struct MemoryFlows {
    entries: Mutex<HashMap<FlowKey, FlowEntry>>,
    /// What packets make of an entry just before it is taken.
    pub meanwhile: Mutex<Option<FlowEntry>>,
}

impl MemoryFlows {
    pub(in crate::edge::plane::tests) fn lock(
        &self,
    ) -> MutexGuard<'_, HashMap<FlowKey, FlowEntry>> {
        self.entries.lock().unwrap()
    }
}

impl FlowTable for MemoryFlows {
    fn walk(
        &self,
        _cursor: &mut Cursor,
        _most: usize,
        out: &mut Vec<(FlowKey, FlowEntry)>,
    ) -> io::Result<bool> {
        out.extend(self.lock().iter().map(|(&key, &entry)| (key, entry)));
        Ok(false)
    }

    fn take(&self, key: &FlowKey) -> io::Result<Option<FlowEntry>> {
        let taken = self.lock().remove(key);
        Ok(self.meanwhile.lock().unwrap().take().or(taken))
    }

    fn insert_new(&self, key: &FlowKey, entry: &FlowEntry) -> io::Result<()> {
        self.lock().entry(*key).or_insert(*entry);
        Ok(())
    }
}

/// Counts untracked packets by backend.
#[derive(Default)]
pub(super) struct TestCounters(pub(super) Mutex<HashMap<u16, u64>>);

impl CounterStore for TestCounters {
    fn untracked(&self, backend: u16) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().get(&backend).copied().unwrap_or_default())
    }

    fn zero_backend(&self, backend: u16) -> io::Result<()> {
        self.0.lock().unwrap().remove(&backend);
        Ok(())
    }

    fn zero_service(&self, _service: u16) -> io::Result<()> {
        Ok(())
    }
}
