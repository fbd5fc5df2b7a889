//! An edge in ordinary memory.

mod packets;
mod stores;

use std::{
    cell::Cell,
    collections::HashMap,
    fs::File,
    net::SocketAddr,
    os::{fd::AsFd as _, unix::fs::FileExt as _},
    sync::{Arc, Mutex, MutexGuard, atomic::Ordering},
    time::Duration,
};

use lb_common::{
    abi::{
        Backend, LOOKUP_BUCKET, LOOKUP_SLOTS, LookupKey, MAX_BACKENDS, MAX_NEXT_HOPS, MAX_ROUTES,
        MAX_SERVICES, Service, backend_state, copy_base, maps, role, words,
    },
    hash,
};

pub(super) use self::packets::{Kind, flow};
use self::stores::{MemoryFlows, TestCounters, TestGrace};
use crate::{
    edge::{
        flows::Flows,
        grace::{Grace as _, Ticket},
        hops::RouteTables,
        memory::Memory,
        plane::{Finding, Plane, Refusal, mapped},
        sweep::{Sweeper, Tally, Ward},
        verify,
    },
    model::{
        Binding, BindingKey, Change, Delta, Mode, Name, Phase, ServerId, ServiceSpec, Stamp, Vip,
        Weight,
    },
};

/// Seconds that a connection may be silent.
pub(super) const IDLE: u32 = 100;

/// An edge without a kernel.
pub(super) struct Site {
    files: HashMap<&'static str, File>,
    ring_pool: u32,
    plane: Mutex<Plane>,
    /// The same memory as packets see it.
    view: Memory,
    pub open: MemoryFlows,
    pub syns: MemoryFlows,
    pub udp: MemoryFlows,
    counters: TestCounters,
    grace: Arc<TestGrace>,
    sweeper: Sweeper,
    pub now: Cell<u32>,
    sequence: u64,
}

const PAGE: usize = 4096;
/// What is stored at once.
const WORD: usize = 8;

/// A map's memory, up to the size of the largest.
fn contents(file: &File) -> Vec<u8> {
    let mut contents = vec![0; 9 << 20];
    file.read_exact_at(&mut contents, 0).unwrap();
    contents
}

fn sweeper() -> Sweeper {
    Sweeper::new(Duration::from_secs(u64::from(IDLE)), 10_000)
}

impl Site {
    pub(super) fn new(ring_pool: u32) -> Self {
        let file = |name| {
            let file = tempfile::tempfile().unwrap();
            // Larger than any map; what is never written takes no room.
            file.set_len(64 << 20).unwrap();
            (name, file)
        };
        let files: HashMap<_, _> = Memory::TABLES.into_iter().map(file).collect();
        let grace = Arc::new(TestGrace::default());
        let memory = || Memory::map(|name| files[name].as_fd(), ring_pool).unwrap();
        let mut plane = Plane::adopt(memory(), grace.clone(), |_| false).unwrap();
        plane.set_site(&crate::edge::plane::Site {
            flow_key: [7, 8],
            answers: 1000,
            tunnel_v4: ("198.18.0.0".parse().unwrap(), 0x1_ffff),
            tunnel_v6: "100::".parse().unwrap(),
        });
        Self {
            plane: Mutex::new(plane),
            view: memory(),
            files,
            ring_pool,
            open: MemoryFlows::default(),
            syns: MemoryFlows::default(),
            udp: MemoryFlows::default(),
            counters: TestCounters::default(),
            grace,
            sweeper: sweeper(),
            now: Cell::new(1000),
            sequence: 0,
        }
    }

    pub(super) fn plane(&self) -> MutexGuard<'_, Plane> {
        self.plane.lock().unwrap()
    }

    /// Applies changes under the next stamp.
    pub(super) fn apply(&mut self, changes: Vec<Change>) -> Result<u64, Refusal> {
        self.sequence += 1;
        let stamp = Stamp { term: 1, sequence: self.sequence };
        self.plane().apply(&Delta { stamp, changes: changes.into() })
    }

    /// A new process takes over from one that was killed.
    pub(super) fn restart(&mut self) {
        let flows = Flows { open: &self.open, syns: &self.syns, udp: &self.udp };
        let named = flows.named().unwrap();
        let memory = Memory::map(|name| self.files[name].as_fd(), self.ring_pool).unwrap();
        let named = |id: u16| named[usize::from(id)];
        let plane = Plane::adopt(memory, self.grace.clone(), named).unwrap();
        self.plane = Mutex::new(plane);
        self.sweeper = sweeper();
    }

    /// Begins to apply changes and is killed before they are live: of what a
    /// commit writes, any part may be there, as `written` says word by word, but
    /// not its generation. A new process takes over.
    pub(super) fn die_in_commit(&mut self, changes: Vec<Change>, written: u64) {
        let before: Vec<_> = self.files.values().map(contents).collect();
        // A refusal has written nothing that packets read.
        let _ = self.apply(changes);
        let mut number = 0;
        for ((name, file), before) in self.files.iter().zip(before) {
            let after = contents(file);
            let pages = before.chunks(PAGE).zip(after.chunks(PAGE)).enumerate();
            for (page, (before, after)) in pages.filter(|(_, (before, after))| before != after) {
                let words = before.chunks(WORD).zip(after.chunks(WORD)).enumerate();
                for (word, (before, _)) in words.filter(|(_, (before, after))| before != after) {
                    number += 1;
                    let stays = *name != maps::WORDS && written.rotate_left(number) & 1 == 1;
                    if !stays {
                        file.write_all_at(before, (page * PAGE + word * WORD) as u64).unwrap();
                    }
                }
            }
        }
        self.restart();
    }

    /// Lets time pass, and makes a pass over the flows.
    pub(super) fn sweep(&mut self, seconds: u32) -> Tally {
        self.now.set(self.now.get() + seconds);
        // By the time of a pass the last commit is long ago.
        self.grace.wait(self.grace.begin());
        let ward = Ward {
            plane: &self.plane,
            flows: Flows { open: &self.open, syns: &self.syns, udp: &self.udp },
            counters: &self.counters,
            grace: &*self.grace,
        };
        self.sweeper.pass(&ward, self.now.get()).unwrap()
    }

    /// Looks whether anything is not as it was put there.
    pub(super) fn verify(&self) -> Vec<Finding> {
        verify::tables(&self.plane, Duration::ZERO)
    }

    /// The memory, as somebody else has it who may write.
    pub(super) fn view(&self) -> Memory {
        Memory::map(|name| self.files[name].as_fd(), self.ring_pool).unwrap()
    }

    /// Somebody zeroes all of it.
    pub(super) fn wipe(&self) {
        for file in self.files.values() {
            file.write_all_at(&vec![0; 9 << 20], 0).unwrap();
        }
    }

    /// Grace periods that were asked for, and those that are over.
    pub(super) fn grace_periods(&self) -> (Ticket, Ticket) {
        (self.grace.asked.load(Ordering::Relaxed), self.grace.over.load(Ordering::Relaxed))
    }

    pub(super) fn word(&self, index: u32) -> u64 {
        self.view.words.word(index).load(Ordering::Acquire)
    }

    fn base(&self, capacity: u32) -> usize {
        copy_base(self.word(words::GENERATION), capacity) as usize
    }

    pub(super) fn service_row(&self, id: u16) -> Service {
        self.view.services.get(self.base(MAX_SERVICES) + usize::from(id))
    }

    pub(super) fn backend_row(&self, id: u16) -> Backend {
        self.view.backends.get(self.base(MAX_BACKENDS) + usize::from(id))
    }

    /// The routes to clients that packets read, and the next hops that they
    /// name.
    pub(super) fn routes(&self) -> RouteTables {
        let config = self.view.config.get(self.base(1));
        let routes = self.view.routes.read(self.base(MAX_ROUTES), config.routes as usize);
        let hops = routes.iter().map(|route| route.next_hop + 1).max().unwrap_or_default();
        let next_hops = self.view.next_hops.read(self.base(MAX_NEXT_HOPS), hops as usize);
        RouteTables { routes, next_hops }
    }

    /// The id of a binding.
    pub(super) fn id(&self, service: &str, backend: &str) -> Option<u16> {
        self.plane().bindings.get(&key(service, backend))
    }

    /// What the lookup table says, searched as a packet does: service, binding.
    pub(super) fn find(&self, address: SocketAddr, role: u8) -> Option<(u16, u16)> {
        let portless = role == role::ADDRESS;
        let port = if portless { [0; 2] } else { address.port().to_be_bytes() };
        let protocol = if portless { 0 } else { 6 };
        self.look_up(LookupKey { addr: mapped(address.ip()), port, protocol, role })
    }

    /// The binding that a server id of a service names, as packets find it.
    pub(super) fn find_server(&self, service: u16, id: ServerId) -> Option<u16> {
        let mut addr = [0; 16];
        addr[..8].copy_from_slice(&id.padded());
        let (port, protocol) = (service.to_be_bytes(), id.bytes());
        self.look_up(LookupKey { addr, port, protocol, role: role::SERVER_ID }).map(|found| found.1)
    }

    fn look_up(&self, key: LookupKey) -> Option<(u16, u16)> {
        hash::lookup_buckets(&key)
            .into_iter()
            .flat_map(|first| first..first + LOOKUP_BUCKET)
            .map(|index| self.view.lookup.get(self.base(LOOKUP_SLOTS) + index as usize))
            .find(|slot| slot.key == key && slot.service_plus_one != 0)
            .map(|slot| ((slot.service_plus_one - 1) as u16, slot.backend as u16))
    }

    /// Whether a backend still carries connections.
    pub(super) fn carries(&self, id: u16) -> bool {
        let state = self.backend_row(id).state;
        state == backend_state::SERVING || state == backend_state::DRAINING
    }
}

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(super) fn service(text: &str, address: &str, mode: Mode, ring_size: u32) -> Change {
    Change::PutService(ServiceSpec {
        ring_size,
        ..ServiceSpec::tcp(name(text), address.parse::<Vip>().unwrap(), mode)
    })
}

pub(super) fn key(service: &str, backend: &str) -> BindingKey {
    BindingKey { service: name(service), backend: backend.parse().unwrap() }
}

pub(super) fn bind(service: &str, backend: &str, weight: Weight, phase: Phase) -> Change {
    Change::PutBinding(key(service, backend), Binding::new(weight, phase))
}

pub(super) fn unbind(service: &str, backend: &str) -> Change {
    Change::DeleteBinding(key(service, backend))
}
