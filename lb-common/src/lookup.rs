//! Placement in the table that a packet looks services up in.
//!
//! Every key has two buckets of [`LOOKUP_BUCKET`] slots
//! ([`hash::lookup_buckets`]), so a packet reads eight slots at most and never
//! follows a chain. Insertion makes room by moving other keys to their second
//! bucket (Pagh and Rodler, "Cuckoo Hashing", 2001; buckets as in Dietzfelbinger
//! and Weidling, "Balanced Allocation and Cuckoo Hashing Using Constant Size
//! Buckets", 2007, which with four slots fills beyond 97 %).

use std::{collections::HashSet, error::Error, fmt};

use crate::{
    abi::{LOOKUP_BUCKET, LOOKUP_SLOTS, LookupKey, LookupSlot},
    hash,
};

/// Slots that one insertion looks at before it gives up. At the fill that an
/// edge can reach (every service and binding, with all the keys they can have:
/// 47 %) a few dozen are enough.
const SEARCH_LIMIT: usize = 2048;

/// One copy of the lookup table, as the control side keeps it.
#[derive(Clone, Debug)]
pub struct Table {
    slots: Box<[LookupSlot]>,
}

/// No place could be made for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lookup table has no room for another address: remove services or backends")
    }
}

impl Error for Full {}

/// A slot that may be vacated, and the step that led to it.
#[derive(Clone, Copy)]
struct Step {
    slot: u32,
    /// Index of the step whose key would move here; `None` for a slot of the
    /// new key's own buckets.
    from: Option<u32>,
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// An empty table.
    pub fn new() -> Self {
        Self { slots: vec![LookupSlot::default(); LOOKUP_SLOTS as usize].into() }
    }

    /// All slots, in the order of the map; [`LOOKUP_SLOTS`] of them.
    pub fn slots(&self) -> &[LookupSlot] {
        &self.slots
    }

    /// The slot that holds `key`.
    pub fn get(&self, key: &LookupKey) -> Option<&LookupSlot> {
        self.find(key).map(|index| &self.slots[index as usize])
    }

    /// Puts `slot` into the table, in place of the one with an equal key if
    /// there is one. Appends the index of every slot that changed to `dirty`.
    ///
    /// `slot.service_plus_one` must not be 0, which marks an empty slot.
    ///
    /// # Errors
    /// [`Full`]; the table and `dirty` are then as they were.
    pub fn insert(&mut self, slot: LookupSlot, dirty: &mut Vec<u32>) -> Result<(), Full> {
        debug_assert_ne!(slot.service_plus_one, 0, "an empty slot cannot be inserted");
        let place = match self.find(&slot.key) {
            Some(index) => index,
            None => self.make_room(&slot.key, dirty)?,
        };
        self.slots[place as usize] = slot;
        dirty.push(place);
        Ok(())
    }

    /// Takes `key` out of the table and returns its slot. Appends the index of
    /// the slot that changed to `dirty`.
    pub fn remove(&mut self, key: &LookupKey, dirty: &mut Vec<u32>) -> Option<LookupSlot> {
        let index = self.find(key)?;
        dirty.push(index);
        Some(std::mem::take(&mut self.slots[index as usize]))
    }

    fn find(&self, key: &LookupKey) -> Option<u32> {
        hash::lookup_buckets(key).into_iter().flat_map(bucket).find(|&index| {
            let slot = &self.slots[index as usize];
            slot.service_plus_one != 0 && slot.key == *key
        })
    }

    /// Frees a slot in one of the buckets of `key` and returns its index.
    ///
    /// Searches breadth first, so that as few keys move as can be. Nothing
    /// moves before the whole way to a free slot is known.
    fn make_room(&mut self, key: &LookupKey, dirty: &mut Vec<u32>) -> Result<u32, Full> {
        let choices = hash::lookup_buckets(key);
        let mut seen = HashSet::from(choices);
        let mut steps: Vec<Step> =
            choices.into_iter().flat_map(bucket).map(|slot| Step { slot, from: None }).collect();
        let mut next = 0;
        while next < steps.len() && next < SEARCH_LIMIT {
            let held = self.slots[steps[next].slot as usize];
            if held.service_plus_one == 0 {
                return Ok(self.shift(&steps, next, dirty));
            }
            let [first, second] = hash::lookup_buckets(&held.key);
            let here = steps[next].slot - steps[next].slot % LOOKUP_BUCKET;
            let other = if here == first { second } else { first };
            // A bucket that was seen before would close a circle.
            if seen.insert(other) {
                let from = Some(next as u32);
                steps.extend(bucket(other).map(|slot| Step { slot, from }));
            }
            next += 1;
        }
        Err(Full)
    }

    /// Moves keys along the way that ends at the free slot `steps[end]`;
    /// returns the slot at its beginning, which is then free to be overwritten.
    fn shift(&mut self, steps: &[Step], end: usize, dirty: &mut Vec<u32>) -> u32 {
        let mut step = steps[end];
        while let Some(from) = step.from {
            let previous = steps[from as usize];
            self.slots[step.slot as usize] = self.slots[previous.slot as usize];
            dirty.push(step.slot);
            step = previous;
        }
        step.slot
    }
}

/// The slots of the bucket that starts at `first`.
fn bucket(first: u32) -> std::ops::Range<u32> {
    first..first + LOOKUP_BUCKET
}

#[cfg(test)]
mod tests;
