//! The tables that packets read, and the commit that makes a change of them
//! visible.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};

use lb_common::{
    abi::{
        Backend, ClassRange, Config, LookupKey, LookupSlot, Name, NextHop, Policy, RingSlot, Route,
        Service, copy_base, maps, words,
    },
    lookup,
};

use crate::{
    edge::{
        grace::{Grace, Ticket},
        mapping::Region,
        memory::Memory,
        tables::{Dirty, DoubleTable},
    },
    model::Stamp,
};

/// Where a look at all tables goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::edge) struct Place {
    table: usize,
    row: usize,
}

/// Every table as it should be; [`commit`](Self::commit) makes it so.
#[derive(Debug)]
pub(super) struct Live {
    words: Region<u64>,
    /// What this process has put into them.
    set_words: [u64; words::COUNT as usize],
    pub rings: Region<RingSlot>,
    pub config: DoubleTable<Config>,
    pub services: DoubleTable<Service>,
    pub backends: DoubleTable<Backend>,
    pub policies: DoubleTable<Policy>,
    pub class_ranges: DoubleTable<ClassRange>,
    pub routes: DoubleTable<Route>,
    pub next_hops: DoubleTable<NextHop>,
    pub service_names: DoubleTable<Name>,
    pub class_names: DoubleTable<Name>,
    lookup: lookup::Table,
    lookup_dirty: Dirty,
    lookup_region: Region<LookupSlot>,
    generation: u64,
    grace: Arc<dyn Grace>,
    /// Over when no packet reads the idle copy any more.
    idle_since: Ticket,
}

impl Live {
    /// Takes over what is live in `memory`.
    ///
    /// # Errors
    /// [`lookup::Full`] when the lookup table cannot be what we wrote.
    pub(super) fn adopt(memory: Memory, grace: Arc<dyn Grace>) -> Result<Self, lookup::Full> {
        let generation = memory.words.word(words::GENERATION).load(Ordering::Acquire);
        // A commit of the process before us may have been a moment ago.
        let idle_since = grace.begin();
        let capacity = memory.lookup.len() / 2;
        let base = copy_base(generation, capacity as u32) as usize;
        let mut lookup = lookup::Table::new();
        for slot in memory.lookup.read(base, capacity) {
            if slot.service_plus_one != 0 {
                lookup.insert(slot, &mut Vec::new())?;
            }
        }
        // The same keys may have found other places than they have now.
        let lookup_dirty = Dirty::compare(lookup.slots(), &memory.lookup);
        let set_words = std::array::from_fn(|index| memory.words.get(index));
        Ok(Self {
            words: memory.words,
            set_words,
            rings: memory.rings,
            config: DoubleTable::adopt(memory.config, generation),
            services: DoubleTable::adopt(memory.services, generation),
            backends: DoubleTable::adopt(memory.backends, generation),
            policies: DoubleTable::adopt(memory.policies, generation),
            class_ranges: DoubleTable::adopt(memory.class_ranges, generation),
            routes: DoubleTable::adopt(memory.routes, generation),
            next_hops: DoubleTable::adopt(memory.next_hops, generation),
            service_names: DoubleTable::adopt(memory.service_names, generation),
            class_names: DoubleTable::adopt(memory.class_names, generation),
            lookup,
            lookup_dirty,
            lookup_region: memory.lookup,
            generation,
            grace,
            idle_since,
        })
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Makes everything that was set visible to packets, all at once. Returns
    /// the grace period after which no packet reads what it replaced.
    pub(super) fn commit(&mut self) -> Ticket {
        if !self.is_behind() {
            return self.idle_since;
        }
        self.grace.wait(self.idle_since);
        let next = self.generation + 1;
        self.config.flush(next);
        self.services.flush(next);
        self.backends.flush(next);
        self.policies.flush(next);
        self.class_ranges.flush(next);
        self.routes.flush(next);
        self.next_hops.flush(next);
        self.service_names.flush(next);
        self.class_names.flush(next);
        self.lookup_dirty.flush(next, self.lookup.slots(), &mut self.lookup_region);
        // Release: whoever reads this number sees all that was written before it.
        self.words.word(words::GENERATION).store(next, Ordering::Release);
        self.generation = next;
        self.idle_since = self.grace.begin();
        self.idle_since
    }

    fn is_behind(&self) -> bool {
        let live = self.generation;
        self.config.behind(live)
            || self.services.behind(live)
            || self.backends.behind(live)
            || self.policies.behind(live)
            || self.class_ranges.behind(live)
            || self.routes.behind(live)
            || self.next_hops.behind(live)
            || self.service_names.behind(live)
            || self.class_names.behind(live)
            || self.lookup_dirty.behind(live)
    }

    /// The slot that a packet finds for `key` after the next commit.
    pub(super) fn lookup(&self, key: &LookupKey) -> Option<&LookupSlot> {
        self.lookup.get(key)
    }

    /// Whether no packet reads what the last commit replaced.
    pub(super) fn idle_is_free(&self) -> bool {
        self.passed(self.idle_since)
    }

    /// Whether the grace period is over.
    pub(super) fn passed(&self, ticket: Ticket) -> bool {
        self.grace.passed(ticket)
    }

    /// Waits for the end of the grace period.
    pub(super) fn wait(&self, ticket: Ticket) {
        self.grace.wait(ticket);
    }

    /// Puts `inserts` into the lookup table and takes `removes` out of it,
    /// except for keys that are in both.
    ///
    /// # Errors
    /// When there is no room; the table then holds what it did.
    pub(super) fn point(
        &mut self,
        inserts: &[LookupSlot],
        removes: &[LookupKey],
    ) -> Result<(), lookup::Full> {
        let mut dirty = Vec::new();
        let mut replaced = Vec::new();
        let mut result = Ok(());
        for slot in inserts {
            let before = self.lookup.get(&slot.key).copied();
            if before == Some(*slot) {
                continue;
            }
            result = self.lookup.insert(*slot, &mut dirty);
            if result.is_err() {
                break;
            }
            replaced.push((slot.key, before));
        }
        if result.is_ok() {
            let inserted: HashSet<_> = inserts.iter().map(|slot| slot.key).collect();
            for key in removes.iter().filter(|key| !inserted.contains(key)) {
                self.lookup.remove(key, &mut dirty);
            }
        } else {
            // Nothing was removed yet, so every old slot finds its key's place.
            for (key, before) in replaced {
                match before {
                    Some(slot) => self.lookup.insert(slot, &mut dirty)?,
                    None => drop(self.lookup.remove(&key, &mut dirty)),
                }
            }
        }
        // Also after a failure: keys may have moved between their places.
        for index in dirty {
            self.lookup_dirty.mark(index);
        }
        result
    }

    /// The stamp of the last delta.
    pub(super) fn stamp(&self) -> Stamp {
        let word = |index: u32| self.set_words[index as usize];
        Stamp { term: word(words::TERM), sequence: word(words::SEQUENCE) }
    }

    pub(super) fn set_stamp(&mut self, stamp: Stamp) {
        self.set_word(words::TERM, stamp.term);
        self.set_word(words::SEQUENCE, stamp.sequence);
    }

    /// Sets a run-time word, at once and for every generation.
    pub(super) fn set_word(&mut self, index: u32, value: u64) {
        self.set_words[index as usize] = value;
        self.words.word(index).store(value, Ordering::Relaxed);
    }

    /// Puts right every word that is not as this process has set it. Returns how
    /// many were.
    pub(super) fn verify_words(&mut self) -> usize {
        let wrong = |index: &u32| {
            let set = if *index == words::GENERATION {
                self.generation
            } else {
                self.set_words[*index as usize]
            };
            // Those who watch packets set these.
            let ours = !matches!(*index, words::WATCH | words::WATCH_SERVICE);
            ours && self.words.word(*index).load(Ordering::Relaxed) != set
        };
        let wrong: Vec<u32> = (0..words::COUNT).filter(wrong).collect();
        for &index in &wrong {
            if index == words::GENERATION {
                self.words.word(index).store(self.generation, Ordering::Release);
                // Packets may have been reading the copy that was idle.
                self.idle_since = self.grace.begin();
            } else {
                self.words.word(index).store(self.set_words[index as usize], Ordering::Relaxed);
            }
        }
        wrong.len()
    }

    /// Compares some rows of both copies of a table, from `place` on, which goes
    /// on. What is wrong is written again by the next commits. Returns the table
    /// and the rows that are; `None` after the last table.
    pub(super) fn verify(&mut self, place: &mut Place) -> Option<(&'static str, Vec<u32>)> {
        let from = place.row;
        let (table, looked) = match place.table {
            0 => (maps::CONFIG, self.config.verify(from)),
            1 => (maps::SERVICES, self.services.verify(from)),
            2 => (maps::BACKENDS, self.backends.verify(from)),
            3 => {
                let (dirty, region) = (&mut self.lookup_dirty, &self.lookup_region);
                (maps::LOOKUP, dirty.verify(self.lookup.slots(), region, from))
            }
            4 => (maps::POLICIES, self.policies.verify(from)),
            5 => (maps::CLASS_RANGES, self.class_ranges.verify(from)),
            6 => (maps::ROUTES, self.routes.verify(from)),
            7 => (maps::NEXT_HOPS, self.next_hops.verify(from)),
            8 => (maps::SERVICE_NAMES, self.service_names.verify(from)),
            9 => (maps::CLASS_NAMES, self.class_names.verify(from)),
            _ => return None,
        };
        *place = match looked.next {
            Some(row) => Place { row, ..*place },
            None => Place { table: place.table + 1, row: 0 },
        };
        Some((table, looked.wrong))
    }
}
