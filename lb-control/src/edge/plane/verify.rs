//! Whether packets find what the edge has put there.
//!
//! Only this process writes what packets read, so that its own copy of a table
//! is the truth, and both copies in shared memory are compared with it: the idle
//! one would be live with the next commit. A ring never changes where it lies
//! (a change takes another place in the pool), so that what it held when it was
//! first looked at is what it must hold. That first look compares it with the
//! ring that its backends make.
//!
//! What remembers flows is the program's, and is not looked at.

use std::{collections::BTreeMap, sync::Arc};

use lb_common::{
    abi::{RingSlot, maps},
    ring::{self, Seat},
};

use super::{Plane, build::seats, live::Place};
use crate::model::Name;

/// So many rows of a table are named.
const NAMED: usize = 2;

/// Something that was not as this edge had put it, and is again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::edge) struct Finding {
    /// Words, rows or ring slots.
    pub changes: usize,
    /// For people, such as `2 rows of BACKENDS`.
    pub what: String,
}

/// A ring as it is, with what tells how it should be.
#[derive(Debug)]
pub(in crate::edge) struct RingLook {
    name: Name,
    /// Generation of its last change.
    changed: u64,
    first: usize,
    slots: Vec<RingSlot>,
    /// What it held at an earlier look.
    known: Option<Arc<[RingSlot]>>,
    seats: Vec<Seat>,
    differing: bool,
    tracking: bool,
}

/// A ring as it should be.
#[derive(Debug)]
pub(in crate::edge) struct RingTruth {
    name: Name,
    changed: u64,
    first: usize,
    slots: Arc<[RingSlot]>,
    /// Places, within the ring, of slots that are otherwise.
    wrong: Vec<usize>,
}

impl RingLook {
    /// Compares. Takes as long as filling a ring when it is a first look.
    pub(in crate::edge) fn judge(self, is_held: impl Fn(u16) -> bool) -> RingTruth {
        let slots = match &self.known {
            Some(known) => Arc::clone(known),
            None => self.expected(is_held),
        };
        let pairs = self.slots.iter().zip(slots.iter()).enumerate();
        let wrong = pairs.filter(|(_, (is, should))| is != should).map(|(place, _)| place);
        let wrong = wrong.collect();
        RingTruth { name: self.name, changed: self.changed, first: self.first, slots, wrong }
    }

    /// What the service's backends make of it. The settled owners of a moving
    /// service are taken as they are, where somebody can be one.
    fn expected(&self, is_held: impl Fn(u16) -> bool) -> Arc<[RingSlot]> {
        let mut current = vec![0; self.slots.len()];
        ring::fill(&self.seats, &mut current);
        let slot = |(&is, &current): (&RingSlot, &u16)| {
            let plausible = self.differing && is_held(is.settled());
            let settled = if plausible { is.settled() } else { current };
            let should = RingSlot::new(settled, current);
            // Touched more often than need be costs a look at the tables; less
            // often, connections. At rest the bit means nothing.
            let same = (is.settled(), is.current()) == (settled, current);
            let touched = if same { is.is_touched() } else { self.tracking };
            should.touched_if(touched || (self.tracking && should.differs()))
        };
        self.slots.iter().zip(&current).map(slot).collect()
    }
}

impl Plane {
    /// Compares the words that packets read, and puts them right.
    pub(in crate::edge) fn verify_words(&mut self) -> Option<Finding> {
        let changes = self.live.verify_words();
        (changes > 0).then(|| Finding { changes, what: format!("{changes} of {}", maps::WORDS) })
    }

    /// Compares some rows, from `place` on, which goes on; `None` when all were
    /// seen. Once anything is wrong the rest is compared at once, and one commit
    /// puts right all of it.
    pub(in crate::edge) fn verify_rows(&mut self, place: &mut Place) -> Option<Vec<Finding>> {
        let mut wrong: BTreeMap<&'static str, Vec<u32>> = BTreeMap::new();
        loop {
            let seen = self.live.verify(place);
            match seen {
                Some((table, rows)) if !rows.is_empty() => {
                    wrong.entry(table).or_default().extend(rows);
                }
                Some(_) if wrong.is_empty() => return Some(Vec::new()),
                Some(_) => {}
                None if wrong.is_empty() => return None,
                None => break,
            }
        }
        self.live.commit();
        Some(wrong.into_iter().map(|(table, rows)| self.describe(table, rows)).collect())
    }

    fn describe(&self, table: &'static str, mut rows: Vec<u32>) -> Finding {
        rows.sort_unstable();
        rows.dedup();
        let changes = rows.len();
        let named: Vec<_> = rows.iter().filter_map(|&row| self.row_name(table, row)).collect();
        let some = if named.is_empty() {
            String::new()
        } else {
            let more = if named.len() > NAMED { ", ..." } else { "" };
            format!(" ({}{more})", named[..named.len().min(NAMED)].join(", "))
        };
        let unit = if changes == 1 { "row" } else { "rows" };
        Finding { changes, what: format!("{changes} {unit} of {table}{some}") }
    }

    /// Who has a row.
    fn row_name(&self, table: &str, row: u32) -> Option<String> {
        let is = |id: u16| u32::from(id) == row;
        match table {
            maps::BACKENDS => {
                self.bindings.held().find(|(_, id)| is(*id)).map(|(key, _)| key.to_string())
            }
            maps::SERVICES | maps::SERVICE_NAMES => {
                self.services.held().find(|(_, id)| is(*id)).map(|(name, _)| name.to_string())
            }
            _ => None,
        }
    }

    /// Services that have a ring.
    pub(in crate::edge) fn ring_names(&self) -> Vec<Name> {
        let has_ring = self.tracks.iter().filter(|(_, track)| track.ring.is_some());
        has_ring.map(|(name, _)| name.clone()).collect()
    }

    /// Looks at a service's ring; `None` when it has none any more.
    pub(in crate::edge) fn look_at_ring(&self, name: &Name) -> Option<RingLook> {
        let track = self.tracks.get(name)?;
        let slots = track.ring?.slots();
        let known = track.known.clone();
        let seats = match known {
            Some(_) => Vec::new(),
            None => seats(&self.state, &self.bindings, name),
        };
        Some(RingLook {
            name: name.clone(),
            changed: track.changed,
            first: slots.start,
            slots: self.live.rings.read(slots.start, slots.len()),
            known,
            seats,
            differing: track.differing,
            tracking: track.tracking,
        })
    }

    /// Whether somebody holds a binding id.
    pub(in crate::edge) fn is_held(&self, id: u16) -> bool {
        self.bindings.is_held(id)
    }

    /// Puts right what is wrong in a ring, unless it has changed since.
    pub(in crate::edge) fn settle_ring(&mut self, truth: RingTruth) -> Option<Finding> {
        let RingTruth { name, changed, first, slots, wrong } = truth;
        let track = self.tracks.get_mut(&name).filter(|track| track.changed == changed)?;
        for &place in &wrong {
            // A slot is one word, which packets read whole.
            self.live.rings.set(first + place, slots[place]);
        }
        track.known = Some(slots);
        let changes = wrong.len();
        let of = format!("{changes} of {} of service `{name}`", maps::RINGS);
        (changes > 0).then_some(Finding { changes, what: of })
    }
}
