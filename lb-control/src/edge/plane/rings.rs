//! Ring slots after a change: who takes new connections, and who owns those
//! that nobody remembers.

use lb_common::{
    abi::{MAX_BACKENDS, RingSlot},
    ring::TILE,
};

use crate::edge::mapping::Part;

/// What a change does to a service beyond its slots.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// Some slot's new connections go elsewhere than its old ones.
    pub differing: bool,
    /// Backends that lost slots which were theirs alone until now.
    pub moved_away: Vec<u16>,
}

/// Fills `next` with the ring in which new connections go to `current`, after
/// `previous` (`None` when the service has none of that length).
///
/// A slot's old connections stay with the backend that had them, for as long
/// as `owns` says that it can have any. Where it cannot, nobody's connections
/// are at risk, and the slot settles at once.
///
/// While the service is `tracking`, its flows may be remembered: touched slots
/// stay touched, and of a ring that is new all are.
pub(super) fn turn(
    previous: Option<&Part<'_, RingSlot>>,
    current: &[u16],
    next: &mut Part<'_, RingSlot>,
    tracking: bool,
    owns: impl Fn(u16) -> bool,
) -> Turn {
    let mut differing = false;
    let mut moved = vec![0u64; MAX_BACKENDS as usize / 64];
    let mut slot = |before: RingSlot, now: u16| {
        let owner = before.settled();
        let touched = tracking && before.is_touched();
        if owner == now || owner == 0 || !owns(owner) {
            return RingSlot::new(now, now).touched_if(touched);
        }
        differing = true;
        if before.current() == owner {
            moved[usize::from(owner) / 64] |= 1 << (owner % 64);
        }
        RingSlot::new(owner, now).touched_if(touched)
    };
    let (mut before, mut after) = ([RingSlot::default(); TILE], [RingSlot::default(); TILE]);
    for (start, now) in (0..).step_by(TILE).zip(current.chunks(TILE)) {
        let (before, after) = (&mut before[..now.len()], &mut after[..now.len()]);
        if let Some(previous) = previous {
            previous.read(start, before);
            if all_same(before) && all_same(now) {
                after.fill(slot(before[0], now[0]));
            } else {
                let slots = before.iter().zip(now).map(|(&before, &now)| slot(before, now));
                after.iter_mut().zip(slots).for_each(|(after, slot)| *after = slot);
            }
        } else {
            let slots = now.iter().map(|&id| RingSlot::new(id, id).touched_if(tracking));
            after.iter_mut().zip(slots).for_each(|(after, slot)| *after = slot);
        }
        next.write(start, after);
    }
    Turn { differing, moved_away: members(&moved) }
}

/// The ids whose bits are set. Few are, so that words are looked at first.
fn members(bits: &[u64]) -> Vec<u16> {
    let mut ids = Vec::new();
    for (word, &set) in (0..).step_by(64).zip(bits) {
        if set != 0 {
            ids.extend((word..word + 64).filter(|id| set >> (id % 64) & 1 != 0));
        }
    }
    ids
}

/// Whether a tile is of one kind of slot, as nearly all are. Without an early
/// end, so that it takes several slots at a time.
fn all_same<T: Copy + PartialEq>(tile: &[T]) -> bool {
    tile.iter().fold(true, |same, slot| same & (*slot == tile[0]))
}

#[cfg(test)]
mod tests;
