//! What the tasks of an edge share.

use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aya::maps::MapData;
use lb_common::abi::words;
use tokio::sync::{Notify, watch};

use super::{
    counters::CounterMaps,
    flows::Flows,
    grace::KernelGrace,
    hops::{Answer, ClientMap, RouteTables},
    object::Loaded,
    pins::Pins,
    plane::Plane,
    sweep::{Sweeper, Tally, Ward},
    sys,
    upgrade::Upgrade,
    verify::Drifts,
};
use crate::{config::EdgeSettings, model::Counters};

/// An edge.
pub(super) struct Shared {
    pub settings: EdgeSettings,
    pub description: String,
    pub plane: Mutex<Plane>,
    pub open_flows: MapData,
    pub syn_flows: MapData,
    pub udp_flows: MapData,
    pub counters: CounterMaps,
    pub grace: Arc<KernelGrace>,
    pub sweeper: Mutex<Sweeper>,
    pub tally: Mutex<Tally>,
    pub bindings_changed: Notify,
    /// Clients on the links of this edge, as packets find them.
    pub clients: tokio::sync::Mutex<ClientMap>,
    /// Backends to be, whose next hops are wanted before they are bound.
    pub resolving: Mutex<BTreeSet<IpAddr>>,
    /// Told of whenever next hops were set.
    pub ways_set: watch::Sender<()>,
    /// Whether a manager is there, or about to take a session. Set with the
    /// plane locked.
    pub managed: watch::Sender<bool>,
    /// Of an older version's place, while it still has it.
    pub upgrade: Mutex<Option<Upgrade>>,
    /// Our program once it steers, to be attached again; none while this edge
    /// ends.
    pub program: Mutex<Option<Loaded>>,
    pub drifts: Drifts,
    /// Keeps the lock on them, too.
    pub pins: Pins,
}

impl Shared {
    pub(super) fn plane(&self) -> MutexGuard<'_, Plane> {
        lock(&self.plane)
    }

    /// Sets the next hops of these backends, and the routes to clients.
    pub(super) fn set_ways(&self, answers: &[(IpAddr, Answer)], tables: Option<&RouteTables>) {
        self.plane().set_ways(answers, tables);
        self.ways_set.send_replace(());
    }

    /// Backends to be whose next hops are wanted.
    pub(super) fn resolving(&self) -> BTreeSet<IpAddr> {
        lock(&self.resolving).clone()
    }

    /// Waits until the next hops of backends to be are known, or known not to
    /// be.
    pub(super) async fn resolve(&self, backends: &BTreeSet<IpAddr>) {
        let mut set = self.ways_set.subscribe();
        lock(&self.resolving).extend(backends);
        self.tell_bindings_changed();
        while backends.iter().any(|&backend| self.plane().hop(backend).is_none()) {
            if set.changed().await.is_err() {
                return;
            }
        }
    }

    /// Ends what [`resolve`](Self::resolve) began, whether it came to its end
    /// or not.
    pub(super) fn stop_resolving(&self, backends: &BTreeSet<IpAddr>) {
        lock(&self.resolving).retain(|backend| !backends.contains(backend));
    }

    /// Returns when the bindings have changed since the last call.
    pub(super) async fn bindings_changed(&self) {
        self.bindings_changed.notified().await;
    }

    pub(super) fn tell_bindings_changed(&self) {
        self.bindings_changed.notify_one();
    }

    pub(super) fn set_epoch(&self, epoch: u64) {
        self.plane().set_word(words::EPOCH, epoch);
    }

    /// One pass over the remembered flows.
    pub(super) fn sweep(&self) -> io::Result<()> {
        let ward = Ward {
            plane: &self.plane,
            flows: Flows { open: &self.open_flows, syns: &self.syn_flows, udp: &self.udp_flows },
            counters: &self.counters,
            grace: &*self.grace,
        };
        let tally = lock(&self.sweeper).pass(&ward, sys::coarse_seconds())?;
        *lock(&self.tally) = tally;
        Ok(())
    }

    /// Takes over from an older version, if there is one and it is time. Returns
    /// whether there is none any more.
    pub(super) fn go_on_upgrading(&self) -> anyhow::Result<bool> {
        let mut upgrade = lock(&self.upgrade);
        let Some(under_way) = &mut *upgrade else { return Ok(true) };
        // Held meanwhile: no change comes in between.
        let done = under_way.go_on(&mut self.plane(), &self.settings, &self.pins)?;
        if done {
            *lock(&self.program) = upgrade.take().map(Upgrade::finish);
        }
        Ok(done)
    }

    /// Ends what attaches the program again.
    pub(super) fn let_go(&self) {
        lock(&self.program).take();
    }

    pub(super) fn read_counters(&self) -> io::Result<Counters> {
        let tally = lock(&self.tally).clone();
        self.counters.read(&self.plane, &tally, u64::from(self.settings.flows))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
