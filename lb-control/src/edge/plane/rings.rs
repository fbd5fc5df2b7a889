//! Ring slots: who takes new connections, and who owns those that nobody
//! remembers.

/// A slot as packets read it: `settled << 16 | current`.
pub(in crate::edge) fn slot(settled: u16, current: u16) -> u32 {
    u32::from(settled) << 16 | u32::from(current)
}

/// Owner of the connections on this slot that nobody remembers; 0: nobody.
pub(in crate::edge) fn settled(slot: u32) -> u16 {
    (slot >> 16) as u16
}

/// Taker of new connections; 0: nobody.
pub(in crate::edge) fn current(slot: u32) -> u16 {
    slot as u16
}

/// A ring after a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub slots: Vec<u32>,
    /// Some slot's new connections go elsewhere than its old ones.
    pub differing: bool,
    /// Backends that lost slots which were theirs alone until now.
    pub moved_away: Vec<u16>,
}

/// The ring in which new connections go to `current`, after `previous` (empty
/// when the service never had a backend).
///
/// A slot's old connections stay with the backend that had them, for as long
/// as `owns` says that it can have any. Where it cannot, nobody's connections
/// are at risk, and the slot settles at once.
pub(super) fn turn(previous: &[u32], current: &[u16], owns: impl Fn(u16) -> bool) -> Turn {
    if previous.is_empty() {
        let slots = current.iter().map(|&id| slot(id, id)).collect();
        return Turn { slots, differing: false, moved_away: Vec::new() };
    }
    let mut differing = false;
    let mut moved = vec![false; usize::from(u16::MAX) + 1];
    let mut moved_away = Vec::new();
    let next = |(&before, &now): (&u32, &u16)| {
        let owner = settled(before);
        if owner == now || owner == 0 || !owns(owner) {
            return slot(now, now);
        }
        differing = true;
        if self::current(before) == owner && !moved[usize::from(owner)] {
            moved[usize::from(owner)] = true;
            moved_away.push(owner);
        }
        slot(owner, now)
    };
    let slots = previous.iter().zip(current).map(next).collect();
    Turn { slots, differing, moved_away }
}

#[cfg(test)]
mod tests;
