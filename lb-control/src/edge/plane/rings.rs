//! Ring slots after a change: who takes new connections, and who owns those
//! that nobody remembers.

use lb_common::abi::RingSlot;

/// A ring after a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub slots: Vec<RingSlot>,
    /// Some slot's new connections go elsewhere than its old ones.
    pub differing: bool,
    /// Backends that lost slots which were theirs alone until now.
    pub moved_away: Vec<u16>,
}

/// The ring in which new connections go to `current`, after `previous` (empty
/// when the service has none).
///
/// A slot's old connections stay with the backend that had them, for as long
/// as `owns` says that it can have any. Where it cannot, nobody's connections
/// are at risk, and the slot settles at once.
///
/// While the service is `tracking`, its flows may be remembered: touched slots
/// stay touched, and of a ring that is new all are.
pub(super) fn turn(
    previous: &[RingSlot],
    current: &[u16],
    tracking: bool,
    owns: impl Fn(u16) -> bool,
) -> Turn {
    if previous.is_empty() {
        let slots = current.iter().map(|&id| RingSlot::new(id, id).touched_if(tracking)).collect();
        return Turn { slots, differing: false, moved_away: Vec::new() };
    }
    let mut differing = false;
    let mut moved = vec![false; usize::from(u16::MAX) + 1];
    let mut moved_away = Vec::new();
    let next = |(&before, &now): (&RingSlot, &u16)| {
        let owner = before.settled();
        let touched = tracking && before.is_touched();
        if owner == now || owner == 0 || !owns(owner) {
            return RingSlot::new(now, now).touched_if(touched);
        }
        differing = true;
        if before.current() == owner && !moved[usize::from(owner)] {
            moved[usize::from(owner)] = true;
            moved_away.push(owner);
        }
        RingSlot::new(owner, now).touched_if(touched)
    };
    let slots = previous.iter().zip(current).map(next).collect();
    Turn { slots, differing, moved_away }
}

#[cfg(test)]
mod tests;
