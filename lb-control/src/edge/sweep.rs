//! Looks after remembered flows: forgets those that are over or need no
//! memory, and with them brings services back to rest.
//!
//! The program looks at remembered flows only while their service is `MOVING`.
//! So the flag may be cleared only when no entry of the service is left in
//! either table: not because an entry would be missed at rest, but because the
//! next change would find it again, and with it a flow of long ago. The delicate
//! one is a flow whose SYN was remembered and whose first ACK is still to come.
//! A pass is exact about it in this order:
//!
//! 1. Note which services could rest: those whose current and settled backends
//!    are the same on every slot, and where every packet that began before that
//!    became so has left (grace period). From here on no SYN of such a service
//!    is remembered any more; entries can only move from the table of SYNs to
//!    the table of open flows, or end.
//! 2. Walk the table of SYNs.
//! 3. Wait for a grace period. A packet that found its entry among the SYNs
//!    before step 2 came by has by now put it among the open flows.
//! 4. Walk the table of open flows.
//!
//! An entry that step 2 missed because it had moved is seen in step 4. If neither
//! walk saw an entry of a service, and its ring has not changed since step 1, it
//! rests. The same order shows that no flow names a binding id any more.
//!
//! Packets change entries while we look. An entry is removed by taking it, and
//! what was taken is compared with what was judged: a flow that began anew, or
//! spoke again, in between is put back.
//!
//! UDP flows of services that track them are remembered at rest too: they keep
//! no service from rest, but are forgotten when they fall silent.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use lb_common::abi::{FlowEntry, FlowKey, flow_state, words};
use tracing::{info, warn};

use super::{
    counters::CounterStore,
    flows::{FlowTable, Flows},
    grace::Grace,
    plane::{Needless, Plane, Upkeep},
};
use crate::model::nearly_full;

/// Entries looked at in one step, and the pause between two steps.
const STEP: usize = 512;
const PAUSE: Duration = Duration::from_millis(1);
/// Seconds that a flow is remembered after FIN or RST, or as a SYN alone.
const LINGER: u32 = 60;
const UDP: u8 = 17;

/// What a pass found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Remembered flows, closing ones included.
    pub remembered: u64,
    /// Those that are not closing, by binding id.
    pub open: HashMap<u16, u64>,
}

impl Tally {
    /// Counts flows that are tracked all the time: open, but not at risk.
    fn add_open(&mut self, tracked: Self) {
        for (backend, flows) in tracked.open {
            *self.open.entry(backend).or_default() += flows;
        }
    }
}

/// What the sweeper looks after.
pub(super) struct Ward<'a> {
    pub plane: &'a Mutex<Plane>,
    pub flows: Flows<'a>,
    pub counters: &'a dyn CounterStore,
    pub grace: &'a dyn Grace,
}

impl Ward<'_> {
    fn plane(&self) -> MutexGuard<'_, Plane> {
        self.plane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a backend's untracked connections have been silent.
#[derive(Debug)]
struct Watch {
    /// Generation in which it last lost slots.
    moved: u64,
    untracked: u64,
    since: u32,
}

/// Makes one pass after the other.
#[derive(Debug)]
pub(super) struct Sweeper {
    /// Seconds that a connection may be silent.
    idle: u32,
    /// Most flows that can be remembered.
    capacity: u64,
    full: bool,
    watches: BTreeMap<u16, Watch>,
}

impl Sweeper {
    pub(super) fn new(idle: Duration, capacity: u32) -> Self {
        Self {
            idle: u32::try_from(idle.as_secs()).unwrap_or(u32::MAX).min(i32::MAX as u32),
            capacity: u64::from(capacity),
            full: false,
            watches: BTreeMap::new(),
        }
    }

    /// One pass; `now` is in seconds of the coarse monotonic clock. May take
    /// as long as it takes to look at every flow.
    ///
    /// # Errors
    /// Of bpf(2). What was not finished is done by the next pass.
    pub(super) fn pass(&mut self, ward: &Ward<'_>, now: u32) -> io::Result<Tally> {
        let plane = ward.plane();
        if !plane.needs_sweep() {
            drop(plane);
            self.note_full(ward, 0);
            return Ok(Tally::default());
        }
        let generation = plane.generation();
        let could_rest = plane.could_rest();
        let bindings = plane.rested_bindings();
        let services = plane.rested_services();
        let lagging = plane.lagging();
        drop(plane);

        let mut seen = Seen::default();
        self.walk(ward, Table::Syns, now, &mut seen)?;
        let syns = std::mem::take(&mut seen.tally);
        ward.grace.wait(ward.grace.begin());
        self.walk(ward, Table::Open, now, &mut seen)?;
        let mut tracked = Seen::default();
        self.walk(ward, Table::Tracked, now, &mut tracked)?;
        seen.tally.add_open(tracked.tally);

        for &(id, _) in &bindings {
            ward.counters.zero_backend(id)?;
        }
        for &(id, _) in &services {
            ward.counters.zero_service(id)?;
        }
        let found = Upkeep {
            settle: self.settled(ward, &lagging, now)?,
            rest: could_rest.into_iter().filter(|(id, _)| !seen.services.contains(id)).collect(),
            free: bindings,
            clean: (syns.remembered + seen.tally.remembered == 0).then_some(generation),
        };
        if !found.settle.is_empty() {
            let backends = found.settle.len();
            info!("{backends} backend(s) have no connection left that nobody tracks: slots settle");
        }
        let mut plane = ward.plane();
        plane.upkeep(&found);
        plane.free_services(&services);
        drop(plane);
        self.note_full(ward, seen.tally.remembered);
        Ok(seen.tally)
    }

    /// Walks a table and forgets what need not be remembered.
    fn walk(&self, ward: &Ward<'_>, which: Table, now: u32, seen: &mut Seen) -> io::Result<()> {
        let table = which.of(&ward.flows);
        let mut cursor = None;
        let mut batch = Vec::with_capacity(STEP);
        loop {
            batch.clear();
            let more = table.walk(&mut cursor, STEP, &mut batch)?;
            let mut needless = Vec::new();
            let plane = ward.plane();
            for &(key, entry) in &batch {
                match which.judge(&plane, &key, &entry) {
                    Err(why) => needless.push((key, entry, Some(why))),
                    Ok(service) => {
                        let lifetime = self.lifetime(&plane, which, service, &key, &entry);
                        if is_over(&entry, lifetime, now) {
                            needless.push((key, entry, None));
                        } else {
                            seen.note(service, &entry);
                        }
                    }
                }
            }
            drop(plane);
            for (key, entry, why) in needless {
                if let Some((service, entry)) = forget(ward, which, &key, &entry, why)? {
                    seen.note(service, &entry);
                }
            }
            if !more {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
    }

    /// Seconds of silence after which a flow is over.
    fn lifetime(
        &self,
        plane: &Plane,
        which: Table,
        service: u16,
        key: &FlowKey,
        entry: &FlowEntry,
    ) -> u32 {
        let begun = which == Table::Syns && entry.state != flow_state::WAITING;
        if begun || entry.state == flow_state::CLOSING {
            LINGER
        } else if key.protocol == UDP {
            plane.udp_idle(service)
        } else {
            self.idle
        }
    }

    /// Those of `lagging` whose untracked connections have been silent for the
    /// idle limit.
    fn settled(
        &mut self,
        ward: &Ward<'_>,
        lagging: &[(u16, u64)],
        now: u32,
    ) -> io::Result<Vec<(u16, u64)>> {
        let mut settled = Vec::new();
        let mut watches = BTreeMap::new();
        for &(id, moved) in lagging {
            let untracked = ward.counters.untracked(id)?;
            let silent = |w: &Watch| w.moved == moved && w.untracked == untracked;
            let watch = match self.watches.remove(&id).filter(silent) {
                Some(watch) => watch,
                None => Watch { moved, untracked, since: now },
            };
            if now.wrapping_sub(watch.since) > self.idle {
                settled.push((id, moved));
            }
            watches.insert(id, watch);
        }
        self.watches = watches;
        Ok(settled)
    }

    /// Tells packets, and people, when the table is nearly full.
    fn note_full(&mut self, ward: &Ward<'_>, remembered: u64) {
        let full = nearly_full(remembered, self.capacity, self.full);
        if full == self.full {
            return;
        }
        self.full = full;
        ward.plane().set_word(words::FLOWS_FULL, u64::from(full));
        if full {
            warn!(
                "{remembered} of {} flows are remembered: new connections on slots that have moved \
                 go to their old backends; raise `flows` in [edge] if this happens often",
                self.capacity
            );
        }
    }
}

/// One of the tables of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Open,
    Syns,
    Tracked,
}

impl Table {
    fn of<'a>(self, flows: &Flows<'a>) -> &'a dyn FlowTable {
        match self {
            Self::Open => flows.open,
            Self::Syns => flows.syns,
            Self::Tracked => flows.udp,
        }
    }

    fn judge(self, plane: &Plane, key: &FlowKey, entry: &FlowEntry) -> Result<u16, Needless> {
        match self {
            Self::Open | Self::Syns => plane.judge(key, entry),
            Self::Tracked => plane.judge_tracked(key, entry),
        }
    }
}

fn is_over(entry: &FlowEntry, lifetime: u32, now: u32) -> bool {
    // Signed: an entry may be newer than `now`.
    now.wrapping_sub(entry.last_seen) as i32 > lifetime.min(i32::MAX as u32) as i32
}

/// Removes an entry that was judged. Returns what it has become, with its
/// service, when it was changed meanwhile and had to be put back.
fn forget(
    ward: &Ward<'_>,
    which: Table,
    key: &FlowKey,
    judged: &FlowEntry,
    why: Option<Needless>,
) -> io::Result<Option<(u16, FlowEntry)>> {
    let table = which.of(&ward.flows);
    let Some(taken) = table.take(key)? else { return Ok(None) };
    let as_judged = match why {
        // Silence is over when it spoke, and a slot may have been touched.
        None | Some(Needless::Untouched) => taken == *judged,
        Some(_) => taken.backend == judged.backend,
    };
    if as_judged {
        return Ok(None);
    }
    match which.judge(&ward.plane(), key, &taken) {
        Ok(service) => {
            table.insert_new(key, &taken)?;
            Ok(Some((service, taken)))
        }
        Err(_) => Ok(None),
    }
}

#[derive(Default)]
struct Seen {
    /// Services that have a remembered flow.
    services: BTreeSet<u16>,
    tally: Tally,
}

impl Seen {
    fn note(&mut self, service: u16, entry: &FlowEntry) {
        self.services.insert(service);
        self.tally.remembered += 1;
        if entry.state != flow_state::CLOSING {
            *self.tally.open.entry(entry.backend).or_default() += 1;
        }
    }
}
