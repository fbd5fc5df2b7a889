//! From the numbers that the program tells to names.

use std::net::{IpAddr, SocketAddr};

use lb_common::abi::{
    DEFAULT_CLASS, MAX_BACKENDS, MAX_SERVICES, Trace, backend_state, copy_base, words,
};

use super::{Report, owner_name, reason_of};
use crate::{
    config::EdgeSettings,
    edge::{
        memory::Memory,
        object::Loaded,
        plane::{name_of, unmapped},
    },
    model::DEFAULT_CLASS as DEFAULT_CLASS_NAME,
};

/// The live generation's tables.
pub(super) struct Names(Memory);

impl Names {
    pub(super) fn read(loaded: &mut Loaded, settings: &EdgeSettings) -> anyhow::Result<Self> {
        Ok(Self(Memory::of(loaded, settings.ring_pool)?))
    }

    fn word(&self, index: u32) -> u64 {
        self.0.words.word(index).load(std::sync::atomic::Ordering::Acquire)
    }

    /// Sets a run-time word.
    pub(super) fn set_word(&self, index: u32, value: u64) {
        self.0.words.word(index).store(value, std::sync::atomic::Ordering::Release);
    }

    fn base(&self, capacity: u32) -> usize {
        copy_base(self.word(words::GENERATION), capacity) as usize
    }

    /// The id of a service.
    pub(super) fn service_id(&self, name: &str) -> Option<u32> {
        (0..MAX_SERVICES).find(|&id| self.service(id).as_deref() == Some(name))
    }

    fn service(&self, id: u32) -> Option<String> {
        if id >= MAX_SERVICES {
            return None;
        }
        let index = self.base(MAX_SERVICES) + id as usize;
        name_of(&self.0.service_names.get(index)).map(|name| name.to_string())
    }

    fn class(&self, index: u32) -> Option<String> {
        if index == DEFAULT_CLASS {
            return Some(DEFAULT_CLASS_NAME.to_owned());
        }
        let names = lb_common::abi::CLASSES;
        (index < names)
            .then(|| self.base(names) + index as usize)
            .and_then(|index| name_of(&self.0.class_names.get(index)).map(|name| name.to_string()))
    }

    fn backend(&self, id: u32) -> Option<SocketAddr> {
        if id == 0 || id >= MAX_BACKENDS {
            return None;
        }
        let row = self.0.backends.get(self.base(MAX_BACKENDS) + id as usize);
        let address = SocketAddr::new(unmapped(row.addr), u16::from_be_bytes(row.port));
        (row.state != backend_state::FREE).then_some(address)
    }

    /// What the program told, in names.
    pub(super) fn report(&self, trace: &Trace) -> Report {
        let at = |addr: [u8; 16], port: [u8; 2]| -> SocketAddr {
            let ip: IpAddr = unmapped(addr);
            SocketAddr::new(ip, u16::from_be_bytes(port))
        };
        let (reason, fate) = reason_of(trace.reason);
        let service = self.service(trace.service);
        let has_slot = service.is_some() && (trace.current, trace.settled) != (0, 0);
        Report {
            client: at(trace.src, trace.src_port),
            address: at(trace.dst, trace.dst_port),
            protocol: match trace.protocol {
                6 => "tcp",
                17 => "udp",
                _ => "other",
            },
            generation: trace.generation,
            moving: trace.moving != 0,
            touched: trace.moving != 0 && trace.touched != 0,
            class: self.class(trace.class),
            refused_percent: trace.threshold as f64 * 100.0 / (1u64 << 32) as f64,
            slot: has_slot.then_some(trace.slot),
            current: self.backend(trace.current.into()),
            settled: self.backend(trace.settled.into()),
            backend: self.backend(trace.backend),
            owner: owner_name(trace.owner),
            reason,
            fate,
            interface: (trace.egress != 0).then(|| interface_name(trace.egress)),
            next_hop: (trace.dst_mac != [0; 6])
                .then(|| trace.dst_mac.map(|byte| format!("{byte:02x}")).join(":")),
            service,
        }
    }
}

fn interface_name(index: u32) -> String {
    nix::net::if_::if_indextoname(index)
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| format!("interface {index}"))
}
