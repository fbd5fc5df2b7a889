//! The rings that a commit changes, built side by side.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{Mutex, OnceLock, PoisonError},
    thread,
};

use lb_common::{
    abi::RingSlot,
    ring::{self, Seat},
};

use super::{
    Plane, Ring, bindings_of,
    ids::Ids,
    mapped,
    plan::share,
    rings::{self, Turn},
};
use crate::{
    edge::{mapping::Part, pool::Extent},
    model::{Binding, BindingKey, Name, SwitchState},
};

/// Slots that take longer to fill than another thread takes to begin.
const PAYS: usize = 100_000;

/// A ring to be built.
struct Job<'n, 'a> {
    name: &'n Name,
    previous: Option<Part<'a, RingSlot>>,
    next: Part<'a, RingSlot>,
    tracking: bool,
    /// Whether its backends' old connections are at risk.
    settles: bool,
    turn: Turn,
}

impl Plane {
    /// Builds the rings of services anew, each in its extent; without one it
    /// has none any more. Returns the extents of the rings before.
    pub(super) fn set_rings(&mut self, rings: &BTreeMap<Name, Option<Extent>>) -> Vec<Extent> {
        let wanted: Vec<_> = rings
            .iter()
            .filter_map(|(name, extent)| Some((name, (*extent)?, self.state.services.get(name)?)))
            .collect();
        let mut runs = Vec::new();
        for (name, extent, spec) in &wanted {
            runs.push(self.ring_of(name, spec.ring_size).map_or(0..0, Ring::slots));
            runs.push(Ring { extent: *extent, len: spec.ring_size }.slots());
        }
        let mut parts = self.live.rings.parts(&runs).into_iter();
        let mut jobs: Vec<_> = wanted
            .iter()
            .filter_map(|(name, _, spec)| {
                let previous = parts.next().filter(|part| part.len() > 0);
                let tracking = self.tracks.get(*name)?.tracking;
                let settles = self.tracking && spec.settles();
                let next = parts.next()?;
                Some(Job { name, previous, next, tracking, settles, turn: Turn::default() })
            })
            .collect();
        let (state, bindings) = (&self.state, &self.bindings);
        side_by_side(&mut jobs, |job, current| {
            current.resize(job.next.len(), 0);
            ring::fill(&seats(state, bindings, job.name), current);
            let owns = |id| job.settles && bindings.is_held(id);
            let previous = job.previous.as_ref();
            job.turn = rings::turn(previous, current, &mut job.next, job.tracking, owns);
        });
        let mut turns: BTreeMap<_, _> =
            jobs.into_iter().map(|job| (job.name, (job.next.len(), job.turn))).collect();
        let retired = rings.iter().filter_map(|(name, extent)| {
            let (len, turn) = turns.remove(name).unwrap_or_default();
            self.put_ring(name, extent.map(|extent| Ring { extent, len: len as u32 }), turn)
        });
        retired.collect()
    }
}

/// Does `work` for every ring, on as many threads as pay. Each has room of its
/// own for a ring's ids.
fn side_by_side(jobs: &mut [Job<'_, '_>], work: impl Fn(&mut Job<'_, '_>, &mut Vec<u16>) + Sync) {
    let slots: usize = jobs.iter().map(|job| job.next.len()).sum();
    let threads = cores().min(jobs.len()).min(slots / PAYS);
    let queue = Mutex::new(jobs.iter_mut());
    let take_turns = || {
        let mut room = Vec::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(job) = next else { return };
            work(job, &mut room);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where there can be no more threads, this one does it all.
            let _ = thread::Builder::new().name("rings".into()).spawn_scoped(scope, take_turns);
        }
        take_turns();
    });
}

/// CPUs that this process may use; asking the kernel takes a while.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}

/// Who has a share of a service's ring.
pub(super) fn seats(state: &SwitchState, ids: &Ids<BindingKey>, name: &Name) -> Vec<Seat> {
    let seat = |(key, binding): (&BindingKey, &Binding)| {
        let weight = share(Some(binding));
        let id = ids.get(key).filter(|_| weight > 0)?;
        let port = key.backend.port().to_be_bytes();
        Some(Seat { id, identity: ring::identity(mapped(key.backend.ip()), port), weight })
    };
    bindings_of(state, name).filter_map(seat).collect()
}
