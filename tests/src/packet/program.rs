//! The real program, loaded into the kernel with maps of its own, attached to
//! nothing.

mod counters;
mod flows;
mod table;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, MapData, PerCpuArray, PerCpuValues},
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use lb_common::abi::{
    CLASSES, LOOKUP_SLOTS, MAX_BACKENDS, MAX_CLASS_RANGES, MAX_NEXT_HOPS, MAX_ROUTES, MAX_SERVICES,
    NeighborKey, Reason, copy_base, maps, words,
};

pub use self::flows::Remembered;
use self::table::Table;
use super::world::{Slot, World};

pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("SLUICE_OBJECTS"), "/sluice-xdp"));

/// Ring slots for each of the two copies, where a test does not say.
const RING_POOL: u32 = 65_538;
const FLOWS: u32 = 4096;
/// Of the 256 bytes before a frame, these and the kernel's own 40 leave too few
/// for anything that goes there.
const METADATA: usize = 208;

/// What the program returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Aborted,
    Drop,
    Pass,
    Transmit,
    Redirect,
}

/// How a frame left the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    pub action: Action,
    /// The counters that moved; one, unless the program is broken.
    pub reasons: Vec<Reason>,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
}

/// The XDP program and its maps.
pub struct Program {
    ebpf: Ebpf,
    words: Table<u64>,
    config: Table<lb_common::abi::Config>,
    lookup: Table<lb_common::abi::LookupSlot>,
    services: Table<lb_common::abi::Service>,
    backends: Table<lb_common::abi::Backend>,
    policies: Table<lb_common::abi::Policy>,
    class_ranges: Table<lb_common::abi::ClassRange>,
    rings: Table<u32>,
    routes: Table<lb_common::abi::Route>,
    next_hops: Table<lb_common::abi::NextHop>,
    neighbors: Vec<NeighborKey>,
    generation: u64,
    /// Ring slots for each of the two copies.
    ring_pool: u32,
    /// Reason counters after the last frame.
    counts: Vec<u64>,
}

impl Program {
    /// Loads it; the kernel's verifier has a say here.
    ///
    /// # Errors
    /// Without root, on a kernel that lacks something, or when the verifier
    /// refuses the program.
    pub fn load() -> Result<Self> {
        Self::load_with_room(RING_POOL, FLOWS)
    }

    /// As [`load`](Self::load), with room for as many ring slots in each
    /// generation, and as many remembered flows.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with_room(ring_pool: u32, flows: u32) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(maps::RINGS, ring_pool)
            .map_max_entries(maps::FLOWS, flows)
            .map_max_entries(maps::SYN_FLOWS, flows)
            .map_max_entries(maps::UDP_FLOWS, flows)
            .load(OBJECT)
            .context("loading the XDP program's maps; this needs root")?;
        let program: &mut Xdp = ebpf.program_mut("sluice").context("no `sluice`")?.try_into()?;
        lb_control::xdp::load_program(program).context("the kernel refused the XDP program")?;
        Ok(Self {
            words: Table::map(&ebpf, maps::WORDS, words::COUNT)?,
            config: Table::map(&ebpf, maps::CONFIG, 2)?,
            lookup: Table::map(&ebpf, maps::LOOKUP, 2 * LOOKUP_SLOTS)?,
            services: Table::map(&ebpf, maps::SERVICES, 2 * MAX_SERVICES)?,
            backends: Table::map(&ebpf, maps::BACKENDS, 2 * MAX_BACKENDS)?,
            policies: Table::map(&ebpf, maps::POLICIES, 2 * MAX_SERVICES * CLASSES)?,
            class_ranges: Table::map(&ebpf, maps::CLASS_RANGES, 2 * MAX_CLASS_RANGES)?,
            rings: Table::map(&ebpf, maps::RINGS, 2 * ring_pool)?,
            routes: Table::map(&ebpf, maps::ROUTES, 2 * MAX_ROUTES)?,
            next_hops: Table::map(&ebpf, maps::NEXT_HOPS, 2 * MAX_NEXT_HOPS)?,
            neighbors: Vec::new(),
            ebpf,
            generation: 0,
            ring_pool,
            counts: vec![0; Reason::ALL.len()],
        })
    }

    /// The loaded program.
    pub fn xdp(&self) -> &Xdp {
        self.ebpf.program("sluice").expect("loaded").try_into().expect("an XDP program")
    }

    /// The same, to attach it.
    pub fn xdp_mut(&mut self) -> &mut Xdp {
        self.ebpf.program_mut("sluice").expect("loaded").try_into().expect("an XDP program")
    }

    /// Makes a world live: writes the idle copy, then flips the generation.
    pub fn commit(&mut self, world: &World) {
        self.prepare(world);
        self.flip();
    }

    /// Writes a world into the copy that packets do not read.
    pub fn prepare(&mut self, world: &World) {
        let next = self.generation + 1;
        let base = |capacity| copy_base(next, capacity);
        self.config.put(base(1), &[world.config()]);
        self.lookup.put(base(LOOKUP_SLOTS), world.lookup().slots());
        self.class_ranges.put(base(MAX_CLASS_RANGES), &world.class_ranges());
        let (routes, next_hops) = world.routes();
        self.routes.put(base(MAX_ROUTES), &routes);
        self.next_hops.put(base(MAX_NEXT_HOPS), &next_hops);
        self.introduce(world);
        self.services.clear(base(MAX_SERVICES), MAX_SERVICES);
        self.backends.clear(base(MAX_BACKENDS), MAX_BACKENDS);
        self.policies.clear(base(MAX_SERVICES * CLASSES), MAX_SERVICES * CLASSES);
        let (bindings, mut ring) = (world.bindings(), base(self.ring_pool));
        for (id, service) in world.services.iter().enumerate() {
            let id = id as u32;
            self.services.put(base(MAX_SERVICES) + id, &[service.row(ring)]);
            // As the ABI says it, written down once more.
            let word = |slot: &Slot| {
                u32::from(slot.touched) << 31
                    | u32::from(bindings.id(id as usize, slot.settled)) << 16
                    | u32::from(bindings.id(id as usize, slot.current))
            };
            let slots: Vec<u32> = service.slots.iter().map(word).collect();
            self.rings.put(ring, &slots);
            ring += (slots.len() as u32).next_multiple_of(2);
            for server in service.servers() {
                let row = server.row(id);
                let binding = bindings.id(id as usize, server.id());
                self.backends.put(base(MAX_BACKENDS) + u32::from(binding), &[row]);
            }
            for (class, policy) in service.policies() {
                let index = base(MAX_SERVICES * CLASSES) + id * CLASSES + class;
                self.policies.put(index, &[policy]);
            }
        }
        self.words.put(words::EPOCH, &[world.epoch]);
        self.words.put(words::FLOWS_FULL, &[world.flows_full.into()]);
    }

    /// Makes the hosts on the links known: to all generations.
    fn introduce(&mut self, world: &World) {
        let map = self.ebpf.map_mut(maps::NEIGHBORS).expect("in the object");
        let mut map: HashMap<&mut MapData, [u8; 20], [u8; 8]> = map.try_into().expect("a hash map");
        let bytes = |key: &NeighborKey| {
            let mut bytes = [0; 20];
            bytes[..16].copy_from_slice(&key.addr);
            bytes[16..].copy_from_slice(&key.ifindex.to_ne_bytes());
            bytes
        };
        for key in self.neighbors.drain(..) {
            map.remove(&bytes(&key)).expect("nobody else removes neighbours");
        }
        for (key, neighbor) in world.neighbors() {
            let mut value = [0; 8];
            value[..6].copy_from_slice(&neighbor.mac);
            map.insert(bytes(&key), value, 0).expect("there is room");
            self.neighbors.push(key);
        }
    }

    /// Makes what was prepared live.
    pub fn flip(&mut self) {
        self.generation += 1;
        self.words.put(words::GENERATION, &[self.generation]);
    }

    /// Runs the program once over a frame of at least 14 bytes.
    pub fn send(&mut self, frame: &[u8]) -> Exit {
        let exit = self.run(frame);
        self.account(exit)
    }

    /// As [`send`](Self::send), of a driver that leaves hardly any room before
    /// the frame: metadata is in the way.
    pub fn send_without_headroom(&mut self, frame: &[u8]) -> Exit {
        let (action, frame) = self.run_behind(METADATA, frame);
        self.account((action, frame[METADATA..].to_vec()))
    }

    fn account(&mut self, (action, frame): (Action, Vec<u8>)) -> Exit {
        let counts = self.reasons();
        let before = std::mem::replace(&mut self.counts, counts);
        let pairs = Reason::ALL.iter().zip(before.iter().zip(&self.counts));
        let moved = pairs.flat_map(|(reason, (before, after))| {
            std::iter::repeat_n(*reason, (after - before) as usize)
        });
        Exit { action, reasons: moved.collect(), frame }
    }

    /// As [`send`](Self::send), without a look at the counters.
    pub fn run(&self, frame: &[u8]) -> (Action, Vec<u8>) {
        self.run_behind(0, frame)
    }

    /// Behind so many bytes of metadata, which come out before the frame.
    fn run_behind(&self, metadata: usize, frame: &[u8]) -> (Action, Vec<u8>) {
        let mut out = vec![0; metadata + frame.len() + 256];
        let data = [&vec![0; metadata], frame].concat();
        // `struct xdp_md`: the frame's beginning and end, counted from the
        // metadata's beginning, and what nobody sets here.
        let context = [metadata as u32, data.len() as u32, 0, 0, 0, 0];
        let context: Vec<u8> = context.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let options = TestRunOptions {
            data_in: Some(&data),
            data_out: Some(&mut out),
            ctx_in: (metadata != 0).then_some(&context),
            ..Default::default()
        };
        let result = self.xdp().test_run(options).expect("the kernel runs the program");
        out.truncate(result.data_size_out as usize);
        let action = match result.return_value {
            1 => Action::Drop,
            2 => Action::Pass,
            3 => Action::Transmit,
            4 => Action::Redirect,
            _ => Action::Aborted,
        };
        (action, out)
    }

    /// Lets the next second's ICMP answers begin.
    pub fn replenish(&mut self) {
        let map = self.ebpf.map_mut(maps::ANSWERS).expect("in the object");
        let mut answers: PerCpuArray<&mut MapData, u64> = map.try_into().expect("per CPU");
        let cpus = aya::util::nr_cpus().expect("the kernel says so");
        // When there were none left: at the beginning of time.
        for index in 0..2 {
            let none = PerCpuValues::try_from(vec![0; cpus]).expect("one for each CPU");
            answers.set(index, none, 0).expect("within the array");
        }
    }
}
