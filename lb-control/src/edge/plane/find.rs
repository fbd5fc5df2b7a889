//! Whose a remembered flow is, found as a packet finds it.

use std::net::IpAddr;

use lb_common::{
    abi::{Config, FlowKey, LookupKey, RingSlot, Service, role, service_flags},
    hash,
};

use super::{Plane, unmapped};

impl Plane {
    /// The service that a flow belongs to and the flow's ring slot; `None`
    /// when nothing serves it.
    pub(super) fn slot_of(&self, flow: &FlowKey) -> Option<(u16, RingSlot)> {
        let service = self.service_of(flow)?;
        let row = self.live.services.get(usize::from(service));
        if row.ring_len == 0 {
            return None;
        }
        let slot = hash::ring_slot(self.place_of(flow, row), row.ring_len);
        Some((service, self.live.rings.get((row.ring_offset + slot) as usize)))
    }

    /// Exact addresses first, then any port, then prefixes, the longest first.
    pub(super) fn service_of(&self, flow: &FlowKey) -> Option<u16> {
        let config = self.live.config.get(0);
        let ask = |addr, port, role| {
            let key = LookupKey { addr, port, protocol: flow.protocol, role };
            u16::try_from(self.live.lookup(&key)?.service_plus_one.checked_sub(1)?).ok()
        };
        let at = |addr, role| ask(addr, flow.dst_port, role).or_else(|| ask(addr, [0; 2], role));
        let lengths = &config.prefix_lengths[..config.prefixes as usize];
        let in_prefix = |&len: &u8| at(shortened(flow.dst, len), role::PREFIX | len);
        at(flow.dst, role::VIP).or_else(|| lengths.iter().find_map(in_prefix))
    }

    /// What the flow's ring slot is chosen by.
    pub(super) fn place_of(&self, flow: &FlowKey, row: &Service) -> u64 {
        let &Config { flow_key: key, .. } = self.live.config.get(0);
        let (ports, protocol) = ((flow.src_port, flow.dst_port), flow.protocol);
        if row.flags & service_flags::BY_CLIENT != 0 {
            return hash::client(key, halves(flow.src));
        }
        match (unmapped(flow.src), unmapped(flow.dst)) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                hash::flow_v4(key, src.octets(), dst.octets(), ports.0, ports.1, protocol)
            }
            _ => hash::flow_v6(key, halves(flow.src), halves(flow.dst), ports.0, ports.1, protocol),
        }
    }
}

/// The first `len` bits of an address.
fn shortened(addr: [u8; 16], len: u8) -> [u8; 16] {
    let rest = u128::MAX.checked_shr(len.into()).unwrap_or(0);
    (u128::from_be_bytes(addr) & !rest).to_be_bytes()
}

fn halves(octets: [u8; 16]) -> [u64; 2] {
    let value = u128::from_be_bytes(octets);
    [(value >> 64) as u64, value as u64]
}
