//! Reads the program's per-CPU counters.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aya::{
    maps::{MapData, MapError, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use lb_common::abi::{CLASSES, DEFAULT_CLASS, Fate, Reason};

use super::{plane::Plane, sweep::Tally};
use crate::model::{
    self, BackendCount, BindingKey, ClassCount, Counters, Name, ReasonCount, ServiceCount,
};

/// Counters that the control side also writes: an id must start from zero.
pub(super) trait CounterStore: Send + Sync {
    /// Packets of untracked connections on slots that moved away from a backend.
    fn untracked(&self, backend: u16) -> io::Result<u64>;
    /// Zeroes a backend's counters while no packet counts for it.
    fn zero_backend(&self, backend: u16) -> io::Result<()>;
    /// Zeroes a service's counters while no packet counts for it.
    fn zero_service(&self, service: u16) -> io::Result<()>;
}

/// A map of `N` counters for each index and CPU, in the order of their fields
/// in [`lb_common::abi`].
pub(super) struct PerCpu<const N: usize>(Mutex<PerCpuArray<MapData, [u64; N]>>);

impl<const N: usize> PerCpu<N> {
    pub(super) fn new(map: PerCpuArray<MapData, [u64; N]>) -> Self {
        Self(Mutex::new(map))
    }

    /// Sums over all CPUs.
    pub(super) fn sum(&self, index: u32) -> io::Result<[u64; N]> {
        let values = lock(&self.0).get(&index, 0).map_err(io_error)?;
        let mut sum = [0; N];
        for of_cpu in values.iter() {
            for (total, value) in sum.iter_mut().zip(of_cpu) {
                *total += value;
            }
        }
        Ok(sum)
    }

    fn zero(&self, index: u32) -> io::Result<()> {
        let cpus = nr_cpus().map_err(|(_, error)| error)?;
        let zeros = PerCpuValues::try_from(vec![[0; N]; cpus])?;
        lock(&self.0).set(index, zeros, 0).map_err(io_error)
    }
}

fn io_error(error: MapError) -> io::Error {
    io::Error::other(error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The maps of counters.
pub(super) struct CounterMaps {
    pub services: PerCpu<7>,
    pub backends: PerCpu<6>,
    pub classes: PerCpu<2>,
    pub reasons: PerCpu<1>,
    pub class_totals: Mutex<ClassTotals>,
}

impl CounterMaps {
    /// Everything that is counted, by name.
    ///
    /// # Errors
    /// Of bpf(2).
    pub(super) fn read(
        &self,
        plane: &Mutex<Plane>,
        tally: &Tally,
        remembered_capacity: u64,
    ) -> io::Result<Counters> {
        let held = Held::of(&lock(plane));
        let service = |held| self.service(held);
        let backend = |held| self.backend(held, tally);
        Ok(Counters {
            services: held.services.into_iter().map(service).collect::<io::Result<_>>()?,
            backends: held.bindings.into_iter().map(backend).collect::<io::Result<_>>()?,
            classes: self.classes(&held.classes)?,
            reasons: Reason::ALL.iter().map(|&r| self.reason(r)).collect::<io::Result<_>>()?,
            generation: held.generation,
            remembered_flows: tally.remembered,
            remembered_capacity,
        })
    }

    fn service(&self, (service, id, moving): (Name, u16, bool)) -> io::Result<ServiceCount> {
        let [new_connections, refused_reset, refused_silent, no_backend, broken, others @ ..] =
            self.services.sum(u32::from(id))?;
        let [remembered, not_remembered] = others;
        Ok(ServiceCount {
            service,
            new_connections,
            refused_reset,
            refused_silent,
            no_backend,
            broken,
            remembered,
            not_remembered,
            moving,
        })
    }

    fn backend(
        &self,
        (key, id, unreachable): (BindingKey, u16, Option<String>),
        tally: &Tally,
    ) -> io::Result<BackendCount> {
        let [packets, bytes, reply_packets, reply_bytes, new_connections, _untracked] =
            self.backends.sum(u32::from(id))?;
        Ok(BackendCount {
            key,
            packets,
            bytes,
            reply_packets,
            reply_bytes,
            new_connections,
            remembered_flows: tally.open.get(&id).copied().unwrap_or_default(),
            unreachable,
        })
    }

    fn classes(&self, names: &[Name]) -> io::Result<Vec<ClassCount>> {
        let raw: Vec<_> =
            (0..CLASSES).map(|index| self.classes.sum(index)).collect::<io::Result<_>>()?;
        let mut counts = lock(&self.class_totals).update(names, &raw);
        let [admitted, refused] = raw[DEFAULT_CLASS as usize];
        let class = model::DEFAULT_CLASS.parse().expect("a valid name");
        counts.push(ClassCount { class, admitted, refused });
        Ok(counts)
    }

    fn reason(&self, reason: Reason) -> io::Result<ReasonCount> {
        let [packets] = self.reasons.sum(reason as u32)?;
        let fate = fate_name(reason.fate());
        Ok(ReasonCount { reason: reason.name().to_owned(), fate: fate.to_owned(), packets })
    }
}

impl CounterStore for CounterMaps {
    fn untracked(&self, backend: u16) -> io::Result<u64> {
        let [.., untracked] = self.backends.sum(u32::from(backend))?;
        Ok(untracked)
    }

    fn zero_backend(&self, backend: u16) -> io::Result<()> {
        self.backends.zero(u32::from(backend))
    }

    fn zero_service(&self, service: u16) -> io::Result<()> {
        self.services.zero(u32::from(service))
    }
}

/// Who holds which id.
struct Held {
    services: Vec<(Name, u16, bool)>,
    bindings: Vec<(BindingKey, u16, Option<String>)>,
    classes: Vec<Name>,
    generation: u64,
}

impl Held {
    fn of(plane: &Plane) -> Self {
        Self {
            services: plane.services().map(|(name, id, m)| (name.clone(), id, m)).collect(),
            bindings: plane.bindings().map(|(key, id, why)| (key.clone(), id, why)).collect(),
            classes: plane.class_names().to_vec(),
            generation: plane.generation(),
        }
    }
}

/// The program counts classes by index, and indices change hands when the
/// classes are replaced: totals stay with the names.
#[derive(Debug, Default)]
pub(super) struct ClassTotals {
    /// As of the last reading; `None` before the first.
    names: Option<Vec<Name>>,
    /// What to add to the counters of a name's index, wrapping.
    offsets: HashMap<Name, [u64; 2]>,
}

impl ClassTotals {
    /// Totals by name; `raw` is by index.
    fn update(&mut self, names: &[Name], raw: &[[u64; 2]]) -> Vec<ClassCount> {
        if let Some(before) = self.names.take_if(|before| *before != names) {
            let totals: HashMap<_, _> = before
                .into_iter()
                .zip(raw)
                .map(|(name, raw)| (name.clone(), self.total(&name, raw)))
                .collect();
            self.offsets.clear();
            for (name, raw) in names.iter().zip(raw) {
                let total = totals.get(name).copied().unwrap_or_default();
                let offset = [total[0].wrapping_sub(raw[0]), total[1].wrapping_sub(raw[1])];
                self.offsets.insert(name.clone(), offset);
            }
        }
        self.names.get_or_insert_with(|| names.to_vec());
        let count = |(name, raw): (&Name, &[u64; 2])| {
            let [admitted, refused] = self.total(name, raw);
            ClassCount { class: name.clone(), admitted, refused }
        };
        names.iter().zip(raw).map(count).collect()
    }

    fn total(&self, name: &Name, raw: &[u64; 2]) -> [u64; 2] {
        let offset = self.offsets.get(name).copied().unwrap_or_default();
        [raw[0].wrapping_add(offset[0]), raw[1].wrapping_add(offset[1])]
    }
}

/// As tables and programs have it.
pub(super) fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Forward => "forward",
        Fate::Reset => "reset",
        Fate::Answer => "answer",
        Fate::Drop => "drop",
        Fate::Pass => "pass",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_totals_follow_their_names() {
        let names =
            |list: &[&str]| -> Vec<Name> { list.iter().map(|n| n.parse().unwrap()).collect() };
        let admitted = |counts: Vec<ClassCount>| -> Vec<u64> {
            counts.iter().map(|count| count.admitted).collect()
        };
        let mut totals = ClassTotals::default();
        let raw = [[10, 1], [20, 2], [0, 0]];
        assert_eq!(admitted(totals.update(&names(&["a", "b"]), &raw)), [10, 20]);
        // `b` now counts where `a` did, and `c` where `b` did.
        assert_eq!(admitted(totals.update(&names(&["b", "c"]), &raw)), [20, 0]);
        let raw = [[11, 1], [25, 2], [0, 0]];
        assert_eq!(admitted(totals.update(&names(&["b", "c"]), &raw)), [21, 5]);
    }
}
