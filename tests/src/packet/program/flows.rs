//! What the program remembers of flows.

use std::net::SocketAddr;

use aya::maps::{HashMap, MapData};
use lb_common::abi::{flow_state, maps};

use super::Program;
use crate::packet::world::octets;

/// A `FlowEntry` as bytes.
type Entry = [u8; 12];

/// A flow that the program remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Binding id.
    pub backend: u16,
    pub closing: bool,
    /// It has been seen by more than its SYN.
    pub promoted: bool,
}

impl Program {
    /// What is remembered of a flow, named as the client's packets name it.
    pub fn remembered(&self, client: &str, service: &str) -> Option<Remembered> {
        let key = flow_key(client, service, 6);
        self.look_up(&key)
    }

    /// What is remembered of a UDP flow.
    pub fn remembered_udp(&self, client: &str, service: &str) -> Option<Remembered> {
        self.look_up(&flow_key(client, service, 17))
    }

    fn look_up(&self, key: &[u8; 40]) -> Option<Remembered> {
        let tables = [(maps::FLOWS, true), (maps::SYN_FLOWS, false), (maps::UDP_FLOWS, true)];
        tables.into_iter().find_map(|(map, promoted)| {
            let flows: HashMap<&MapData, [u8; 40], Entry> =
                self.ebpf.map(map)?.try_into().expect("a hash map");
            let [b0, b1, s0, s1, ..] = flows.get(key, 0).ok()?;
            let (backend, state) = (u16::from_ne_bytes([b0, b1]), u16::from_ne_bytes([s0, s1]));
            Some(Remembered { backend, closing: state == flow_state::CLOSING, promoted })
        })
    }

    /// Flows in all tables.
    pub fn remembered_flows(&self) -> usize {
        let count = |map| {
            let flows: HashMap<&MapData, [u8; 40], Entry> =
                self.ebpf.map(map).expect("in the object").try_into().expect("a hash map");
            flows.keys().count()
        };
        count(maps::FLOWS) + count(maps::SYN_FLOWS) + count(maps::UDP_FLOWS)
    }

    /// Empties the tables of remembered flows.
    pub fn forget(&mut self) {
        for map in [maps::FLOWS, maps::SYN_FLOWS, maps::UDP_FLOWS] {
            let map = self.ebpf.map_mut(map).expect("in the object");
            let mut flows: HashMap<&mut MapData, [u8; 40], Entry> =
                map.try_into().expect("a hash map");
            let keys: Vec<_> = flows.keys().filter_map(Result::ok).collect();
            for key in keys {
                flows.remove(&key).expect("nobody else removes flows");
            }
        }
    }
}

/// `FlowKey` as it lies in memory.
fn flow_key(client: &str, service: &str, protocol: u8) -> [u8; 40] {
    let parse = |at: &str| at.parse().unwrap_or_else(|_| panic!("`{at}` is no address and port"));
    let (src, dst): (SocketAddr, SocketAddr) = (parse(client), parse(service));
    let mut key = [0; 40];
    key[..16].copy_from_slice(&octets(src.ip()));
    key[16..32].copy_from_slice(&octets(dst.ip()));
    key[32..34].copy_from_slice(&src.port().to_be_bytes());
    key[34..36].copy_from_slice(&dst.port().to_be_bytes());
    key[36] = protocol;
    key
}
