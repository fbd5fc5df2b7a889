//! Packets that read an edge's memory as the program does.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    abi::{FlowEntry, FlowKey, backend_state, flow_state, role, service_flags},
    hash,
};

use super::Site;
use crate::edge::plane::{mapped, unmapped};

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge::plane::tests) enum Kind {
    Syn,
    Ack,
    Fin,
}

impl Site {
    /// Sends a packet and returns the backend that it goes to (also a broken
    /// one); `None` where nobody owns it. This is the program's rule.
    pub(in crate::edge::plane::tests) fn packet(&self, flow: &FlowKey, kind: Kind) -> Option<u16> {
        let vip = SocketAddr::new(unmapped(flow.dst), u16::from_be_bytes(flow.dst_port));
        let (service, _) = self.find(vip, role::VIP)?;
        let row = self.service_row(service);
        if row.ring_len == 0 {
            return None;
        }
        let slot = hash::ring_slot(self.plane().place_of(flow, &row), row.ring_len);
        let slot = self.view.rings.get((row.ring_offset + slot) as usize);
        let (current, settled) = (slot.current(), slot.settled());
        let moving = row.flags & service_flags::MOVING != 0 && slot.is_touched();
        let id = match (moving, kind) {
            (false, Kind::Syn) => current,
            (false, _) => settled,
            (true, Kind::Syn) => self.opening(flow, current, settled),
            (true, _) => self.established(flow, kind, current, settled),
        };
        (id != 0 && self.backend_row(id).state != backend_state::FREE).then_some(id)
    }

    fn opening(&self, flow: &FlowKey, current: u16, settled: u16) -> u16 {
        let fresh = |entry: &FlowEntry| self.now.get() - entry.last_seen <= 60;
        let known = self.open.lock().get(flow).copied();
        let known = known.or_else(|| self.syns.lock().get(flow).copied().filter(fresh));
        if let Some(entry) = known
            && entry.state == flow_state::OPEN
            && self.carries(entry.backend)
        {
            return entry.backend;
        }
        if current == 0 {
            return 0;
        }
        self.syns.lock().remove(flow);
        self.open.lock().remove(flow);
        if current != settled {
            let entry =
                FlowEntry { backend: current, last_seen: self.now.get(), ..Default::default() };
            self.syns.lock().insert(*flow, entry);
        }
        current
    }

    fn established(&self, flow: &FlowKey, kind: Kind, current: u16, settled: u16) -> u16 {
        let mut open = self.open.lock();
        if !open.contains_key(flow)
            && let Some(entry) = self.syns.lock().remove(flow)
        {
            open.insert(*flow, entry);
        }
        if let Some(entry) = open.get_mut(flow) {
            entry.last_seen = self.now.get();
            if kind == Kind::Fin {
                entry.state = flow_state::CLOSING;
            }
            return entry.backend;
        }
        if current != settled {
            *self.counters.0.lock().unwrap().entry(settled).or_default() += 1;
        }
        settled
    }
}

/// The flow of a client, told apart by `number`, to an IPv4 VIP.
pub(in crate::edge::plane::tests) fn flow(number: u16, vip: &str) -> FlowKey {
    let vip: SocketAddr = vip.parse().unwrap();
    FlowKey {
        src: mapped(IpAddr::from([198, 51, 100, 1])),
        dst: mapped(vip.ip()),
        src_port: number.to_be_bytes(),
        dst_port: vip.port().to_be_bytes(),
        protocol: 6,
        reserved: [0; 3],
    }
}
