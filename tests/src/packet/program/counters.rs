//! What the program counts.

use aya::maps::{MapData, PerCpuArray};
use lb_common::abi::{BackendCounters, ClassCounters, Reason, ServiceCounters, maps};

use super::Program;

impl Program {
    /// Frames by the reason for which they left, in the order of [`Reason::ALL`].
    pub fn reasons(&self) -> Vec<u64> {
        let count = |reason| {
            let [count] = self.counter(maps::REASONS, reason);
            count
        };
        (0..Reason::ALL.len() as u32).map(count).collect()
    }

    /// Counters of a service, by id.
    pub fn service_counters(&self, id: u32) -> ServiceCounters {
        let [
            new_connections,
            refused_reset,
            refused_silent,
            no_backend,
            broken,
            remembered,
            not_remembered,
        ] = self.counter(maps::SERVICE_COUNTERS, id);
        ServiceCounters {
            new_connections,
            refused_reset,
            refused_silent,
            no_backend,
            broken,
            remembered,
            not_remembered,
        }
    }

    /// Counters of a binding, by id.
    pub fn backend_counters(&self, id: u16) -> BackendCounters {
        let [packets, bytes, reply_packets, reply_bytes, new_connections, untracked] =
            self.counter(maps::BACKEND_COUNTERS, id.into());
        BackendCounters { packets, bytes, reply_packets, reply_bytes, new_connections, untracked }
    }

    /// Counters of a class, by index.
    pub fn class_counters(&self, class: u32) -> ClassCounters {
        let [admitted, refused] = self.counter(maps::CLASS_COUNTERS, class);
        ClassCounters { admitted, refused }
    }

    fn counter<const N: usize>(&self, map: &str, index: u32) -> [u64; N] {
        let counters: PerCpuArray<&MapData, [u64; N]> =
            self.ebpf.map(map).expect("in the object").try_into().expect("a per-CPU array");
        let values = counters.get(&index, 0).expect("within the array");
        values.iter().fold([0; N], |sum, cpu| std::array::from_fn(|i| sum[i] + cpu[i]))
    }
}
