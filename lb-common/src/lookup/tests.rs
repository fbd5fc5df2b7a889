use std::collections::HashMap;

use super::*;
use crate::abi::role;

fn slot(n: u32) -> LookupSlot {
    let mut addr = [0; 16];
    addr[10..12].fill(0xff);
    addr[12..].copy_from_slice(&n.to_be_bytes());
    LookupSlot {
        key: LookupKey { addr, port: [0x1f, 0x90], protocol: 6, role: role::VIP },
        service_plus_one: n + 1,
        ..Default::default()
    }
}

/// Applies what `dirty` names to a mirror, as the edge does to its map.
fn mirror(copy: &mut [LookupSlot], table: &Table, dirty: &mut Vec<u32>) {
    for index in dirty.drain(..) {
        copy[index as usize] = table.slots()[index as usize];
    }
}

/// xorshift64* (Vigna, 2016): the same steps in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((bits * u64::from(bound)) >> 32) as u32
    }
}

#[test]
fn behaves_as_a_map_of_40_000_keys() {
    let mut random = Random(1);
    let mut table = Table::new();
    let mut model: HashMap<LookupKey, LookupSlot> = HashMap::new();
    let mut copy = table.slots().to_vec();
    let mut dirty = Vec::new();
    for step in 0..200_000 {
        let mut entry = slot(random.below(40_000));
        if random.below(3) == 0 {
            assert_eq!(table.remove(&entry.key, &mut dirty), model.remove(&entry.key));
        } else {
            entry.backend = step;
            table.insert(entry, &mut dirty).expect("a third is free");
            model.insert(entry.key, entry);
        }
        mirror(&mut copy, &table, &mut dirty);
    }
    assert!(model.len() > 20_000, "the mixture keeps the table filled");
    for n in 0..40_000 {
        let key = slot(n).key;
        assert_eq!(table.get(&key), model.get(&key));
    }
    assert_eq!(copy, table.slots(), "`dirty` names every change");
}

#[test]
fn every_key_is_in_one_of_its_eight_slots() {
    let mut table = Table::new();
    let mut dirty = Vec::new();
    for n in 0..110_000 {
        table.insert(slot(n), &mut dirty).expect("84 % fit");
    }
    assert!(dirty.len() > 110_000, "no key had to move");
    let mut held = 0;
    for (index, slot) in table.slots().iter().enumerate() {
        if slot.service_plus_one == 0 {
            continue;
        }
        held += 1;
        let buckets = hash::lookup_buckets(&slot.key);
        assert!(
            buckets.contains(&(index as u32 / LOOKUP_BUCKET * LOOKUP_BUCKET)),
            "slot {index} is in none of its key's buckets {buckets:?}"
        );
    }
    assert_eq!(held, 110_000);
}

#[test]
fn an_equal_key_is_replaced() {
    let mut table = Table::new();
    let mut dirty = Vec::new();
    let old = slot(7);
    let new = LookupSlot { backend: 9, ..old };
    table.insert(old, &mut dirty).unwrap();
    table.insert(new, &mut dirty).unwrap();
    assert_eq!(dirty[0], dirty[1]);
    assert_eq!(table.get(&old.key), Some(&new));
    assert_eq!(table.remove(&old.key, &mut dirty), Some(new));
    assert_eq!(table.get(&old.key), None);
}

#[test]
fn a_full_table_is_left_as_it_was() {
    let mut table = Table::new();
    let mut dirty = Vec::new();
    let refused = (0..=LOOKUP_SLOTS)
        .map(slot)
        .find(|entry| {
            dirty.clear();
            table.insert(*entry, &mut dirty).is_err()
        })
        .expect("one key more than slots");
    assert!(dirty.is_empty());
    assert!(refused.service_plus_one > LOOKUP_SLOTS / 100 * 95);
    for n in 0..refused.service_plus_one - 1 {
        assert_eq!(table.get(&slot(n).key), Some(&slot(n)));
    }
    let held = table.slots().iter().filter(|s| s.service_plus_one != 0);
    assert_eq!(held.count() as u32, refused.service_plus_one - 1);
    // A refused key gets in once a neighbour has left.
    let bucket = hash::lookup_buckets(&refused.key)[0];
    let neighbour = table.slots()[bucket as usize].key;
    table.remove(&neighbour, &mut dirty).unwrap();
    table.insert(refused, &mut dirty).unwrap();
}
