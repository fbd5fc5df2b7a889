//! Ids of services and bindings.

use std::collections::{BTreeMap, VecDeque};

use crate::edge::grace::Ticket;

/// An id whose holder is gone, but which something may still name.
#[derive(Debug)]
struct Resting<K> {
    /// The holder, where it is known: it gets its id back if it returns.
    key: Option<K>,
    /// Packets may name the id until this grace period is over.
    since: Ticket,
}

/// Gives ids to keys. An id that was given back rests until it is known that
/// nothing names it; then the id that was free the longest is given first.
#[derive(Debug)]
pub(super) struct Ids<K> {
    held: BTreeMap<K, u16>,
    /// By id, whether it is held.
    taken: Vec<bool>,
    free: VecDeque<u16>,
    resting: BTreeMap<u16, Resting<K>>,
    /// Ids of holders that would get them back.
    returning: BTreeMap<K, u16>,
}

impl<K: Ord + Clone> Ids<K> {
    /// Ids from `first` to `last`. Those for which `named` holds and that
    /// nobody holds rest from the beginning.
    pub(super) fn new(
        first: u16,
        last: u16,
        held: BTreeMap<K, u16>,
        named: impl Fn(u16) -> bool,
    ) -> Self {
        let mut taken = vec![false; usize::from(last) + 1];
        for &id in held.values() {
            taken[usize::from(id)] = true;
        }
        let unheld = (first..=last).filter(|&id| !taken[usize::from(id)]);
        let (resting, free): (Vec<_>, _) = unheld.partition(|&id| named(id));
        let resting = resting.into_iter().map(|id| (id, Resting { key: None, since: 0 })).collect();
        Self { held, taken, free: Vec::into(free), resting, returning: BTreeMap::new() }
    }

    pub(super) fn get(&self, key: &K) -> Option<u16> {
        self.held.get(key).copied()
    }

    /// Whether somebody holds `id`.
    pub(super) fn is_held(&self, id: u16) -> bool {
        self.taken.get(usize::from(id)).is_some_and(|&taken| taken)
    }

    pub(super) fn held(&self) -> impl Iterator<Item = (&K, u16)> {
        self.held.iter().map(|(key, &id)| (key, id))
    }

    pub(super) fn free(&self) -> impl Iterator<Item = u16> {
        self.free.iter().copied()
    }

    /// The ids that [`assign`](Self::assign) would give to these keys in this
    /// order; `None` when there are not enough.
    pub(super) fn preview(&self, keys: &[K]) -> Option<Vec<u16>> {
        let mut free = self.free.iter();
        let id = |key| self.returning.get(key).or_else(|| free.next()).copied();
        keys.iter().map(id).collect()
    }

    /// Gives an id to a key that has none.
    ///
    /// # Panics
    /// When there is none left; see [`preview`](Self::preview).
    pub(super) fn assign(&mut self, key: K) -> u16 {
        let id = match self.returning.remove(&key) {
            Some(id) => {
                self.resting.remove(&id);
                id
            }
            None => self.free.pop_front().expect("preview said that there are enough ids"),
        };
        self.taken[usize::from(id)] = true;
        self.held.insert(key, id);
        id
    }

    /// Takes the id from a key; nobody gets it before [`rest`](Self::rest).
    pub(super) fn release(&mut self, key: &K) -> Option<u16> {
        let id = self.held.remove(key)?;
        self.taken[usize::from(id)] = false;
        Some(id)
    }

    /// Lets the id that `key` had rest.
    pub(super) fn rest(&mut self, id: u16, key: K, since: Ticket) {
        self.returning.insert(key.clone(), id);
        self.resting.insert(id, Resting { key: Some(key), since });
    }

    /// Resting ids that no packet under way can name any more, and since when
    /// they rest.
    pub(super) fn rested(&self, passed: impl Fn(Ticket) -> bool) -> Vec<(u16, Ticket)> {
        let over = |(&id, resting): (&u16, &Resting<K>)| (id, resting.since);
        self.resting.iter().map(over).filter(|&(_, since)| passed(since)).collect()
    }

    pub(super) fn any_resting(&self) -> bool {
        !self.resting.is_empty()
    }

    /// Frees an id that rests since then, unless its holder came back meanwhile.
    pub(super) fn set_free(&mut self, id: u16, since: Ticket) {
        if self.resting.get(&id).is_none_or(|resting| resting.since != since) {
            return;
        }
        if let Some(Resting { key: Some(key), .. }) = self.resting.remove(&id) {
            self.returning.remove(&key);
        }
        self.free.push_back(id);
    }
}

#[cfg(test)]
mod tests;
