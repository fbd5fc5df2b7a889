//! Clients on a link, as packets find them: their Ethernet addresses.

use std::collections::HashMap;

use aya::maps::{self, MapData, MapError};
use lb_common::abi::MAX_NEIGHBORS;
use tracing::warn;

use super::kernel::{Host, Neighbor};
use crate::edge::plane::mapped;

/// `NeighborKey` and `Neighbor` as they lie in memory.
type Key = [u8; 20];
type Value = [u8; 8];

/// The map that packets read.
pub(in crate::edge) type ClientMap = maps::HashMap<MapData, Key, Value>;

/// What the map holds, and should hold.
#[derive(Debug)]
pub(super) struct Clients<'a> {
    map: &'a mut ClientMap,
    held: HashMap<Key, Value>,
    /// There was no room for another.
    full: bool,
}

impl<'a> Clients<'a> {
    /// Takes over what the map holds.
    ///
    /// # Errors
    /// Of bpf(2).
    pub(super) fn of(map: &'a mut ClientMap) -> Result<Self, MapError> {
        let held = map.iter().collect::<Result<_, _>>()?;
        Ok(Self { map, held, full: false })
    }

    /// Makes the map hold these hosts and no other.
    ///
    /// # Errors
    /// Of bpf(2).
    pub(super) fn hold<'n>(
        &mut self,
        hosts: impl Iterator<Item = (&'n Host, &'n Neighbor)>,
    ) -> Result<(), MapError> {
        let wanted: HashMap<Key, &Neighbor> = hosts.map(|(host, n)| (key(host), n)).collect();
        let gone = self.held.keys().copied().filter(|key| !wanted.contains_key(key));
        for key in gone.collect::<Vec<_>>() {
            self.set(key, None)?;
        }
        self.full &= wanted.len() > MAX_NEIGHBORS as usize;
        for (key, neighbor) in wanted {
            self.set(key, neighbor.valid_mac())?;
        }
        Ok(())
    }

    /// Takes in what is known of one host now.
    ///
    /// # Errors
    /// Of bpf(2).
    pub(super) fn note(
        &mut self,
        host: &Host,
        neighbor: Option<&Neighbor>,
    ) -> Result<(), MapError> {
        self.set(key(host), neighbor.and_then(Neighbor::valid_mac))
    }

    fn set(&mut self, key: Key, mac: Option<[u8; 6]>) -> Result<(), MapError> {
        let value = mac.map(|[a, b, c, d, e, f]| [a, b, c, d, e, f, 0, 0]);
        let held = self.held.get(&key).copied();
        match value {
            _ if value == held => {}
            Some(value) => {
                if held.is_none() && self.held.len() >= MAX_NEIGHBORS as usize {
                    if !self.full {
                        warn!(
                            "more than {MAX_NEIGHBORS} hosts are on the links of this edge: replies \
                             to the others ask the kernel for the way"
                        );
                    }
                    self.full = true;
                    return Ok(());
                }
                self.map.insert(key, value, 0)?;
                self.held.insert(key, value);
            }
            None => {
                self.map.remove(&key)?;
                self.held.remove(&key);
            }
        }
        Ok(())
    }
}

fn key(&(ifindex, ip): &Host) -> Key {
    let mut key = [0; 20];
    key[..16].copy_from_slice(&mapped(ip));
    key[16..].copy_from_slice(&ifindex.to_ne_bytes());
    key
}
